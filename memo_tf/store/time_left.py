"""How long the pending units of a study will take."""

import collections
from collections.abc import Iterable
import statistics

from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.store import survey


def seconds_beside(
  plan: plan_lib.Plan,
  units: Iterable[work_units.WorkUnit],
  known: dict[work_units.Group, float],
) -> dict[work_units.WorkUnit, float]:
  """Seconds that recording adds to each unit that records.

  Args:
    plan: of the study.
    units: some of the plan's units.
    known: seconds of recording per run, by group. A group without a known
      value is estimated from the others, by the models' relative cost.
  """
  if not plan.recorded_outputs or not known:
    return {}
  rates = [
    seconds / plan.models[group.model].relative_cost
    for group, seconds in known.items()
  ]
  rate = statistics.median(rates)
  return {
    unit: known.get(unit.group, rate * plan.models[unit.model].relative_cost)
    for unit in units
    if plan.does_record(unit)
  }


def seconds_a_run(
  done: dict[work_units.WorkUnit, survey.FinishedRun],
) -> dict[work_units.Group, float]:
  """Median seconds of the finished runs of each group, without recording."""
  return _medians(done, lambda finished: finished.seconds)


def seconds_of_recording(
  done: dict[work_units.WorkUnit, survey.FinishedRun],
) -> dict[work_units.Group, float]:
  """Median seconds that recording took per run, for each group that records."""
  return _medians(done, lambda finished: finished.recording)


def _medians(done, part) -> dict[work_units.Group, float]:
  found: dict[work_units.Group, list[float]] = {}
  for unit, finished in done.items():
    value = part(finished)
    if value is not None:
      found.setdefault(unit.group, []).append(value)
  return {group: statistics.median(values) for group, values in found.items()}


def remaining_seconds(
  plan: plan_lib.Plan,
  pending: Iterable[work_units.WorkUnit] | collections.Counter,
  known: dict[work_units.Group, float],
  workers: int,
  more: dict[work_units.WorkUnit, float] | None = None,
) -> float | None:
  """Seconds until the pending units are done, or None if nothing is known.

  A group without a finished run is estimated from one of the same model and
  recipe, by the sizes of their subsets; else from the others, by the models'
  relative cost.

  Args:
    plan: of the study.
    pending: the units, or how many of each group.
    known: seconds per run, by group.
    workers: how many run at a time.
    more: additional seconds that recording takes, by unit.
  """
  if not known:
    return None
  if isinstance(pending, collections.Counter):
    counts = pending
  else:
    counts = collections.Counter(unit.group for unit in pending)
  rate = statistics.median(
    seconds / plan.models[group.model].relative_cost
    for group, seconds in known.items()
  )
  total, longest = 0.0, 0.0
  alike = {
    (g.model, g.recipe): (s, plan.share_of(g.subsets)) for g, s in known.items()
  }
  for group, count in counts.items():
    cost = rate * plan.models[group.model].relative_cost
    if (group.model, group.recipe) in alike:
      seconds, share = alike[group.model, group.recipe]
      cost = seconds * plan.share_of(group.subsets) / share
    total += count * known.get(group, cost)
    longest = max(longest, known.get(group, 0.0) if count else 0.0)
  beside = (more or {}).values()
  total, longest = total + sum(beside), longest + max(beside, default=0.0)
  return max(total / max(workers, 1), longest)


def duration(seconds: float) -> str:
  """Seconds in words that fit a status line: 450 s, 13 min, 2.5 h, 4.1 days."""
  if seconds < 600:  # minutes would be too coarse to compare plans
    return f"{seconds:.0f} s"
  if seconds < 90 * 60:
    return f"{seconds / 60:.0f} min"
  if seconds < 48 * 3600:
    return f"{seconds / 3600:.1f} h"
  return f"{seconds / 86400:.1f} days"
