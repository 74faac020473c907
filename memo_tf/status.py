"""What of a study is done, what is damaged, and how long the rest takes.

    python -m memo_tf.status --experiment_dir=DIR

Reads only. Exits with 1 if something is damaged or failed. Flags:
"""

import json
import sys

from absl import app
from absl import flags

from memo_tf import launch_flags
from memo_tf.experiment import dataset_record
from memo_tf.experiment import directory as directory_lib
from memo_tf.experiment import records
from memo_tf.experiment import survey as survey_lib
from memo_tf.experiment import work_units
from memo_tf.running import preparation
from memo_tf.running import worker_pool


def status(directory: directory_lib.ExperimentDirectory) -> int:
  """Prints the state of a study; returns the exit code.

  Raises:
    ExperimentError: if there is no study, or its config cannot be read.
  """
  config = preparation.recorded_config(directory)
  units = work_units.plan(config)
  wanted = work_units.wanted_outputs(config, units)
  found = survey_lib.survey(directory, wanted)
  workers = worker_pool.number_of_workers(config.running)
  known = survey_lib.seconds_a_run(found.done)
  failed = {
    unit: path.read_text(errors="replace").strip().splitlines()
    for unit in found.pending
    if (path := directory.work_dir(unit) / "traceback.txt").exists()
  }

  print(f"{config.data.dataset}, seed {config.running.seed}: {directory.root}")
  print(
    f"{'model/recipe/subsets':44} {'runs':>6} {'done':>6} {'pending':>8} "
    f"{'damaged':>8} {'failed':>7} {'s a run':>8}"
  )
  groups = dict.fromkeys(unit.group for unit in units)
  for group in groups:
    members = [unit for unit in units if unit.group == group]
    done, damaged, broken = (
      sum(unit in part for unit in members)
      for part in (found.done, found.damaged, failed)
    )
    seconds = f"{known[group]:8.2f}" if group in known else ""
    print(
      f"{'/'.join(group):44} {len(members):6} {done:6} "
      f"{len(members) - done:8} {damaged:8} {broken:7} {seconds}"
    )
  more = records.seconds_beside(
    config, found.pending, survey_lib.seconds_of_recording(found.done)
  )
  left = survey_lib.remaining_seconds(found.pending, known, workers, more)
  if not found.pending:
    print("All done.")
  elif left is None:
    print("No run is finished: the time left is not known yet.")
  else:
    print(
      f"{len(found.pending)} runs pending: about {survey_lib.duration(left)} on "
      f"{workers} workers."
    )
  for line in _certainty(directory):
    print(line)
  for unit, problem in found.damaged.items():
    print(f"damaged: {unit.name}: {problem}. The launch command repeats it.")
  for unit, lines in failed.items():
    print(f"failed: {unit.name}: {lines[-1] if lines else 'no message'}")
  problem = _dataset_problem(directory)
  if problem:
    print(f"damaged: {problem}")
  return 1 if found.damaged or failed or problem else 0


def _certainty(directory: directory_lib.ExperimentDirectory) -> list[str]:
  """What the last scoring found of each group, in words; none before it."""
  try:
    text = (directory.root / "scores" / "summary.json").read_text()
    return [
      f"{row['model']}/{row['recipe']}/{row['subsets']}: {row['certainty']}"
      for row in json.loads(text)
    ]
  except (OSError, ValueError, KeyError, TypeError):
    return []


def _dataset_problem(
  directory: directory_lib.ExperimentDirectory,
) -> str | None:
  try:
    info = dataset_record.read_info(directory)
    dataset_record.check_files(directory, info)
  except directory_lib.ExperimentError as error:
    return str(error)
  return None


def main(unused_argv) -> int:
  folder = flags.FLAGS.experiment_dir
  try:
    if not folder:
      raise ValueError(
        "--experiment_dir must name the study's folder. Received none"
      )
    return status(directory_lib.ExperimentDirectory(folder))
  except ValueError as error:
    print(f"memo_tf.status: {error}", file=sys.stderr)
    return 2
  except (directory_lib.ExperimentError, OSError) as error:
    print(f"memo_tf.status: {error}", file=sys.stderr)
    return 1


def _define(values: flags.FlagValues, program: str) -> None:
  del program
  flags.DEFINE_string(
    "experiment_dir", None, "Folder of the study.", flag_values=values
  )


if __name__ == "__main__":
  app.run(
    main, flags_parser=launch_flags.flag_parser("memo_tf.status", _define)
  )
