"""Shows which runs of a study are done or damaged, and how long the rest takes.

    python -m memo_tf.status --experiment_dir=DIR [--check [--repair]]

Looks at the files' sizes and times only, so that it is fast for many runs. With
--check it reads every file and compares its digest; with --repair it moves
damaged files to `damaged/` (nothing is deleted), and the next launch makes them
again. Exits with 1 if something is damaged or failed. Flags:
"""

import collections
from collections.abc import Iterable
import json
import pathlib

from absl import flags

from memo_tf.cli import program
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.running import worker_pool
from memo_tf.store import checkup
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import opening
from memo_tf.store import selections
from memo_tf.store import survey as survey_lib
from memo_tf.store import time_left

# Most lines shown of one kind; --check shows all its findings.
MAX_LINES = 50
PROGRAM = "memo_tf.status"


def status(
  directory: directory_lib.StudyDirectory,
  *,
  check: bool = False,
  repair: bool = False,
) -> int:
  """Prints the state of a study; returns the exit code.

  Args:
    directory: of the study.
    check: read every file against its digest.
    repair: also move aside what is damaged.

  Raises:
    StudyError: if there is no study, or its config cannot be read.
  """
  config = opening.recorded_config(directory)
  plan = selections.plan(directory, config, with_unknown=True)
  found_wrong: list[checkup.Finding] = []
  moved: list[tuple[str, pathlib.Path]] = []
  if check:
    found_wrong = list(checkup.findings(directory, plan))
    if repair:
      found_wrong, moved = checkup.repair_all(directory, plan, found_wrong)
  found = survey_lib.survey(directory, plan)
  failed = survey_lib.failures(directory, found.pending)
  unusable = found.damaged | found.foreign

  print(f"{config.data.dataset}, seed {config.running.seed}: {directory.root}")
  _print_groups(plan, found, unusable, failed)
  _print_time_left(plan, found)
  for line in _certainty(directory):
    print(line)
  for line in _target(directory, config):
    print(line)
  if mixture := environments.mixture(directory):
    print(mixture)
  repeats = "The launch command repeats it."
  if not check:
    _show(
      f"damaged: {unit.name}: {problem}. {repeats}"
      for unit, problem in found.damaged.items()
    )
    _show(
      f"damaged: {unit.name}: {problem}. --check --repair moves it aside."
      for unit, problem in found.foreign.items()
    )
  _show(
    f"lost: {unit.name}: {', '.join(names)}. {repeats}"
    for unit, names in found.lost.items()
  )
  _show(f"failed: {unit.name}: {error}" for unit, error in failed.items())
  problem = None if check else _dataset_problem(directory)
  if problem:
    print(f"damaged: {problem}")
  if not check:
    return 1 if unusable or failed or problem else 0
  return 1 if _tell(found_wrong, moved, repair) or failed else 0


def _print_groups(plan, found, unusable, failed) -> None:
  """Prints a table with one line per group: its runs by state."""
  known = time_left.seconds_a_run(found.done)
  print(
    f"{'model/recipe/subsets':44} {'runs':>6} {'done':>6} {'pending':>8} "
    f"{'damaged':>8} {'failed':>7} {'s/run':>8}"
  )
  total, done, pending, damaged, broken = (
    collections.Counter(unit.group for unit in part)
    for part in (plan.wanted, found.done, found.pending, unusable, failed)
  )
  for group in total:
    seconds = f"{known[group]:8.2f}" if group in known else ""
    print(
      f"{group.name:44} {total[group]:6} {done[group]:6} "
      f"{pending[group]:8} {damaged[group]:8} {broken[group]:7} {seconds}"
    )


def _print_time_left(plan, found) -> None:
  """Prints how long the pending runs take on this machine."""
  workers = worker_pool.number_of_workers(plan.config.running)
  left = time_left.remaining_seconds(
    plan,
    found.pending,
    time_left.seconds_a_run(found.done),
    workers,
    time_left.seconds_beside(
      plan, found.pending, time_left.seconds_of_recording(found.done)
    ),
  )
  if not found.pending:
    print("All done.")
  elif left is None:
    print("No run is finished: the time left is not known yet.")
  else:
    print(
      f"{len(found.pending)} runs pending: about {time_left.duration(left)} on "
      f"{workers} workers."
    )


def _show(lines: Iterable[str]) -> None:
  """Prints lines; of many, the first `MAX_LINES` and the number of the rest."""
  lines = list(lines)
  for line in lines[:MAX_LINES]:
    print(line)
  if len(lines) > MAX_LINES:
    print(f"… and {len(lines) - MAX_LINES} more like these")


def _tell(found, moved, repair: bool) -> bool:
  """Prints what a check found; returns whether damage is still in place."""
  for finding in found:
    print(f"{'damaged' if finding.is_damage else 'left over'}: {finding}")
  for path, place in moved:
    print(f"moved: {path} to {place}")
  if not found:
    print("Checked: every file is as recorded.")
  elif repair:
    print("The launch command makes the moved files again.")
  elif any(finding.is_damage for finding in found):
    print(
      "--repair moves damaged files aside; the launch command then makes them "
      "again."
    )
  return not repair and any(finding.is_damage for finding in found)


def _certainty(directory: directory_lib.StudyDirectory) -> list[str]:
  """The certainty of each group's scores, in words; empty before scoring."""
  try:
    text = (directory.root / "scores" / "summary.json").read_text()
    return [
      f"{row['model']}/{row['recipe']}/{row['subsets']}: {row['certainty']}"
      for row in json.loads(text)
    ]
  except (OSError, ValueError, KeyError, TypeError):
    return []


def _target(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> list[str]:
  """How far the study is from its target when it was last scored, in words."""
  subsets = config.subsets
  if not subsets.target_ci_width:
    return []
  try:
    text = (directory.root / "scores" / "summary.json").read_text()
    return [
      f"{row['model']}/{row['recipe']}/{row['subsets']}: "
      f"{row['target']['text']}"
      for row in json.loads(text)
      if "target" in row
    ]
  except (OSError, ValueError, KeyError, TypeError):
    return [
      f"The target of {subsets.target_ci_width:g} was not looked at yet; "
      f"--max_subsets={subsets.max_subsets} ends the study at the latest."
    ]


def _dataset_problem(
  directory: directory_lib.StudyDirectory,
) -> str | None:
  try:
    info = dataset_info.read_info(directory)
    dataset_info.check_files(directory, info, check_digests=False)
  except errors.StudyError as error:
    return str(error)
  return None


def main() -> None:
  """The program."""
  program.run_program(PROGRAM, define_flags, _status)


def define_flags(values: flags.FlagValues, unused_program: str) -> None:
  """Defines the program's flags."""
  flags.DEFINE_string(
    "experiment_dir", None, "Folder of the study.", flag_values=values
  )
  flags.DEFINE_bool(
    "check",
    False,
    "Check every file against its digest: data set, subsets, runs, scores, "
    "page.",
    flag_values=values,
  )
  flags.DEFINE_bool(
    "repair",
    False,
    "With --check: move damaged files to damaged/; the next launch makes them "
    "again.",
    flag_values=values,
  )


def _status(values: flags.FlagValues) -> int:
  if not values.experiment_dir:
    raise errors.UsageError(
      "--experiment_dir must name the study's folder. Received none"
    )
  if values.repair and not values.check:
    raise errors.UsageError("--repair needs --check. Received: --repair")
  return status(
    directory_lib.StudyDirectory(values.experiment_dir),
    check=values.check,
    repair=values.repair,
  )


if __name__ == "__main__":
  main()
