"""The environment of a child process that computes."""

import os
import pathlib


def environment(threads: int) -> dict[str, str]:
  """The environment of a worker: thread limits, quiet logs, memory kept."""
  package_root = str(pathlib.Path(__file__).resolve().parents[2])
  paths = [package_root, os.environ.get("PYTHONPATH", "")]
  limits = {
    name: str(threads)
    for name in (
      "OMP_NUM_THREADS",
      "OPENBLAS_NUM_THREADS",
      "TF_NUM_INTRAOP_THREADS",
      "TF_NUM_INTEROP_THREADS",
    )
  }
  # glibc would give a step's activations back to the system and fault them in
  # again at the next one.
  memory = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # glibc's largest value
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
  }
  quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
  return {
    **memory,
    **os.environ,
    **limits,
    **quiet,
    "PYTHONPATH": os.pathsep.join(path for path in paths if path),
  }
