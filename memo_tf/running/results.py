"""Writes scores, findings and the page after the runs; prints a summary.

Imported only where runs are scored: pandas, SciPy and Bokeh take longer to
import than all the rest, and the tasks of a cluster do not need them.
"""

import itertools

from memo_tf.cli import program
from memo_tf.experiment import flagfile
from memo_tf.experiment import plan as plan_lib
from memo_tf.findings import agreement
from memo_tf.findings import compression
from memo_tf.findings import distillation
from memo_tf.findings import epoch_runs
from memo_tf.findings import epochs
from memo_tf.findings import frozen
from memo_tf.findings import onion
from memo_tf.findings import proxies
from memo_tf.findings import ratios
from memo_tf.findings import removal
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


def score(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  scores: list[groups.GroupScores] | None = None,
) -> list[groups.GroupScores]:
  """Scores a study, and checks what else its findings read.

  Args:
    directory: of the study.
    plan: of the round.
    scores: of an earlier round, if its scored runs are the same.

  Raises:
    DamagedRunError: if a run is damaged.
  """
  if scores is None:
    scores = study.score_study(directory, plan)
  removal.read(directory, plan)
  onion.read(directory, plan)
  epoch_runs.read(directory, plan, scores)
  return scores


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
  settings = flagfile.resolved_flags(plan.config)
  program.say("Writing the page …")
  shown = material.of(
    directory,
    plan.config,
    results,
    failures,
    settings,
    studies=studies,
    compared=compared,
    recipes=distillation.study_distillation(directory, plan, results),
    compressed=compression.compare_compressed(
      directory, plan, results, studies
    ),
    frozen=frozen.compare_frozen(directory, plan, results),
    removed=removal.study_removal(directory, plan),
    onions=onion.study_onion(directory, plan, results),
    agreed=agreement.study_agreement(directory, results, plan.config.outputs),
    ratios=ratios.study_ratios(directory, results),
    epochs=epochs.study_epochs(directory, plan, results),
  )
  path = page.write_page(shown)
  checkup.record_digests(directory)
  figures = {result.group: shown.figures(result) for result in results}
  tensorboard_log.write_study(plan.config.running, directory, figures)
  if mixture := environments.mixture(directory):
    print(mixture)
  for line in summary.summary_lines(results):
    print(line)
  lines = [found.sentences for found in shown.removed]
  lines += [found.sentences for found in shown.onions]
  for sentence in itertools.chain.from_iterable(lines):
    print(sentence)
  for line in closing.lines(shown, path):
    print(line)
