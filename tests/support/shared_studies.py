"""Finished studies that many tests read, each trained once per session.

A process that trains takes seconds to start, so the tests of whole launches
share these studies, also among pytest's processes: the first that needs one
trains it, the others wait. Tests that change a study take a `copy`.
"""

import atexit
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pandas as pd

from tests.support import small_study

# The folder that conftest.py makes for the session. Without it, as where a test
# file is run as a program, each process makes its own.
FOLDER = "MEMO_TF_TEST_STUDIES"

TEACHER = "cifar_resnet-8-w0.25"
DISTILLED = {
  "num_subsets": 2,
  "epochs": 2,
  "recipes": f"distilled-{TEACHER}-t3",
  "subset_families": "r0.50",
  "workers": 1,
}
PROXY_MODELS = ("cifar_resnet-8-w0.25", "cifar_resnet-8-w0.5")
PROXIES = (
  "cumulative_probability",
  "forgetting_events",
  "el2n",
  "cscore",
  "ensemble_disagreement",
)
WITH_PROXIES = {
  "models": ",".join(PROXY_MODELS),
  "num_subsets": 4,
  "subset_ratio": 0.5,
  "epochs": 2,
  "proxies": ",".join(PROXIES),
  "proxy_runs": 2,
  "score_epochs": 1,
  "workers": 1,
}


@dataclasses.dataclass(frozen=True)
class Study:
  """A finished study and what its last launch printed."""

  folder: pathlib.Path
  stdout: str
  stderr: str


def _four(folder: pathlib.Path):
  """The small study with 4 of its 10 subsets, by one worker."""
  return small_study.launch(folder, num_subsets=4, workers=1)


def _ten(folder: pathlib.Path):
  """The small study, grown from 4 subsets to 10."""
  shutil.copytree(finished("four").folder, folder)
  return small_study.launch(folder, workers=1)


def _distilled(folder: pathlib.Path):
  """Two teachers and two students on each of two subset families."""
  return small_study.launch(folder, **DISTILLED)


def custom_proxy() -> pd.DataFrame:
  """A proxy of the user's own: example_id modulo 7, of sign -1."""
  frame = pd.DataFrame(
    {"example_id": np.arange(1500), "mine": np.arange(1500) % 7}
  )
  frame.attrs["sign"] = {"mine": -1}
  return frame


def _proxies(folder: pathlib.Path):
  """Two sizes with proxies, one of them from a file of the user."""
  with tempfile.TemporaryDirectory() as temporary:
    path = pathlib.Path(temporary) / "custom.parquet"
    custom_proxy().to_parquet(path)
    return small_study.launch(folder, proxy_files=path, **WITH_PROXIES)


_MAKERS = {
  "four": _four,
  "ten": _ten,
  "distilled": _distilled,
  "proxies": _proxies,
}


def finished(name: str) -> Study:
  """A study, trained at the first call; not to be changed.

  Args:
    name: four, ten, distilled or proxies.

  Raises:
    RuntimeError: if its launch failed, here or in another process.
  """
  root = _root()
  # A path with a space, as people have them.
  folder, printed = root / f"{name} study", root / f"{name}.json"
  with open(root / f"{name}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not printed.exists():
      done = _MAKERS[name](folder)
      printed.write_text(
        json.dumps([done.returncode, done.stdout, done.stderr])
      )
  code, stdout, stderr = json.loads(printed.read_text())
  if code:
    raise RuntimeError(f"The launch of the study {name} failed:\n{stderr}")
  return Study(folder, stdout, stderr)


def copy(name: str, folder: pathlib.Path) -> pathlib.Path:
  """Copies a finished study to a new folder and returns that."""
  shutil.copytree(finished(name).folder, folder)
  return folder


def make_root() -> pathlib.Path:
  """Makes the folder of a session and tells this process and its children."""
  root = pathlib.Path(tempfile.mkdtemp(prefix="memo_tf_tests_"))
  root.chmod(0o755)  # users without rights read the studies, too
  os.environ[FOLDER] = str(root)
  return root


def _root() -> pathlib.Path:
  if FOLDER not in os.environ:
    atexit.register(shutil.rmtree, make_root(), ignore_errors=True)
  return pathlib.Path(os.environ[FOLDER])
