"""Which units of a plan are done, pending or damaged.

Read from the directory alone: there is no index file that could be wrong.
"""

import dataclasses
import os
import pathlib

from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import origins


@dataclasses.dataclass(frozen=True, slots=True)
class FinishedRun:
  """What planning needs to know of a finished run; small, as there are many.

  Attributes:
    seconds: time that it took, without recording for proxies; None if unknown,
      or if it was resumed, since the time is then not that of a whole run.
    num_bytes: size of its outputs, without those recorded for proxies.
    recording: seconds that recording took; None if it did not record.
    recorded_bytes: size of the outputs recorded for proxies.
  """

  seconds: float | None
  num_bytes: int
  recording: float | None = None
  recorded_bytes: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
  """The state of some units.

  Attributes:
    done: each unit that has all outputs that are wanted.
    pending: units that miss an output, in the order given.
    damaged: pending units whose run cannot be used, with why.
    foreign: pending units whose run is whole and not of this study, with why.
    lost: outputs that pending units had once and have no more.
  """

  done: dict[work_units.WorkUnit, FinishedRun]
  pending: list[work_units.WorkUnit]
  damaged: dict[work_units.WorkUnit, str]
  foreign: dict[work_units.WorkUnit, str] = dataclasses.field(
    default_factory=dict
  )
  lost: dict[work_units.WorkUnit, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )


def survey(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  *,
  check_digests: bool = False,
) -> Survey:
  """Looks at every unit's run; see `StudyDirectory.run_state` and `Origin`.

  The cost per unit does not depend on their number; one that was never run
  needs no disk access of its own.
  """
  done: dict[work_units.WorkUnit, FinishedRun] = {}
  pending: list[work_units.WorkUnit] = []
  damaged: dict[work_units.WorkUnit, str] = {}
  foreign: dict[work_units.WorkUnit, str] = {}
  lost: dict[work_units.WorkUnit, tuple[str, ...]] = {}
  origin = origins.Origin.of(directory, plan)
  present: dict[work_units.Group, set[str]] = {}
  for unit, outputs in plan.wanted.items():
    if unit.group not in present:
      present[unit.group] = _entries(directory.run_dir(unit).parent)
    if unit.folder not in present[unit.group]:
      pending.append(unit)
      continue
    state = directory.run_state(unit, check_digests=check_digests)
    if state.problem:
      damaged[unit] = state.problem
    if origin and state.record:
      problem = origin.problem(unit, state.record)
      if problem:
        foreign[unit] = problem
        pending.append(unit)
        continue
    if state.record and state.has(outputs):
      done[unit] = _finished(state.record)
    else:
      pending.append(unit)
      if gone := tuple(name for name in state.missing if name in outputs):
        lost[unit] = gone
  return Survey(
    done=done, pending=pending, damaged=damaged, foreign=foreign, lost=lost
  )


def usable(
  directory: directory_lib.StudyDirectory, plan: plan_lib.Plan
) -> Survey:
  """The survey of a study that is about to be extended.

  Raises:
    StudyError: if a run is not of this study.
  """
  found = survey(directory, plan)
  if found.foreign:
    raise origins.refusal(found.foreign)
  return found


def failures(
  directory: directory_lib.StudyDirectory, pending: list[work_units.WorkUnit]
) -> dict[work_units.WorkUnit, str]:
  """The last line of the traceback of each pending unit that has one."""
  root, failed = str(directory.root), {}
  for unit in pending:
    try:
      path = f"{root}/work/{unit.name}/traceback.txt"
      with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    except OSError:
      continue
    failed[unit] = lines[-1] if lines else "no message"
  return failed


def _entries(folder: pathlib.Path) -> set[str]:
  try:
    return set(os.listdir(folder))
  except (FileNotFoundError, NotADirectoryError):
    return set()


def _finished(record: dict) -> FinishedRun:
  seconds = recording = None
  if not record.get("resumed_after_epoch"):
    try:
      recording = float(record["seconds"].get("recording", 0.0)) or None
      seconds = float(record["seconds"]["total"]) - (recording or 0.0)
    except (KeyError, TypeError, ValueError):
      pass
  sizes = {True: 0, False: 0}
  for name, entry in record["outputs"].items():
    sizes[run_outputs.is_recorded(name)] += entry["bytes"]
  return FinishedRun(seconds, sizes[False], recording, sizes[True])
