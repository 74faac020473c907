"""Runs a study as Slurm job arrays: teachers, then students, then the scores.

    python -m launchers.slurm_array --flagfile=cifar10.flags \\
        --gpus_per_task=1 --time_limit=4:00:00

Submits one array per wave, which starts when the wave before succeeded, and a
last job, which starts when all arrays have ended: it resends the units that
dead tasks left undone (`--task_retries` times) and then scores. The program
waits and shows progress; Ctrl-C ends the waiting, not the jobs, and `--nowait`
does not wait. Rerun the same command to wait for jobs that are still queued or
running, or else to send what is pending. docs/launchers.md has more. Other
flags:
"""

import json
import shlex
import subprocess
import time

from absl import flags

from launchers import contract
from launchers import ledger as ledger_lib
from launchers import slurm_plan
from launchers import slurm_queue
from launchers import tasks as tasks_lib
from launchers import watch as watch_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files

PROGRAM = slurm_plan.PROGRAM
POLL_SECONDS = 5.0


def define_flags(values: flags.FlagValues, program: str) -> None:
  """Defines the flags of every launcher and this one's own."""
  contract.define_flags(values, program)

  def text(name, meaning):
    flags.DEFINE_string(name, "", meaning, flag_values=values)

  def whole(name, default, meaning, least=0):
    flags.DEFINE_integer(
      name, default, meaning, lower_bound=least, flag_values=values
    )

  text("partition", "Slurm's partition; empty: the default.")
  text("time_limit", "Time limit of one task, as for sbatch --time: 4:00:00.")
  whole(
    "warn_seconds",
    60,
    "How long before its time limit a task is ended and requeued.",
  )
  whole("max_tasks", 0, "Tasks of an array at a time; 0: no limit.")
  whole(
    "max_requeues",
    20,
    "How often one task is requeued after it was killed or ran out of time.",
  )
  whole(
    "sent_before",
    -1,
    "Set by the last job for itself: how often undone units were resent.",
    least=-1,
  )
  flags.DEFINE_multi_string(
    "sbatch_option",
    [],
    "A further option of sbatch, such as --sbatch_option=--account=me; may be "
    "repeated.",
    flag_values=values,
  )
  flags.DEFINE_bool(
    "wait",
    True,
    "Wait until all jobs have ended, showing progress.",
    flag_values=values,
  )


def launch(
  values: flags.FlagValues,
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  only: list[work_units.WorkUnit],
) -> int:
  """Sends the pending units and waits for them; returns the exit code.

  Raises:
    UsageError: if flags, study and Slurm do not fit together.
    StudyError, OSError: if directory or Slurm cannot be used.
  """
  asked = tasks_lib.resources(
    values.cpus_per_task, values.gpus_per_task, config.running.threads_per_unit
  )
  tasks_lib.check_units_per_task(values.units_per_task)
  if asked.gpus != int(asked.gpus):
    raise errors.UsageError(
      "Slurm gives whole GPUs (to share one: --sbatch_option=--gres=shard:1, "
      "where the cluster has it). "
      f"Received: --gpus_per_task={values.gpus_per_task}"
    )
  if config.running.strategy == "multi_worker":
    raise errors.UsageError(
      "Slurm's arrays run each task in one process; launchers.ray_cluster "
      "places several. Received: --strategy=multi_worker"
    )
  if config.subsets.target_ci_width:
    raise errors.UsageError(
      "Slurm's arrays are sent once and cannot extend a study; "
      "launchers.ray_cluster and memo_tf.launch can. Received: "
      f"--target_ci_width={config.subsets.target_ci_width:g}"
    )
  if values.dry_run:
    study = contract.look_at_study(config, directory, only)
    return _dry_run(values, study, asked)
  if values.sent_before >= 0:
    return _last_job(values, config, directory, only, asked)
  living = slurm_queue.living(directory)
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
      "is done. Rerun the same command to wait for the rest."
    )
    return 0
  return _wait(study)


