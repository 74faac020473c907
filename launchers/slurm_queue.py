"""Asks Slurm which jobs of a study are queued or running."""

import os
import subprocess

from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import files


def job_name(directory: directory_lib.StudyDirectory) -> str:
  """The name of all jobs of a study, different for each study."""
  digest = files.digest_bytes(str(directory.root).encode())
  return f"memo_tf-{digest[:8]}"


def living(
  directory: directory_lib.StudyDirectory, *, needed: bool = True
) -> list[str]:
  """Ids of the study's jobs that have not ended, except this one."""
  name = f"--name={job_name(directory)}"
  try:
    found = ask("squeue", "--noheader", name, "--format=%F").split()
  except errors.UsageError:
    if needed:
      raise
    return []
  own = os.environ.get("SLURM_JOB_ID")
  return list(dict.fromkeys(job for job in found if job != own))


def running(directory: directory_lib.StudyDirectory) -> int:
  """How many tasks of the study are running."""
  name = f"--name={job_name(directory)}"
  answer = ask(
    "squeue", "--noheader", "--array", name, "--states=RUNNING", "--format=%i"
  )
  return len(answer.split())


def ask(*command: str) -> str:
  """Runs a command of Slurm; returns what it prints.

  Raises:
    UsageError: if Slurm is missing, does not answer, or refuses the command.
  """
  try:
    done = subprocess.run(
      command, capture_output=True, text=True, check=False, timeout=60
    )
  except FileNotFoundError as error:
    raise errors.UsageError(
      f"{command[0]} is missing: run this command on a machine that has Slurm "
      "(Debian: apt-get install slurm-client)"
    ) from error
  except subprocess.TimeoutExpired as error:
    raise errors.UsageError(
      f"{command[0]} does not answer within 60 s: is Slurm's controller up?"
    ) from error
  if done.returncode:
    said = " ".join(done.stderr.split())[:300]
    raise errors.UsageError(f"{command[0]} refuses: {said}")
  return done.stdout
