"""Batch scripts and arguments of sbatch, as text.

Pure functions. A task of an array takes its line of a list of units and runs
them with `memo_tf.launch`. Slurm itself requeues a task whose machine fails or
that is preempted; the script requeues a task that is killed (out of memory) or
runs out of time, of which Slurm warns it beforehand.
"""

from collections.abc import Sequence
import dataclasses
import shlex

# Slurm's warning before the end of --time_limit.
WARNING_SIGNAL = "USR1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """Options of every job.

  Attributes:
    partition: of Slurm; empty: the cluster's default.
    time_limit: as `sbatch --time` takes it; empty: the partition's.
    warn_seconds: how long before the limit a task is ended and requeued.
    max_tasks: tasks of an array at a time; 0: as many as Slurm allows.
    job_name: of all jobs of the study.
    more: further arguments of sbatch.
  """

  partition: str
  time_limit: str
  warn_seconds: int
  max_tasks: int
  job_name: str
  more: tuple[str, ...]


def array_script(
  *, python: str, root: str, arguments: list[str], units: str, requeues: int
) -> str:
  """The script of an array's tasks.

  Args:
    python: the interpreter, the same on all machines.
    root: the project's folder.
    arguments: of the task's command, without its units.
    units: file with one line of comma-separated units per task.
    requeues: how often the script requeues one task, at most.
  """
  return f"""#!/bin/bash
# Written by launchers.slurm_array. A task of the array runs its line of units.
{_head(root)}
units=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(units)})
if [ -z "$units" ]; then
  echo "no units for task $SLURM_ARRAY_TASK_ID" >&2
  exit 2
fi

{shlex.join([python, *arguments])} --work_units="$units" &
launch=$!

end() {{ kill -TERM "$launch" 2>/dev/null; wait "$launch"; }}

# Finished runs are in the study's directory; the task resumes with the rest.
requeue() {{
  if [ "${{SLURM_RESTART_COUNT:-0}}" -ge {requeues} ]; then
    echo "$1; it was requeued {requeues} times already: giving up" >&2
    exit 1
  fi
  echo "$1: requeued" >&2
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
  exit 1
}}

trap 'end; requeue "out of time"' {WARNING_SIGNAL}
# Cancelled or preempted; in the second case Slurm requeues it.
trap 'end; exit 143' TERM

wait "$launch"
code=$?
case $code in
  130 | 143) ;; # told to end: by scancel, or before its machine is preempted
  *) [ "$code" -le 128 ] || requeue "killed by signal $((code - 128))" ;;
esac
exit "$code"
"""


def last_script(*, python: str, root: str, arguments: list[str]) -> str:
  """The script of the last job, which scores or resends undone units."""
  return f"""#!/bin/bash
# Written by launchers.slurm_array. Runs when all arrays have ended.
{_head(root)}
exec {shlex.join([python, *arguments])}
"""


def array_arguments(
  options: Options,
  *,
  script: str,
  tasks: int,
  cpus: int,
  gpus: float,
  after: Sequence[str],
  log: str,
) -> list[str]:
  """The sbatch command of one array, which starts when `after` succeeded."""
  throttle = f"%{options.max_tasks}" if options.max_tasks else ""
  command = [
    "sbatch",
    "--parsable",
    f"--job-name={options.job_name}",
    f"--array=0-{tasks - 1}{throttle}",
    f"--cpus-per-task={cpus}",
    "--ntasks=1",
    "--requeue",
    "--open-mode=append",
    f"--output={log}",
    f"--signal=B:{WARNING_SIGNAL}@{options.warn_seconds}",
  ]
  if gpus:
    command.append(f"--gpus-per-task={int(gpus)}")
  if options.time_limit:
    command.append(f"--time={options.time_limit}")
  if after:
    # Otherwise an array whose teachers failed would wait forever.
    command.append(f"--dependency=afterok:{':'.join(after)}")
    command.append("--kill-on-invalid-dep=yes")
  return [*command, *_common(options), script]


def last_arguments(
  options: Options, *, script: str, after: Sequence[str], log: str
) -> list[str]:
  """The sbatch command of the last job; starts when all arrays have ended."""
  return [
    "sbatch",
    "--parsable",
    f"--job-name={options.job_name}",
    "--ntasks=1",
    "--requeue",
    "--open-mode=append",
    f"--output={log}",
    f"--dependency=afterany:{':'.join(after)}",
    *_common(options),
    script,
  ]


def _common(options: Options) -> list[str]:
  partition = [f"--partition={options.partition}"] if options.partition else []
  return [*partition, *options.more]


def _head(root: str) -> str:
  return f"""cd {shlex.quote(root)} || exit 1
export PYTHONPATH={shlex.quote(root)}${{PYTHONPATH:+:$PYTHONPATH}}
"""
