"""Gives pending units to the workers, and records their outcomes.

Works wave by wave: what a unit requires is finished before it. A unit that
fails is retried and never stops the others. Units that another launch on the
same directory has claimed come last, and are not run twice without need.
"""

import collections
from collections.abc import Callable
import contextlib
import dataclasses

from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.running import claims as claims_lib
from memo_tf.running import progress as progress_lib
from memo_tf.running import worker_pool
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import survey as survey_lib
from memo_tf.store import time_left


@dataclasses.dataclass
class Outcome:
  """The outcome of running the pending units.

  Attributes:
    failures: error by unit name, of units that failed for good.
    attempts: number of failed attempts by unit name.
    damaged: runs that workers found damaged, each with the reason.
    num_elsewhere: number of units that another launch finished.
  """

  failures: dict[str, str] = dataclasses.field(default_factory=dict)
  attempts: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  damaged: dict[work_units.WorkUnit, str] = dataclasses.field(
    default_factory=dict
  )
  num_elsewhere: int = 0

  def table(self) -> list[str]:
    """Lines that show what failed: unit, attempts, error."""
    width = max(map(len, self.failures), default=0)
    lines = [f"{'failed run':{width}} {'attempts':>8}  error"]
    return lines + [
      f"{name:{width}} {self.attempts[name]:8}  {error}"
      for name, error in self.failures.items()
    ]


class _UnitQueue:
  """The tasks of one wave, in order; units claimed by others come last."""

  def __init__(self, directory, units, wanted, known, claims, on_elsewhere):
    self._directory, self._wanted = directory, wanted
    self._waiting = collections.deque(units)
    self._known, self._claims = known, claims
    self._on_elsewhere = on_elsewhere
    self._tried: set[work_units.WorkUnit] = set()

  def __len__(self) -> int:
    return len(self._waiting)

  def next(self) -> dict | None:
    """The next task, or None if others have claimed all waiting units."""
    for _ in range(len(self._waiting)):
      unit = self._waiting.popleft()
      outputs = self._wanted[unit]
      if self._claims:
        if not self._claims.take(unit, self._known.get(unit.group, 0.0)):
          if self._is_done(unit, outputs):
            self._on_elsewhere(unit)
          else:
            self._waiting.append(unit)
          continue
        if unit not in self._tried and self._is_done(unit, outputs):
          self._claims.release(unit)
          self._on_elsewhere(unit)
          continue
      self._tried.add(unit)
      return {
        "task": "run",
        "unit": unit.name,
        "outputs": sorted(outputs),
        "log": str(self._directory.work_dir(unit) / "log.txt"),
      }
    return None

  def put_back(self, task: dict) -> None:
    self._waiting.append(work_units.parse_unit(task["unit"]))

  def _is_done(self, unit, outputs) -> bool:
    return self._directory.run_state(unit, check_digests=False).has(outputs)


def run_units(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  found: survey_lib.Survey,
  pool: worker_pool.WorkerPool,
  workers: int,
) -> Outcome:
  """Runs the pending units of a survey, in waves.

  Args:
    directory: of the study.
    plan: of the round.
    found: which of its units are done and which are pending.
    pool: the workers.
    workers: the number of workers.

  Raises:
    StudyError: if something stops all units, such as a full disk.
  """
  outcome = Outcome()
  known = time_left.seconds_a_run(found.done)
  progress = progress_lib.Progress(
    plan,
    found.pending,
    known,
    workers,
    time_left.seconds_of_recording(found.done),
  )
  running = plan.config.running
  alone = running.strategy == "multi_worker"
  # Processes that train a run together go through the same units in step.
  retries = 0 if alone else running.max_retries

  def elsewhere(unit):
    outcome.num_elsewhere += 1
    progress.done_elsewhere(unit)

  try:
    with _claims(directory, alone) as claims:
      for wave in plan.waves(found.pending):
        ready = _ready(wave, plan, outcome, progress)
        queue = _UnitQueue(
          directory, ready, plan.wanted, known, claims, elsewhere
        )
        for event in pool.run(queue, retries=retries):
          if claims:
            claims.beat()
          if event.task is None:
            progress.show()
          else:
            _account(directory, event, retries, outcome, progress, claims)
  finally:
    progress.close()
  return outcome


def _ready(wave, plan, outcome, progress) -> list[work_units.WorkUnit]:
  """The units of a wave without those whose requirements are not met."""
  ready = []
  damaged = {unit.name for unit in outcome.damaged}
  for unit in wave:
    needed = [n.name for n in plan.requires(unit)]
    broken = [n for n in needed if n in outcome.failures]
    if broken:
      error = f"a required run failed: {broken[0]}"
      outcome.failures[unit.name] = error
      progress.failed(unit, error)
    elif not damaged.intersection(needed):
      ready.append(unit)
  return ready


def _account(directory, event, retries, outcome, progress, claims) -> None:
  """Records an event of a unit, on disk and in the progress display."""
  unit = work_units.parse_unit(event.task["unit"])
  content = event.content
  if event.kind == "started":
    progress.started(unit)
    return
  if event.kind == "epoch":
    progress.epoch(unit, content["epoch"] / content["epochs"])
    return
  if event.kind == "done":
    seconds = content["seconds"]
    progress.done(unit, seconds["total"], seconds.get("recording", 0.0))
  elif content.get("damaged"):  # of another run: repeated in the next round
    name, problem = content["damaged"]
    outcome.damaged[work_units.parse_unit(name)] = problem
  else:
    outcome.attempts[unit.name] += 1
    count = outcome.attempts[unit.name]
    _keep_traceback(directory, unit, content, count, retries + 1)
    if event.kind == "retry":
      progress.retried(unit, content["error"])
      return  # and keeps its claim
    outcome.failures[unit.name] = content["error"]
    progress.failed(unit, content["error"])
  if claims:
    claims.release(unit)


def _keep_traceback(directory, unit, content, count, most) -> None:
  """Adds an attempt's traceback to `work/<unit>/traceback.txt`."""
  path = directory.work_dir(unit) / "traceback.txt"
  before = ""
  if count > 1:
    try:
      before = path.read_text(errors="replace") + "\n"
    except OSError:
      pass
  text = content["traceback"].rstrip() or content["error"]
  files.write_atomic(path, f"{before}Attempt {count} of {most}:\n{text}\n")


def _claims(directory, alone: bool):
  return contextlib.nullcontext() if alone else claims_lib.Claims(directory)


def move_damaged_aside(
  directory: directory_lib.StudyDirectory,
  damaged: dict[work_units.WorkUnit, str],
  say: Callable[[str], None],
) -> None:
  """Moves damaged runs to `damaged/` and reports each in one line."""
  for unit, problem in damaged.items():
    place = directory.move_aside(unit)
    if place:
      say(
        f"{unit.name} is damaged: {problem}. Moved to {place}; will be run "
        "again."
      )
