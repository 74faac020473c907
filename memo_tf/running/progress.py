"""Progress of a launch: a bar in a terminal, plain lines elsewhere."""

import collections
from collections.abc import Callable
import pathlib
import sys
import time

import tqdm

from memo_tf.cli import program
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.store import time_left

LINE_EVERY_SECONDS = 10.0


class Waiting:
  """Reports what a launch waits for: after 15 s, and then every minute.

  Args:
    what: the activity, in words.
    log: the file that its output goes to.
    say: prints a line.
  """

  FIRST_SECONDS, EVERY_SECONDS = 15.0, 60.0

  def __init__(self, what: str, log: pathlib.Path, say: Callable[[str], None]):
    self._what, self._log, self._say = what, log, say
    self._next = self.FIRST_SECONDS

  def __call__(self, seconds: float) -> None:
    if seconds >= self._next:
      self._next = seconds + self.EVERY_SECONDS
      self._say(f"{self._what}: {seconds:.0f} s so far; see {self._log}")


class Progress:
  """Shows how many runs are done and how long the rest takes.

  Args:
    plan: of the round.
    pending: the units to be run.
    known: seconds per run, by group, from finished runs.
    workers: how many run at a time; may be changed.
  """

  def __init__(
    self,
    plan: plan_lib.Plan,
    pending: list[work_units.WorkUnit],
    known: dict[work_units.Group, float],
    workers: int,
  ):
    self._plan = plan
    # Counts, so that the cost of an update does not grow with pending units.
    self._left = collections.Counter(unit.group for unit in pending)
    self._known = dict(known)
    self._seconds: dict[work_units.Group, tuple[float, int]] = {}
    self._running: dict[work_units.WorkUnit, float] = {}
    self.workers = workers
    self._count = len(pending)
    self._failed = 0
    self._started = self._told = time.monotonic()
    self._bar = None
    if sys.stderr.isatty():
      self._bar = tqdm.tqdm(
        total=len(pending),
        unit="run",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} runs{postfix}",
      )

  def started(self, unit: work_units.WorkUnit) -> None:
    self._running[unit] = 0.0

  def epoch(self, unit: work_units.WorkUnit, fraction: float) -> None:
    """The unit has trained `fraction` of its epochs."""
    self._running[unit] = fraction
    self.show()

  def done(self, unit: work_units.WorkUnit, seconds: float) -> None:
    total, count = self._seconds.get(unit.group, (0.0, 0))
    self._seconds[unit.group] = (total + seconds, count + 1)
    self._known[unit.group] = (total + seconds) / (count + 1)
    self._advance(unit)

  def done_elsewhere(self, unit: work_units.WorkUnit) -> None:
    """Another launch on the same directory has done it."""
    self._advance(unit)

  def failed(self, unit: work_units.WorkUnit, error: str) -> None:
    self._failed += 1
    self.write(f"{unit.name} failed: {error}")
    self._advance(unit)

  def retried(self, unit: work_units.WorkUnit, error: str) -> None:
    """It failed and will be tried again."""
    self._running.pop(unit, None)
    self.write(f"{unit.name} failed and will be tried again: {error}")

  def write(self, line: str) -> None:
    """Prints a line without breaking the bar."""
    if self._bar is not None:
      self._bar.write(line, file=sys.stderr)
    else:
      program.say(line)  # which goes on where standard error takes nothing

  def show(self) -> None:
    """Refreshes the display; plain lines at most every 10 s."""
    if self._bar is not None:
      self._bar.set_postfix_str(self._left_text())
    elif time.monotonic() - self._told >= LINE_EVERY_SECONDS:
      self._told = time.monotonic()
      finished = self._count - self._left.total()
      self.write(f"{finished}/{self._count} runs, {self._left_text()}")

  def close(self) -> None:
    if self._bar is not None:
      self._bar.close()

  def _advance(self, unit: work_units.WorkUnit) -> None:
    self._left[unit.group] -= 1
    self._running.pop(unit, None)
    if self._bar is not None:
      self._bar.update(1)
    self.show()

  def _left_text(self) -> str:
    seconds = time_left.remaining_seconds(
      self._plan, self._left, self._known, self.workers
    )
    if seconds is None:
      return "time left unknown"
    for unit, fraction in self._running.items():
      seconds -= fraction * self._known.get(unit.group, 0.0) / self.workers
    text = f"about {time_left.duration(max(seconds, 0.0))} left"
    return text + (f", {self._failed} failed" if self._failed else "")
