"""Real launches of a study cut small, for the tests that need whole ones."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "cifar_resnet-8-w0.5"
FLAGS = {
  "dataset": "digits",
  "label_noise": "0.1",
  "models": MODEL,
  "num_subsets": "10",
  "epochs": "3",
  "checkpoint_epochs": "1",
  "batch_size": "128",
  "learning_rate": "0.1",
  "workers": "2",
}


def command(
  folder, *more: str, program: str = "launch", **changes
) -> list[str]:
  """A command line: the small study's flags with some changed or added."""
  flags = {**FLAGS, **{k: str(v) for k, v in changes.items()}}
  return [
    sys.executable,
    "-m",
    f"memo_tf.{program}",
    *(f"--{name}={value}" for name, value in flags.items()),
    *([f"--experiment_dir={folder}"] if folder else []),
    *more,
  ]


def environment() -> dict[str, str]:
  paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
  return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}


def launch(folder, *more: str, **changes) -> subprocess.CompletedProcess:
  """Runs a launch to its end."""
  return run(command(folder, *more, **changes))


def run(arguments: list[str], **options) -> subprocess.CompletedProcess:
  """Runs a program of the project to its end."""
  return subprocess.run(
    arguments,
    cwd=ROOT,
    env=environment(),
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
    **options,
  )


def start(folder, *more: str, **changes) -> subprocess.Popen:
  """Starts a launch in a process group of its own."""
  return start_command(command(folder, *more, **changes))


def start_command(arguments: list[str]) -> subprocess.Popen:
  """Starts a program of the project in a process group of its own."""
  return subprocess.Popen(
    arguments,
    cwd=ROOT,
    env=environment(),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )


def finished_runs(folder) -> list[pathlib.Path]:
  runs = pathlib.Path(folder) / "runs"
  return sorted(
    p for p in runs.rglob("run.json") if not p.parent.name.startswith(".")
  )


def wait_for(condition, seconds: float = 120.0):
  """Waits until `condition()` is true and returns its value."""
  deadline = time.monotonic() + seconds
  while time.monotonic() < deadline:
    value = condition()
    if value:
      return value
    time.sleep(0.02)
  raise TimeoutError(f"not true within {seconds} s")


def children_of(pid: int) -> list[int]:
  """Process ids of the living children of a process."""
  found = []
  for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit():
      try:
        fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
      except OSError:
        continue
      if int(fields[1]) == pid and fields[0] != "Z":
        found.append(int(entry.name))
  return found


def is_working(pid: int) -> bool:
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except OSError:
    return False
  return state.rsplit(")", 1)[1].split()[0] != "Z"


def kill_all(process: subprocess.Popen) -> list[int]:
  """SIGKILL for a launch and all its workers; returns the workers' ids."""
  workers = children_of(process.pid)
  for pid in [*workers, process.pid]:
    try:
      os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
      pass
  process.communicate()
  return workers


def arrays(folder) -> dict[str, np.ndarray]:
  """Every decoded array of a study's runs and scores, by name."""
  directory = directory_lib.StudyDirectory(folder)
  found = {}
  for path in finished_runs(folder):
    name = str(path.parent.relative_to(directory.root / "runs"))
    table = predictions.read_run(directory, work_units.parse_unit(name))
    for column in table.column_names:
      found[f"{name}:{column}"] = table.column(column).to_pandas().to_numpy()
  for path in sorted((directory.root / "scores").rglob("*.parquet")):
    frame = pd.read_parquet(path)
    for column in frame.columns:
      key = f"{path.relative_to(directory.root)}:{column}"
      found[key] = frame[column].to_numpy()
  return found


def differences(one: dict, other: dict) -> list[str]:
  """Names of arrays that are missing in one or differ in any bit."""
  return [
    name
    for name in sorted({*one, *other})
    if name not in one
    or name not in other
    or not np.array_equal(
      one[name], other[name], equal_nan=one[name].dtype.kind == "f"
    )
  ]
