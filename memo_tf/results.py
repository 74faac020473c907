"""What follows the runs: scores, sizes and proxies compared, the page, a summary."""

from memo_tf import launch_flags
from memo_tf import proxy_findings
from memo_tf import scoring
from memo_tf import size_study
from memo_tf.experiment import checkup
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import directory as directory_lib
from memo_tf.report import page


def show(
  directory: directory_lib.ExperimentDirectory,
  config: config_lib.ExperimentConfig,
  results: list[scoring.GroupScores],
  failures: dict[str, str],
) -> None:
  """Writes what is made of the scores, and prints what they say.

  Args:
    directory: of the study.
    config: of the directory.
    results: `scoring.score_study`, smallest model first.
    failures: the names of units that failed, with why.

  Raises:
    ExperimentError: if what runs recorded is damaged.
  """
  studies = size_study.study_sizes(directory, config, results)
  compared = proxy_findings.compare_study(directory, config, results)
  settings = launch_flags.resolved_flags(config)
  path = page.write_page(
    directory, config, results, failures, settings, studies, compared
  )
  checkup.record_digests(directory)
  for line in scoring.summary_lines(results):
    print(line)
  for line in size_study.summary_lines(studies):
    print(line)
  for line in proxy_findings.summary_lines(compared):
    print(line)
  print(f"Page: {path}")
