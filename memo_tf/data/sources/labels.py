"""Labels that a user gives: `--labels_file`, or those of an .npz file."""

import os

import numpy as np

from memo_tf.experiment import errors
from memo_tf.store import arrays


def read(path: str, count: int) -> np.ndarray:
  """Reads the labels of `--labels_file`.

  Args:
    path: of a .npy array, or a text file with one label per line.
    count: N, the number of training examples.

  Returns:
    int32 `[N]`, by id.

  Raises:
    UsageError: if it cannot be read or does not hold N whole numbers.
  """
  try:
    if path.endswith(".npy"):
      labels = arrays.load(path)
    else:
      labels = np.loadtxt(path, dtype=np.float64, ndmin=1)
  except (OSError, ValueError, EOFError) as error:
    raise errors.UsageError(
      "--labels_file must be a .npy array of integers, or text with one label "
      f"per line ({error}). Received: {path}"
    ) from error
  if labels.shape != (count,):
    raise errors.UsageError(
      f"--labels_file must hold a label for each of the {count} training "
      f"examples, by id. Received: an array of shape {list(labels.shape)}"
    )
  return whole_numbers(labels, "labels", path)


def whole_numbers(
  values: np.ndarray, name: str, path: str | os.PathLike
) -> np.ndarray:
  """Labels of any numeric type as int32 `[n]`.

  Args:
    values: `[n]`, whole numbers of at most 2**30.
    name: of the array, for the message.
    path: of its file, for the message.

  Raises:
    UsageError: that names the first example whose label is no whole number.
  """
  if values.ndim != 1 or values.dtype.kind not in "iufb":
    raise errors.UsageError(
      f"{path}: {name} must be whole numbers, one per example. Received: "
      f"{values.dtype} of shape {list(values.shape)}"
    )
  wrong = np.flatnonzero(
    ~np.isfinite(values)
    | (values != np.rint(values))
    | (np.abs(values) > 2**30)
  )
  if len(wrong):
    raise errors.UsageError(
      f"{path}: {name} must be whole numbers. Received: {values[wrong[0]]} for "
      f"example {wrong[0]}"
    )
  return values.astype(np.int32)
