"""The arrays and commands that a study gives to Slurm, and their files.

work/slurm/<submission>/   wave-0.sh wave-0.units wave-0-<task>.log … last.sh
"""

from collections.abc import Iterator
import dataclasses
import pathlib
import sys

from absl import flags

from launchers import contract
from launchers import slurm_queue
from launchers import slurm_script
from launchers import tasks as tasks_lib
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib

PROGRAM = "launchers.slurm_array"
UNITS_PER_TASK = 20
MAX_ARRAY = 1000  # Slurm's own default is 1001
# Flags of this launcher that the last job needs to resend undone units.
PASSED = (
  "units_per_task",
  "cpus_per_task",
  "gpus_per_task",
  "task_retries",
  "partition",
  "time_limit",
  "warn_seconds",
  "max_tasks",
  "max_requeues",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Array:
  """One array of a submission.

  Attributes:
    wave: its index; the arrays of a wave start together.
    tasks: the number of tasks.
    units_path: of the file with one line of units per task.
    units: the content of that file.
    script_path: of the batch script.
    script: the content of that file.
    log: path of a task's log; %a is the task's index.
  """

  wave: int
  tasks: int
  units_path: pathlib.Path
  units: str
  script_path: pathlib.Path
  script: str
  log: str


def arrays_of(
  values: flags.FlagValues,
  study: contract.OpenStudy,
  pending: list[work_units.WorkUnit],
  asked: tasks_lib.Resources,
  folder: pathlib.Path,
) -> list[Array]:
  """The arrays of the pending units, in the order of submission."""
  waves = tasks_lib.split(
    pending,
    study.plan,
    units_per_task=values.units_per_task or UNITS_PER_TASK,
  )
  workers = tasks_lib.workers_of(asked, study.plan.config.running)
  root = str(study.directory.root)
  found = []
  for wave, tasks in enumerate(waves):
    for start in range(0, len(tasks), MAX_ARRAY):
      part = tasks[start : start + MAX_ARRAY]
      name = f"wave-{wave}" + (f"-{start}" if len(tasks) > MAX_ARRAY else "")
      units_path = folder / f"{name}.units"
      found.append(
        Array(
          wave=wave,
          tasks=len(part),
          units_path=units_path,
          units="".join(
            ",".join(unit.name for unit in task.units) + "\n" for task in part
          ),
          script_path=folder / f"{name}.sh",
          script=slurm_script.array_script(
            python=sys.executable,
            root=str(contract.ROOT),
            arguments=tasks_lib.arguments((), root, workers),
            units=str(units_path),
            requeues=values.max_requeues,
          ),
          log=str(folder / f"{name}-%a.log"),
        )
      )
  return found


def commands(
  values: flags.FlagValues,
  study: contract.OpenStudy,
  arrays: list[Array],
  asked: tasks_lib.Resources,
  last_script: pathlib.Path,
  jobs: list[str],
) -> Iterator[list[str]]:
  """Yields the sbatch commands.

  Args:
    values: the parsed flags.
    study: opened.
    arrays: from `arrays_of`.
    asked: resources of a task.
    last_script: path of the last job's script.
    jobs: job ids; the caller appends the id of each command's job before it
      asks for the next command.
  """
  options = slurm_script.Options(
    partition=values.partition,
    time_limit=values.time_limit,
    warn_seconds=values.warn_seconds,
    max_tasks=values.max_tasks,
    job_name=slurm_queue.job_name(study.directory),
    more=tuple(values.sbatch_option),
  )
  wave = 0
  after: list[str] = []
  ids: list[str] = []
  for number, array in enumerate(arrays):
    if array.wave != wave:
      wave, after, ids = array.wave, ids, []
    yield slurm_script.array_arguments(
      options,
      script=str(array.script_path),
      tasks=array.tasks,
      cpus=asked.cpus,
      gpus=asked.gpus,
      after=after,
      log=array.log,
    )
    ids.append(jobs[number])
  yield slurm_script.last_arguments(
    options,
    script=str(last_script),
    after=jobs,
    log=str(last_script.with_suffix(".log")),
  )


def last_script(
  values: flags.FlagValues,
  study: contract.OpenStudy,
  folder: pathlib.Path,
  sent_before: int,
) -> tuple[pathlib.Path, str]:
  """The path and the content of the last job's script."""
  root = str(study.directory.root)
  only = (
    [] if study.plan.is_whole else [unit.name for unit in study.plan.wanted]
  )
  arguments = [
    "-m",
    PROGRAM,
    f"--flagfile={root}/resolved.flags",
    f"--experiment_dir={root}",
    *(f"--{name}={values[name].value}" for name in PASSED),
    *(f"--sbatch_option={option}" for option in values.sbatch_option),
    *([f"--work_units={','.join(only)}"] if only else []),
    f"--sent_before={sent_before}",
  ]
  return folder / "last.sh", slurm_script.last_script(
    python=sys.executable, root=str(contract.ROOT), arguments=arguments
  )


def folders(directory: directory_lib.StudyDirectory) -> list[pathlib.Path]:
  """The folders of earlier submissions, oldest first."""
  return sorted((directory.root / "work" / "slurm").glob("[0-9]" * 5))


def new_folder(directory: directory_lib.StudyDirectory) -> pathlib.Path:
  """The folder of the next submission."""
  found = folders(directory)
  number = int(found[-1].name) + 1 if found else 0
  return directory.root / "work" / "slurm" / f"{number:05d}"


def sent_tasks(folder: pathlib.Path) -> list[tasks_lib.Task]:
  """The tasks of a submission, from its lists of units."""
  return [
    tasks_lib.Task(
      f"{path.stem}-{number}",
      tuple(work_units.parse_unit(name) for name in line.split(",")),
    )
    for path in sorted(folder.glob("*.units"))
    for number, line in enumerate(path.read_text().splitlines())
  ]
