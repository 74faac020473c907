"""Decides from the study's directory how the tasks of a launch ended."""

from collections.abc import Iterable
import dataclasses
import json
import pathlib
import re

from launchers import contract
from launchers import tasks as tasks_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib


class Ledger:
  """Keeps the record of the tasks of a launch, and the units that failed.

  Every line of `work/tasks/record.jsonl` is an event of a task: `sent`, `done`
  (with the units that it finished), `died` (with the reason), `failed`.

  Args:
    study: opened.
    retries: how often the units that a dead task left undone are resent.
  """

  def __init__(self, study: contract.OpenStudy, retries: int):
    self.failures: dict[str, str] = {}
    self._study, self._retries = study, retries
    self._before: dict[str, int] = {}
    self._path = study.directory.root / "work" / "tasks" / "record.jsonl"

  def log_path(self, task: tasks_lib.Task) -> pathlib.Path:
    """The log of a task, for all its attempts."""
    return self._path.parent / f"{task.name}.log"

  def runnable(self, task: tasks_lib.Task) -> tasks_lib.Task | None:
    """The task without units whose teachers failed; None if none is left."""
    units = without_broken(task.units, self._study.plan, self.failures)
    return dataclasses.replace(task, units=tuple(units)) if units else None

  def sent(self, task: tasks_lib.Task) -> None:
    """Records a task; call it before the task is sent."""
    self._before |= tracebacks(self._study.directory, task.units)
    self._path.parent.mkdir(parents=True, exist_ok=True)
    self._write(task, "sent", task.units)

  def ended(
    self, task: tasks_lib.Task, problem: str | None, *, hopeless: bool = False
  ) -> tasks_lib.Task | None:
    """Records the result of a task that has ended.

    Args:
      task: that has ended.
      problem: how it died; None if it ended by itself.
      hopeless: whether another attempt would end in the same way.

    Returns:
      The task to send again; None if nothing is left to try.
    """
    left = [unit for unit in task.units if not self._study.is_done(unit)]
    done = [unit for unit in task.units if unit not in left]
    if done:
      self._write(task, "done", done)
    failed = own_failures(self._study.directory, left, self._before)
    self.failures |= failed
    left = [unit for unit in left if unit.name not in failed]
    if failed:
      self._write(task, "failed", failed, str(list(failed.values())[0]))
    if not left:
      return None
    problem = problem or (
      "it succeeded, but its runs are not in the directory: is that on a file "
      "system that all machines share?"
    )
    said = last_line(self.log_path(task))
    if said:
      problem += f"; it said: {said}"
    self._write(task, "died", left, problem)
    if hopeless or task.attempt >= self._retries:
      times = f" ({task.attempt + 1} times)" if task.attempt else ""
      for unit in left:
        self.failures[unit.name] = f"its task died{times}: {problem}"
      return None
    contract.say(
      f"Task {task.name}: {problem}. {len(left)} runs are sent again."
    )
    return task.again(left)

  def _write(self, task, event, units, why=None) -> None:
    line = {
      "task": task.name,
      "attempt": task.attempt,
      "event": event,
      "units": [getattr(unit, "name", unit) for unit in units],
    }
    with open(self._path, "a") as file:
      file.write(json.dumps(line | ({"why": why} if why else {})) + "\n")


def tracebacks(
  directory: directory_lib.StudyDirectory,
  units: Iterable[work_units.WorkUnit],
) -> dict[str, int]:
  """The times, in ns, of the tracebacks that units have left, by unit name."""
  found = {}
  for unit in units:
    try:
      path = directory.work_dir(unit) / "traceback.txt"
      found[unit.name] = path.stat().st_mtime_ns
    except OSError:
      pass
  return found


def own_failures(
  directory: directory_lib.StudyDirectory,
  units: Iterable[work_units.WorkUnit],
  before: dict[str, int],
) -> dict[str, str]:
  """The errors of units that failed since `before`, by unit name."""
  return {
    name: last_line(directory.root / "work" / name / "traceback.txt")
    or "no reason was recorded"
    for name, when in tracebacks(directory, units).items()
    if before.get(name) != when
  }


def without_broken(
  units: Iterable[work_units.WorkUnit],
  plan: plan_lib.Plan,
  failures: dict[str, str],
) -> list[work_units.WorkUnit]:
  """The units whose required units have not failed.

  Args:
    units: to choose from.
    plan: of the study.
    failures: by unit name; the units left out are added, with the reason.
  """
  found = []
  for unit in units:
    needed = plan.requires(unit)
    broken = [n.name for n in needed if n.name in failures]
    if broken:
      failures[unit.name] = f"a required run failed: {broken[0]}"
    else:
      found.append(unit)
  return found


def last_line(path: pathlib.Path) -> str:
  """A log's last line that is not blank or progress; empty if there is none."""
  try:
    text = path.read_bytes()[-4096:].decode(errors="replace")
  except OSError:
    return ""
  for line in reversed(text.splitlines()):
    if line.strip() and not re.match(r"\d+(/\d+)? runs\b", line):
      return " ".join(line.split())[:500]
  return ""
