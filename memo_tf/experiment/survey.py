"""What is done, what is pending, what is damaged, and how long the rest takes.

Read from the directory alone: there is no index file that could be wrong.
"""

import dataclasses
import statistics

from memo_tf.experiment import directory as directory_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import work_units

Group = tuple[str, str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
  """The state of some units.

  Attributes:
    done: the record of each unit that has all outputs that are wanted.
    pending: units that miss an output, in the order given.
    damaged: pending units whose run cannot be used, with why.
  """

  done: dict[work_units.WorkUnit, dict]
  pending: list[work_units.WorkUnit]
  damaged: dict[work_units.WorkUnit, str]


def survey(
  directory: directory_lib.ExperimentDirectory,
  wanted: dict[work_units.WorkUnit, frozenset[str]],
  *,
  check_digests: bool = True,
) -> Survey:
  """Looks at every unit's run; see `ExperimentDirectory.run_state`."""
  done, pending, damaged = {}, [], {}
  for unit, outputs in wanted.items():
    state = directory.run_state(unit, check_digests=check_digests)
    if state.problem:
      damaged[unit] = state.problem
    if state.has(outputs):
      done[unit] = state.record
    else:
      pending.append(unit)
  return Survey(done=done, pending=pending, damaged=damaged)


def seconds_a_run(done: dict[work_units.WorkUnit, dict]) -> dict[Group, float]:
  """Median seconds of the finished runs of each group, without recording."""
  return _medians(
    done,
    lambda seconds: seconds["total"] - seconds.get("recording", 0.0),
  )


def seconds_of_recording(
  done: dict[work_units.WorkUnit, dict],
) -> dict[Group, float]:
  """Median seconds that recording took in the runs of each group that do."""
  return _medians(done, lambda seconds: seconds.get("recording"))


def _medians(done, part) -> dict[Group, float]:
  """Medians over the runs that were not resumed, of a part of their seconds."""
  found: dict[Group, list[float]] = {}
  for unit, record in done.items():
    value = part(record["seconds"])
    if value is not None and not record.get("resumed_after_epoch"):
      found.setdefault(unit.group, []).append(value)
  return {group: statistics.median(values) for group, values in found.items()}


def remaining_seconds(
  pending: list[work_units.WorkUnit],
  known: dict[Group, float],
  workers: int,
  more: dict[work_units.WorkUnit, float] | None = None,
) -> float | None:
  """Seconds until the pending units are done, or None if nothing is known.

  A group without a finished run is taken to cost what another does, scaled by
  the models' relative cost.

  Args:
    pending: the units.
    known: seconds of a run, by group.
    workers: how many run at a time.
    more: seconds that some units take beside: what they record.
  """
  if not known:
    return None
  rates = [
    seconds / model_names.parse(group[0]).relative_cost
    for group, seconds in known.items()
  ]
  rate = statistics.median(rates)
  total = sum(
    known.get(unit.group, rate * model_names.parse(unit.model).relative_cost)
    for unit in pending
  )
  more = more or {}
  total += sum(more.get(unit, 0.0) for unit in pending)
  longest = max(
    (known.get(unit.group, 0.0) + more.get(unit, 0.0) for unit in pending),
    default=0.0,
  )
  return max(total / max(workers, 1), longest)


def duration(seconds: float) -> str:
  """Seconds in words that fit a status line: 450 s, 13 min, 2.5 h, 4.1 days."""
  if seconds < 600:  # to compare a plan with, minutes would be too coarse
    return f"{seconds:.0f} s"
  if seconds < 90 * 60:
    return f"{seconds / 60:.0f} min"
  if seconds < 48 * 3600:
    return f"{seconds / 3600:.1f} h"
  return f"{seconds / 86400:.1f} days"
