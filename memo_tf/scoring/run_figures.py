"""What the runs of a group record of themselves, for their scores."""

import collections

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import origins
from memo_tf.store import predictions


def read(
  directory: directory_lib.StudyDirectory,
  units: list[work_units.WorkUnit],
  origin: origins.Origin | None,
) -> dict[work_units.WorkUnit, dict]:
  """The figures of each finished run, by unit.

  Raises:
    DamagedRunError: if a record lacks a figure or is of another origin.
  """
  records = {}
  for unit in units:
    state = directory.run_state(unit, check_digests=False)
    if state.record:
      if origin:
        origin.check(unit, state.record)
      records[unit] = _figures(unit, state.record)
  return records


def check(
  stack: predictions.RunStack, records: dict[work_units.WorkUnit, dict]
) -> None:
  """Compares what runs record of themselves with their files and siblings.

  Raises:
    DamagedRunError: that names the first run whose in-accuracy is not that of
      its predictions, or whose model has another number of parameters than
      most of its siblings.
  """
  usual = collections.Counter(
    record["parameters"] for record in records.values()
  ).most_common(1)[0][0]
  for unit, correct, mask in zip(stack.units, stack.correct, stack.in_mask):
    recorded, found = records[unit]["in_accuracy"], correct[mask].mean()
    if not abs(recorded - found) <= 1e-9:
      raise errors.DamagedRunError(
        unit,
        f"run.json has in_accuracy {recorded:.6g}, its predictions {found:.6g}",
      )
    if records[unit]["parameters"] != usual:
      raise errors.DamagedRunError(
        unit,
        f"run.json has {records[unit]['parameters']} parameters, its siblings "
        f"{usual}",
      )


def _figures(unit, record: dict) -> dict:
  """The figures in a run's record that scoring needs.

  Raises:
    DamagedRunError: if a figure is missing or is not a number.
  """
  try:
    return {
      "in_accuracy": float(record["in_accuracy"]),
      "parameters": int(record["parameters"]),
      "seconds": float(record["seconds"]["total"]),
    }
  except (KeyError, TypeError, ValueError) as error:
    raise errors.DamagedRunError(
      unit, f"run.json lacks a figure ({error})"
    ) from error
