"""Reads the array of a .npy file."""

import os
from typing import Literal

import numpy as np


def load(
  path: str | os.PathLike, mmap_mode: Literal["r", "c"] | None = None
) -> np.ndarray:
  """The array of a .npy file, never unpickled.

  Args:
    path: of the file.
    mmap_mode: as `np.load` takes it; None: the array is read.

  Raises:
    OSError: if the file cannot be opened or read.
    ValueError: of one line, if it is damaged.
  """
  try:
    array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
  except OSError:
    raise
  # NumPy parses the header as Python does: SyntaxError, TokenError, MemoryError
  # and others come out of a damaged one.
  except Exception as error:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise ValueError(reason) from error
  if not isinstance(array, np.ndarray):  # an .npz in place of it
    raise ValueError("it is not an array")
  return array