def _send(values, study, pending, asked, *, sent_before: int) -> None:
  """Writes the scripts of pending units and submits them."""
  folder = slurm_plan.new_folder(study.directory)
  folder.mkdir(parents=True)
  arrays = slurm_plan.arrays_of(values, study, pending, asked, folder)
  for array in arrays:
    files.write_atomic(array.units_path, array.units)
    files.write_atomic(array.script_path, array.script)
  path, script = slurm_plan.last_script(values, study, folder, sent_before)
  files.write_atomic(path, script)
  before = ledger_lib.tracebacks(study.directory, pending)
  files.write_atomic(
    folder / "before.json", json.dumps(before, indent=2) + "\n"
  )
  jobs: list[str] = []
  try:
    for command in slurm_plan.commands(
      values, study, arrays, asked, path, jobs
    ):
      jobs.append(slurm_queue.ask(*command).strip().split(";")[0])
  except BaseException:
    if jobs:  # without the last job, nothing would score or resend
      subprocess.run(["scancel", *jobs], check=False)
    raise
  contract.say(
    f"{len(study.plan.wanted)} runs: {len(pending)} sent in "
    f"{sum(array.tasks for array in arrays)} tasks (jobs "
    f"{' '.join(jobs[:-1])}), and job {jobs[-1]}, which scores. Logs and "
    f"scripts: {folder}"
  )


def _last_job(values, config, directory, only, asked) -> int:
  """Resends the units that dead tasks left undone, or scores."""
  study = contract.look_at_study(config, directory, only)
  folder = slurm_plan.folders(directory)[-1]
  failures = ledger_lib.own_failures(
    directory,
    study.found.pending,
    json.loads((folder / "before.json").read_text()),
  )
  rest = ledger_lib.without_broken(
    [unit for unit in study.found.pending if unit.name not in failures],
    study.plan,
    failures,
  )
  sent_before = values.sent_before
  if rest and sent_before < values.task_retries:
    contract.say(f"{len(rest)} runs were left undone: sending them again.")
    _send(values, study, rest, asked, sent_before=sent_before + 1)
    return 0
  for unit in rest:
    failures[unit.name] = (
      f"its task died, sent {sent_before + 1} times; logs: {folder}"
    )
  code = contract.finish(study, failures)
  result = {"code": code, "failures": failures}
  files.write_atomic(
    folder / "result.json", json.dumps(result, indent=2) + "\n"
  )
  return code


def _wait(study) -> int:
  """Waits until no job of the study is left; returns the last job's code."""
  directory = study.directory
  watch = watch_lib.Watch(study, slurm_queue.running(directory))
  folder, tasks = None, []
  try:
    while slurm_queue.living(directory):
      if folder != slurm_plan.folders(directory)[-1]:
        folder = slurm_plan.folders(directory)[-1]
        tasks = slurm_plan.sent_tasks(folder)
      watch.slots(slurm_queue.running(directory))
      watch.look(tasks)
      time.sleep(POLL_SECONDS)
    watch.look(tasks, now=True)
  finally:
    watch.close()
  folder = slurm_plan.folders(directory)[-1]
  try:
    result = json.loads((folder / "result.json").read_text())
    said = (folder / "last.log").read_text(errors="replace")
  except (OSError, ValueError) as error:
    raise errors.StudyError(
      "all jobs have ended, but the last one did not finish (cancelled?); logs "
      f"are in {folder}. Rerun the same command to send the pending runs."
    ) from error
  print(said, end="")
  return result["code"]


def _dry_run(values, study, asked) -> int:
  """Prints what would be submitted."""
  folder = slurm_plan.new_folder(study.directory)
  arrays = slurm_plan.arrays_of(
    values, study, study.found.pending, asked, folder
  )
  print(
    f"Slurm: {len(study.found.pending)} of {len(study.plan.wanted)} runs in "
    f"{sum(array.tasks for array in arrays)} tasks of {asked.cpus} CPU, "
    f"{asked.gpus:g} GPU."
  )
  living = slurm_queue.living(study.directory, needed=False)
  if living:
    print(
      "Nothing would be sent: jobs of this study are in the queue: "
      f"{' '.join(living)}."
    )
    return 0
  if not arrays:
    return 0
  path, _ = slurm_plan.last_script(values, study, folder, 0)
  jobs: list[str] = []
  for command in slurm_plan.commands(values, study, arrays, asked, path, jobs):
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


def main() -> None:
  """The program."""
  contract.run_program(PROGRAM, define_flags, launch)


if __name__ == "__main__":
  main()
