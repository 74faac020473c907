"""Progress of a launch: a bar in a terminal, plain lines elsewhere."""

import collections
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
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


@contextlib.contextmanager
def shown(where: bool | Callable[[str], None]) -> Iterator[None]:
  """Sends what a launch prints to where a Python program wants it.

  Args:
    where: True: as a program prints it, but in a notebook, where standard
      error looks like a failure, all of it to standard output; False: nowhere;
      or a function that is called with each line.
  """
  with contextlib.ExitStack() as stack:
    if where is True:
      if "ipykernel" in sys.modules and not sys.stderr.isatty():
        stack.enter_context(contextlib.redirect_stderr(sys.stdout))
    else:
      lines = _Lines(where or (lambda line: None))
      stack.enter_context(contextlib.redirect_stdout(lines))
      stack.enter_context(contextlib.redirect_stderr(lines))
    yield


class _Lines(io.TextIOBase):
  """A text stream that hands each whole line to a function."""

  def __init__(self, take: Callable[[str], None]):
    self._take, self._rest = take, ""

  def write(self, text: str) -> int:
    *lines, self._rest = (self._rest + text).split("\n")
    for line in lines:
      self._take(line)
    return len(text)


class Progress:
  """Shows how many runs are done and how long the rest takes.

  Args:
    plan: of the round.
    pending: the units to be run.
    known: seconds per run without recording, by group, from finished runs.
    workers: how many run at a time; may be changed.
    recording: seconds that recording adds to a run, by group.
  """

  def __init__(
    self,
    plan: plan_lib.Plan,
    pending: list[work_units.WorkUnit],
    known: dict[work_units.Group, float],
    workers: int,
    recording: dict[work_units.Group, float] | None = None,
  ):
    self._plan = plan
    # Counts, so that the cost of an update does not grow with pending units.
    self._left = collections.Counter(unit.group for unit in pending)
    self._known = dict(known)
    self._recording = dict(recording or {})
    self._totals: collections.defaultdict = collections.defaultdict(float)
    self._finished: collections.Counter = collections.Counter()
    # Few per model, so that an update costs little.
    self._to_record = {
      unit
      for unit in pending
      if plan.recorded_outputs and plan.does_record(unit)
    }
    # When each started, and the seconds that it will take by its last epoch.
    self._running: dict[work_units.WorkUnit, tuple[float, float | None]] = {}
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
    self._running[unit] = time.monotonic(), None

  def epoch(self, unit: work_units.WorkUnit, fraction: float) -> None:
    """The unit has trained `fraction` of its epochs."""
    started = self._running[unit][0]
    self._running[unit] = started, (time.monotonic() - started) / fraction
    self.show()

  def done(
    self, unit: work_units.WorkUnit, seconds: float, recording: float = 0.0
  ) -> None:
    """The unit took `seconds`, `recording` of them to record for proxies."""
    for what, known, value in (
      ("run", self._known, seconds - recording),
      ("recording", self._recording, recording),
    ):
      if value:
        key = (what, unit.group)
        self._totals[key] += value
        self._finished[key] += 1
        known[unit.group] = self._totals[key] / self._finished[key]
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
    self._to_record.discard(unit)
    self._running.pop(unit, None)
    if self._bar is not None:
      self._bar.update(1)
    self.show()

  def _left_text(self) -> str:
    known = self._by_epochs() | self._known
    more = time_left.seconds_beside(
      self._plan, self._to_record, self._recording
    )
    seconds = time_left.remaining_seconds(
      self._plan, self._left, known, self.workers, more
    )
    if seconds is None:
      return "time left unknown"
    now = time.monotonic()
    for unit, (started, _) in self._running.items():
      whole = known.get(unit.group, 0.0) + more.get(unit, 0.0)
      seconds -= min(now - started, whole) / self.workers
    is_least = self._to_record and not self._recording
    text = f"{'at least' if is_least else 'about'} "
    text += f"{time_left.duration(max(seconds, 1.0))} left"
    if is_least:
      text += " (no run that records for proxies has finished)"
    return text + (f", {self._failed} failed" if self._failed else "")

  def _by_epochs(self) -> dict[work_units.Group, float]:
    """Seconds per run by group, from the epochs of runs that have not ended."""
    return {
      unit.group: seconds
      for unit, (_, seconds) in self._running.items()
      if seconds is not None
    }
