"""Writes scores, findings and the page after the runs; prints a summary.

Imported only where runs are scored: pandas, SciPy and Bokeh take longer to
import than all the rest, and the tasks of a cluster do not need them.
"""

from memo_tf.cli import program
from memo_tf.experiment import flagfile
from memo_tf.experiment import plan as plan_lib
from memo_tf.findings import compression
from memo_tf.findings import distillation
from memo_tf.findings import proxies
from memo_tf.findings import sizes
from memo_tf.report import closing
from memo_tf.report import material
from memo_tf.report import page
from memo_tf.running import tensorboard_log
from memo_tf.scoring import groups
from memo_tf.scoring import study
from memo_tf.scoring import summary
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments

score = study.score_study


def show(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: list[groups.GroupScores],
  failures: dict[str, str],
) -> None:
  """Writes findings and page from the scores, and prints a summary.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`, smallest model first.
    failures: the error of each unit that failed, by its name.

  Raises:
    StudyError: if what runs recorded is damaged.
  """
  studies = sizes.study_sizes(directory, plan, results)
  compared = proxies.compare_study(directory, plan, results, studies=studies)
  recipes = distillation.study_distillation(directory, plan, results)
  compressed = compression.compare_compressed(directory, plan, results, studies)
  settings = flagfile.resolved_flags(plan.config)
  program.say("Writing the page …")
  shown = material.of(
    directory,
    plan.config,
    results,
    failures,
    settings,
    studies,
    compared,
    recipes,
    compressed,
  )
  path = page.write_page(shown)
  checkup.record_digests(directory)
  figures = {result.group: shown.figures(result) for result in results}
  tensorboard_log.write_study(plan.config.running, directory, figures)
  if mixture := environments.mixture(directory):
    print(mixture)
  for line in summary.summary_lines(results):
    print(line)
  for line in closing.lines(shown, path):
    print(line)
