"""Runs a study as Slurm job arrays: teachers, then students, then the scores.

    python -m launchers.slurm_array --flagfile=cifar10.flags \\
        --experiment_dir=DIR --gpus_per_task=1 --time_limit=4:00:00

Sends an array for each wave, which starts when the one before ended well, and a
last job, which starts when all are over: it sends again what dead tasks left
undone (`--task_retries` times), and then scores. Then it waits and shows
progress; Ctrl-C ends the waiting, not the jobs, and `--nowait` does not wait.
The same command given again waits for jobs that are still there, and otherwise
sends what is pending. docs/launchers.md has more. Other flags:
"""

import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from absl import flags

from launchers import contract
from launchers import slurm_script
from launchers import tasks as tasks_lib
from memo_tf.experiment import directory as directory_lib
from memo_tf.experiment import work_units

PROGRAM = "launchers.slurm_array"
UNITS_PER_TASK = 20
MAX_ARRAY = 1000  # Slurm's own default is 1001
POLL_SECONDS = 5.0
# Flags of this launcher that the last job needs to send the rest as this did.
_PASSED = (
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


def define_flags(values: flags.FlagValues, program: str) -> None:
  contract.define_flags(values, program)

  def text(name, meaning):
    flags.DEFINE_string(name, "", meaning, flag_values=values)

  def whole(name, default, meaning, least=0):
    flags.DEFINE_integer(
      name, default, meaning, lower_bound=least, flag_values=values
    )

  text("partition", "Slurm's partition; empty: the default one.")
  text("time_limit", "Of one task, as sbatch --time takes it: 4:00:00.")
  whole("warn_seconds", 60, "A task is ended and requeued so long before it.")
  whole("max_tasks", 0, "Tasks of an array at a time; 0: all that get a place.")
  whole(
    "max_requeues",
    20,
    "How often one task is requeued because it was killed or out of time.",
  )
  whole(
    "sent_before",
    -1,
    "Given by the last job to itself: how often what was undone was sent again.",
    least=-1,
  )
  flags.DEFINE_multi_string(
    "sbatch_option",
    [],
    "One more option for every sbatch, such as --sbatch_option=--account=me; "
    "may be given several times.",
    flag_values=values,
  )
  flags.DEFINE_bool(
    "wait",
    True,
    "Wait until all is over, showing progress.",
    flag_values=values,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Array:
  """One array of a submission.

  Attributes:
    wave: arrays of a wave start together.
    tasks: how many.
    units_path: of the file with a line of units a task, `units`.
    script_path: of the batch script, `script`.
    log: of a task; %a is its number.
  """

  wave: int
  tasks: int
  units_path: pathlib.Path
  units: str
  script_path: pathlib.Path
  script: str
  log: str


def launch(values, config, directory, only) -> int:
  """Sends what is pending and waits for it; returns the exit code.

  Raises:
    UsageError: if flags, study and Slurm do not fit together.
    ExperimentError, OSError: if directory or Slurm cannot be used.
  """
  asked = tasks_lib.resources(
    values.cpus_per_task, values.gpus_per_task, config.running.threads_per_unit
  )
  tasks_lib.check_units_per_task(values.units_per_task)
  if asked.gpus != int(asked.gpus):
    raise directory_lib.UsageError(
      "Slurm gives whole GPUs (to share one: --sbatch_option=--gres=shard:1, "
      "where the cluster has it). "
      f"Received: --gpus_per_task={values.gpus_per_task}"
    )
  if config.running.strategy == "multi_worker":
    raise directory_lib.UsageError(
      "Slurm's arrays run each task in one process; launchers.ray_cluster "
      "places several. Received: --strategy=multi_worker"
    )
  if values.dry_run:
    study = contract.look_at_study(config, directory, only)
    return _dry_run(values, study, asked)
  if values.sent_before >= 0:
    return _last_job(values, config, directory, only, asked)
  living = _living(directory)
  if living:
    contract.say(f"Jobs of this study are in the queue: {' '.join(living)}.")
    study = contract.look_at_study(config, directory, only)
  else:
    study = contract.open_study(config, directory, only)
    if not study.found.pending:
      return contract.finish(study, {})
    _send(values, study, study.found.pending, asked, sent_before=0)
  if not values.wait:
    contract.say(
      f"python -m memo_tf.status --experiment_dir={directory.root} shows what "
      "is done; the same command waits for the rest."
    )
    return 0
  return _wait(study)


def _send(values, study, pending, asked, *, sent_before: int) -> None:
  """Writes the scripts of pending units and gives them to sbatch."""
  folder = _new_folder(study.directory)
  folder.mkdir(parents=True)
  arrays = _arrays(values, study, pending, asked, folder)
  for array in arrays:
    directory_lib.write_atomic(array.units_path, array.units)
    directory_lib.write_atomic(array.script_path, array.script)
  path, script = _last_script(values, study, folder, sent_before)
  directory_lib.write_atomic(path, script)
  before = contract.tracebacks(study.directory, pending)
  directory_lib.write_atomic(
    folder / "before.json", json.dumps(before, indent=2) + "\n"
  )
  jobs: list[str] = []
  try:
    for command in _commands(values, study, arrays, asked, path, jobs):
      jobs.append(_slurm(*command).strip().split(";")[0])
  except BaseException:
    if jobs:  # without the last one nobody would look at what they did
      subprocess.run(["scancel", *jobs], check=False)
    raise
  contract.say(
    f"{len(study.wanted)} runs: {len(pending)} sent in "
    f"{sum(array.tasks for array in arrays)} tasks (jobs "
    f"{' '.join(jobs[:-1])}), and job {jobs[-1]}, which scores. Logs and "
    f"scripts: {folder}"
  )


def _arrays(values, study, pending, asked, folder) -> list[_Array]:
  """The arrays of pending units, in the order in which they are sent."""
  waves = tasks_lib.split(
    pending,
    study.config.recipe,
    units_per_task=values.units_per_task or UNITS_PER_TASK,
  )
  workers = tasks_lib.workers_of(asked, study.config.running)
  root = str(study.directory.root)
  found = []
  for wave, tasks in enumerate(waves):
    for start in range(0, len(tasks), MAX_ARRAY):
      part = tasks[start : start + MAX_ARRAY]
      name = f"wave-{wave}" + (f"-{start}" if len(tasks) > MAX_ARRAY else "")
      units_path = folder / f"{name}.units"
      found.append(
        _Array(
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


def _commands(values, study, arrays, asked, last_script, jobs):
  """Yields sbatch commands; `jobs` is given the id of each before the next."""
  options = slurm_script.Options(
    partition=values.partition,
    time_limit=values.time_limit,
    warn_seconds=values.warn_seconds,
    max_tasks=values.max_tasks,
    job_name=_job_name(study.directory),
    more=tuple(values.sbatch_option),
  )
  wave, after, ids = 0, [], []
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


def _last_script(values, study, folder, sent_before):
  """Path and text of the last job's script."""
  root = str(study.directory.root)
  only = [] if study.is_whole else [unit.name for unit in study.wanted]
  arguments = [
    "-m",
    PROGRAM,
    f"--flagfile={root}/resolved.flags",
    f"--experiment_dir={root}",
    *(f"--{name}={values[name].value}" for name in _PASSED),
    *(f"--sbatch_option={option}" for option in values.sbatch_option),
    *([f"--work_units={','.join(only)}"] if only else []),
    f"--sent_before={sent_before}",
  ]
  return folder / "last.sh", slurm_script.last_script(
    python=sys.executable, root=str(contract.ROOT), arguments=arguments
  )


def _last_job(values, config, directory, only, asked) -> int:
  """Sends again what dead tasks left undone, or scores."""
  study = contract.look_at_study(config, directory, only)
  folder = _folders(directory)[-1]
  failures = contract.own_failures(
    directory,
    study.found.pending,
    json.loads((folder / "before.json").read_text()),
  )
  rest = []
  for unit in study.found.pending:
    if unit.name in failures:
      continue
    needed = work_units.requires(unit, study.config.recipe)
    broken = [n.name for n in needed if n.name in failures]
    if broken:
      failures[unit.name] = f"what it requires failed: {broken[0]}"
    else:
      rest.append(unit)
  sent_before = values.sent_before
  if rest and sent_before < values.task_retries:
    contract.say(f"{len(rest)} runs were left undone: sent again.")
    _send(values, study, rest, asked, sent_before=sent_before + 1)
    return 0
  for unit in rest:
    failures[unit.name] = (
      f"its task died, sent {sent_before + 1} times; logs: {folder}"
    )
  code = contract.finish(study, failures)
  result = {"code": code, "failures": failures}
  directory_lib.write_atomic(
    folder / "result.json", json.dumps(result, indent=2) + "\n"
  )
  return code


def _wait(study) -> int:
  """Waits until no job of the study is left, and says how it ended."""
  directory = study.directory
  watch = contract.Watch(study, _running(directory))
  folder, tasks = None, []
  try:
    while _living(directory):
      if folder != _folders(directory)[-1]:
        folder = _folders(directory)[-1]
        tasks = _sent_tasks(folder)
      watch.slots(_running(directory))
      watch.look(tasks)
      time.sleep(POLL_SECONDS)
    watch.look(tasks, now=True)
  finally:
    watch.close()
  folder = _folders(directory)[-1]
  try:
    result = json.loads((folder / "result.json").read_text())
    said = (folder / "last.log").read_text(errors="replace")
  except (OSError, ValueError) as error:
    raise directory_lib.ExperimentError(
      "all jobs are gone, and the last one did not end its work (cancelled?); "
      f"logs are in {folder}. The same command sends what is pending."
    ) from error
  print(said, end="")
  return result["code"]


def _dry_run(values, study, asked) -> int:
  """Prints what would be given to sbatch."""
  folder = _new_folder(study.directory)
  arrays = _arrays(values, study, study.found.pending, asked, folder)
  print(
    f"Slurm: {len(study.found.pending)} of {len(study.wanted)} runs in "
    f"{sum(array.tasks for array in arrays)} tasks of {asked.cpus} CPU, "
    f"{asked.gpus:g} GPU."
  )
  living = _living(study.directory, needed=False)
  if living:
    print(f"Nothing is sent: jobs of it are there: {' '.join(living)}.")
    return 0
  if not arrays:
    return 0
  path, _ = _last_script(values, study, folder, 0)
  jobs: list[str] = []
  for command in _commands(values, study, arrays, asked, path, jobs):
    jobs.append(f"JOB{len(jobs)}")
    print(f"{jobs[-1]}: {shlex.join(command)}")
  for array in arrays:
    print(f"{array.units_path.name}:")
    for number, line in enumerate(array.units.splitlines()):
      names = line.split(",")
      print(f"  {number}: {len(names)} runs, {names[0]} … {names[-1]}")
  print(f"{arrays[0].script_path.name}:")
  for line in arrays[0].script.splitlines():
    print(f"  {line}")
  return 0


def _folders(directory) -> list[pathlib.Path]:
  """The folders of earlier submissions, oldest first."""
  return sorted((directory.root / "work" / "slurm").glob("[0-9]" * 5))


def _new_folder(directory) -> pathlib.Path:
  found = _folders(directory)
  number = int(found[-1].name) + 1 if found else 0
  return directory.root / "work" / "slurm" / f"{number:05d}"


def _sent_tasks(folder: pathlib.Path) -> list[tasks_lib.Task]:
  """The tasks of a submission, from the lists that its arrays read."""
  return [
    tasks_lib.Task(
      f"{path.stem}-{number}",
      tuple(work_units.parse_unit(name) for name in line.split(",")),
    )
    for path in sorted(folder.glob("*.units"))
    for number, line in enumerate(path.read_text().splitlines())
  ]


def _job_name(directory) -> str:
  """The name of all jobs of a study; another study has another."""
  digest = directory_lib.digest_bytes(str(directory.root).encode())
  return f"memo_tf-{digest[:8]}"


def _living(directory, *, needed: bool = True) -> list[str]:
  """Ids of the study's jobs that are not over, but for this one."""
  name = f"--name={_job_name(directory)}"
  try:
    found = _slurm("squeue", "--noheader", name, "--format=%F").split()
  except directory_lib.UsageError:
    if needed:
      raise
    return []
  own = os.environ.get("SLURM_JOB_ID")
  return list(dict.fromkeys(job for job in found if job != own))


def _running(directory) -> int:
  """How many tasks of the study run now."""
  name = f"--name={_job_name(directory)}"
  answer = _slurm(
    "squeue", "--noheader", "--array", name, "--states=RUNNING", "--format=%i"
  )
  return len(answer.split())


def _slurm(*command: str) -> str:
  """Runs a program of Slurm's; returns what it prints.

  Raises:
    UsageError: if there is no Slurm, or it refuses.
  """
  try:
    done = subprocess.run(
      command, capture_output=True, text=True, check=False, timeout=60
    )
  except FileNotFoundError as error:
    raise directory_lib.UsageError(
      f"{command[0]} is missing: give the command on a machine that has Slurm "
      "(Debian: apt-get install slurm-client)"
    ) from error
  except subprocess.TimeoutExpired as error:
    raise directory_lib.UsageError(
      f"{command[0]} does not answer within 60 s: is Slurm's controller up?"
    ) from error
  if done.returncode:
    said = " ".join(done.stderr.split())[:300]
    raise directory_lib.UsageError(f"{command[0]} refuses: {said}")
  return done.stdout


if __name__ == "__main__":
  contract.run_program(PROGRAM, define_flags, launch)
