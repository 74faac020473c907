"""How the pending units of a study become the tasks of a scheduler.

A task is one command that runs several units of one model and recipe, one after
the other, so that TensorFlow starts, data are read and graphs are traced only
once. Tasks come in waves: what a unit requires is in an earlier wave. Nothing
here depends on a scheduler, a clock or a disk.
"""

from collections.abc import Iterable
import dataclasses
import math

from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units

# Linux takes 128 KiB in one argument; a unit's name is some 40 bytes.
MAX_UNITS_A_TASK = 1000


@dataclasses.dataclass(frozen=True)
class Task:
  """Units that one command runs.

  Attributes:
    name: unique in a launch, fit for a file name.
    units: in the order in which they run.
    attempt: how often the task has died before.
  """

  name: str
  units: tuple[work_units.WorkUnit, ...]
  attempt: int = 0

  def again(self, units: Iterable[work_units.WorkUnit]) -> "Task":
    """The next attempt, with the units that are left."""
    return dataclasses.replace(
      self, units=tuple(units), attempt=self.attempt + 1
    )


@dataclasses.dataclass(frozen=True)
class Resources:
  """What one process of a task gets.

  Attributes:
    cpus: cores.
    gpus: devices; a fraction shares one, above 1 it is a whole number.
  """

  cpus: int
  gpus: float


def resources(
  cpus_per_task: int, gpus_per_task: float, threads_per_unit: int
) -> Resources:
  """Returns the resources of a task; 0 cores: as many as one run uses.

  Raises:
    UsageError: names the flag, its rule and the value.
  """
  cpus = cpus_per_task or threads_per_unit
  if cpus < threads_per_unit:
    raise errors.UsageError(
      "--cpus_per_task must be 0 or at least --threads_per_unit, "
      f"{threads_per_unit}. Received: --cpus_per_task={cpus_per_task}"
    )
  if not math.isfinite(gpus_per_task) or gpus_per_task < 0:
    raise errors.UsageError(
      "--gpus_per_task must be 0 or more. "
      f"Received: --gpus_per_task={gpus_per_task}"
    )
  if gpus_per_task > 1 and gpus_per_task != int(gpus_per_task):
    raise errors.UsageError(
      "--gpus_per_task must be a fraction up to 1, or a whole number. "
      f"Received: --gpus_per_task={gpus_per_task}"
    )
  return Resources(cpus, gpus_per_task)


def check_units_per_task(units_per_task: int) -> None:
  """Raises a `UsageError` if a task cannot have this many units."""
  if not 0 <= units_per_task <= MAX_UNITS_A_TASK:
    raise errors.UsageError(
      f"--units_per_task must be from 0 to {MAX_UNITS_A_TASK}. "
      f"Received: --units_per_task={units_per_task}"
    )


def workers_of(asked: Resources, running: settings_lib.RunningConfig) -> int:
  """Runs at a time inside a task.

  On a CPU, one process per `threads_per_unit` cores of the task; the machine's
  other cores belong to other tasks. On a GPU one process, because of its
  memory; a fraction of `--gpus_per_task` puts several tasks on a device.
  """
  if asked.gpus or running.strategy != "one_device":
    return 1
  return max(1, asked.cpus // running.threads_per_unit)


def fitting(asked: Resources, cpus: float, gpus: float) -> int:
  """How many processes with these resources fit on a node at a time."""
  count = int(cpus // asked.cpus)
  if asked.gpus >= 1:
    count = min(count, int(gpus // asked.gpus))
  elif asked.gpus:
    # Ray gives a fraction of one device, never of two.
    count = min(count, int(gpus) * int(1 / asked.gpus + 1e-9))
  return count


def split(
  pending: list[work_units.WorkUnit],
  plan: plan_lib.Plan,
  *,
  units_per_task: int,
  slots: int = 0,
) -> list[list[Task]]:
  """Divides pending units into tasks, wave by wave.

  Args:
    pending: in the order of the plan, costliest first.
    plan: of the study.
    units_per_task: the most units of a task; 0: each model and recipe of a wave
      is divided evenly over the slots, so that few tasks start and all end at
      about the same time.
    slots: tasks that run at a time; used if `units_per_task` is 0.

  Returns:
    Waves of tasks. A task has one model and recipe, which is traced once.

  Raises:
    UsageError: if `units_per_task` is out of range.
  """
  check_units_per_task(units_per_task)
  found, waves = 0, []
  for wave in plan.waves(pending):
    groups: dict[tuple[str, str], list[work_units.WorkUnit]] = {}
    for unit in wave:
      groups.setdefault((unit.model, unit.recipe), []).append(unit)
    tasks = []
    for units in groups.values():
      most = units_per_task or min(
        math.ceil(len(units) / max(slots, 1)), MAX_UNITS_A_TASK
      )
      for part in _even_parts(units, math.ceil(len(units) / most)):
        tasks.append(Task(f"{found:05d}", part))
        found += 1
    waves.append(tasks)
  return waves


def arguments(
  units: Iterable[work_units.WorkUnit], experiment_dir: str, workers: int
) -> list[str]:
  """The arguments of `python` in a task's command.

  Args:
    units: of the task; none if the caller adds them.
    experiment_dir: an absolute path that all machines see.
    workers: runs at a time.
  """
  names = ",".join(unit.name for unit in units)
  return [
    "-m",
    "memo_tf.launch",
    f"--flagfile={experiment_dir}/resolved.flags",
    f"--experiment_dir={experiment_dir}",
    f"--workers={workers}",
    *([f"--work_units={names}"] if names else []),
  ]


def _even_parts(units, count):
  """Yields consecutive parts whose sizes differ by at most one."""
  size, more = divmod(len(units), count)
  start = 0
  for i in range(count):
    end = start + size + (i < more)
    yield tuple(units[start:end])
    start = end
