"""Shows the progress of runs on other machines, read from the directory."""

import time

from launchers import contract
from launchers import tasks as tasks_lib
from memo_tf.experiment import work_units
from memo_tf.running import progress as progress_lib
from memo_tf.store import time_left

LOOK_EVERY_SECONDS = 2.0


class Watch:
  """Shows progress, read from the directory.

  Args:
    study: opened.
    slots: runs at a time.
  """

  def __init__(self, study: contract.OpenStudy, slots: int):
    known = time_left.seconds_a_run(study.found.done)
    self._study = study
    self._progress = progress_lib.Progress(
      study.plan,
      study.found.pending,
      known,
      max(slots, 1),
      time_left.seconds_of_recording(study.found.done),
    )
    self._left = set(study.found.pending)
    self._next = 0.0

  def slots(self, count: int) -> None:
    """Sets how many runs are done at a time, to estimate the time left."""
    self._progress.workers = max(count, 1)

  def look(self, running: list[tasks_lib.Task], *, now: bool = False) -> None:
    """Counts the finished units of running tasks, every few seconds."""
    if not now and time.monotonic() < self._next:
      return
    self._next = time.monotonic() + LOOK_EVERY_SECONDS
    for task in running:
      missing = 0
      for unit in task.units:
        if unit not in self._left:
          continue
        state = self._study.directory.run_state(unit, check_digests=False)
        if state.record and state.has(self._study.plan.wanted[unit]):
          self._left.discard(unit)
          seconds = state.record["seconds"]
          self._progress.done(
            unit, seconds["total"], seconds.get("recording", 0.0)
          )
        else:
          # Units run in this order, so the next ones are not done either,
          # unless one failed or several run at a time.
          missing += 1
          if missing > 4:
            break
    self._progress.show()

  def failed(self, failures: dict[str, str]) -> None:
    """Shows each unit that has failed once."""
    for name, error in failures.items():
      unit = work_units.parse_unit(name)
      if unit in self._left:
        self._left.discard(unit)
        self._progress.failed(unit, error)

  def close(self) -> None:
    """Ends the progress line."""
    self._progress.close()
