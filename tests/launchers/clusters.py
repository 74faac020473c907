"""A Ray cluster and a Slurm on this machine, for the tests of the launchers.

Where Ray or Slurm is missing a test is skipped and says what to install; with
MEMO_TF_REQUIRE_LAUNCHERS=1, as in .ci/launchers, it fails. A cluster that is
installed and does not start is always a failure.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from tests.support import small_study

LOCAL_SLURM = pathlib.Path(__file__).with_name("local_slurm.sh")
REQUIRED = "MEMO_TF_REQUIRE_LAUNCHERS"


def command(launcher: str, folder, *more: str, **changes) -> list[str]:
  """A launcher's command line for the small study with some flags changed."""
  arguments = small_study.command(folder, *more, **changes)
  return [sys.executable, "-m", f"launchers.{launcher}", *arguments[3:]]


def run(arguments: list[str]) -> subprocess.CompletedProcess:
  """Runs a program to its end: minutes, where others use the machine too."""
  return subprocess.run(
    arguments,
    cwd=small_study.ROOT,
    env=small_study.environment(),
    capture_output=True,
    text=True,
    timeout=3000,
    check=False,
  )


def launch(folder, **changes) -> subprocess.CompletedProcess:
  """Runs the small study with the local pool."""
  return run(small_study.command(folder, **changes))


def require_ray() -> None:
  """Skips the test, or fails it, where Ray is missing."""
  try:
    import ray
  except ImportError:
    _missing("Ray (pip install -r requirements-ray.txt)")
  else:
    del ray


def require_slurm() -> None:
  """Skips the test, or fails it, where Slurm cannot be had."""
  path = os.environ.get("PATH", "") + ":/usr/sbin"
  for program in ("munged", "slurmctld", "slurmd", "sbatch"):
    if not shutil.which(program, path=path):
      _missing(f"{program} (apt-get install slurm-wlm munge)")
  if os.geteuid():
    _missing("root, to start Slurm's daemons")


@contextlib.contextmanager
def ray_nodes(count: int):
  """A Ray cluster of nodes of one core each; the first is its head."""
  # Else Ray's processes come last on a machine that others use too.
  os.environ["RAY_worker_niceness"] = "0"
  os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
  from ray import cluster_utils

  cluster = cluster_utils.Cluster(
    initialize_head=True,
    head_node_args={"num_cpus": 1, "include_dashboard": False},
  )
  try:
    for _ in range(count - 1):
      cluster.add_node(num_cpus=1)
    yield cluster
  finally:
    cluster.shutdown()


@contextlib.contextmanager
def slurm():
  """Slurm with this machine as its only node; yields its folder."""
  folder = tempfile.mkdtemp(prefix="slurm")
  # Sockets' paths are short, and munge wants no folder open to others.
  os.chmod(folder, 0o755)
  before = os.environ.get("SLURM_CONF")
  try:
    subprocess.run([str(LOCAL_SLURM), "start", folder], check=True)
    os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"
    yield pathlib.Path(folder)
  finally:
    subprocess.run([str(LOCAL_SLURM), "stop", folder], check=False)
    if before is None:
      os.environ.pop("SLURM_CONF", None)
    else:
      os.environ["SLURM_CONF"] = before
    shutil.rmtree(folder, ignore_errors=True)


def record(folder) -> list[dict]:
  """The events of a launch's tasks."""
  path = pathlib.Path(folder) / "work" / "tasks" / "record.jsonl"
  if not path.exists():
    return []
  return [json.loads(line) for line in path.read_text().splitlines()]


def launches(folder) -> dict[int, str]:
  """Processes of tasks that are alive: their ids and command lines."""
  found = {}
  for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit():
      try:
        line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
      except OSError:
        continue
      if " -m memo_tf.launch " in line and f"--experiment_dir={folder}" in line:
        found[int(entry.name)] = line
  return found


def _missing(what: str) -> None:
  if os.environ.get(REQUIRED) == "1":
    raise AssertionError(f"{REQUIRED}=1, and there is no {what}")
  raise unittest.SkipTest(f"needs {what}")
