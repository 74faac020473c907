"""Attributions in, and the truth that runs give about them out.

An attribution is one .npy file, float [N, T] (`train_by_test`, as dattri has
it) or [T, N] (`test_by_train`, as quanda has its explanations), N training and
T test examples: `np.save(path, scores.numpy())`. Nothing tells the two apart if
N = T, so that the orientation is always stated.

The truth is one .npz file:

    target_values  float32 [M, T], outputs of run m: larger is better
    indices        int64 [M, n], ids of the subset of run m, ascending
    test_ids       int64 [T], test examples of the columns

which are, as tensors, the two parts of `ground_truth` of `dattri.metric.lds`;
`indices` are `subset_ids` of quanda's `LinearDatamodelingMetric`.
"""

import os

import numpy as np

from memo_tf.interchange import files

TRAIN_BY_TEST, TEST_BY_TRAIN = "train_by_test", "test_by_train"
ORIENTATIONS = (TRAIN_BY_TEST, TEST_BY_TRAIN)


def read_attribution(
  path: str | os.PathLike, *, orientation: str, num_train: int, num_test: int
) -> np.ndarray:
  """An attribution `[N, T]`, training examples by test examples.

  Args:
    path: of the .npy file.
    orientation: of the file, one of `ORIENTATIONS`.
    num_train: N.
    num_test: T.

  Raises:
    ValueError: if there is no such orientation.
    InterchangeError: if the file has another shape, or values that are no
      finite numbers.
  """
  if orientation not in ORIENTATIONS:
    raise ValueError(
      f"`orientation` must be one of {', '.join(ORIENTATIONS)}. Received: "
      f"{orientation!r}"
    )
  values = files.load_npy(path)
  shape = (num_train, num_test)
  if orientation == TEST_BY_TRAIN:
    shape = (num_test, num_train)
  if values.shape != shape:
    other = ORIENTATIONS[orientation == TRAIN_BY_TEST]
    hint = f"; it would fit as {other}" if values.shape == shape[::-1] else ""
    raise files.InterchangeError(
      f"{path} must be {shape[0]} x {shape[1]} as {orientation}: there are "
      f"{num_train} training and {num_test} test examples. Received: "
      f"{' x '.join(map(str, values.shape)) or 'a single number'}{hint}"
    )
  if values.dtype.kind not in "fiu":
    raise files.InterchangeError(
      f"{path} must hold real numbers. Received: {values.dtype}"
    )
  if not np.isfinite(values).all():
    raise files.InterchangeError(
      f"{path} must be finite. Received: {int((~np.isfinite(values)).sum())} "
      "values that are not"
    )
  return values.T if orientation == TEST_BY_TRAIN else values


def write_attribution_truth(
  path: str | os.PathLike,
  in_mask: np.ndarray,
  target_values: np.ndarray,
  *,
  test_ids: np.ndarray | None = None,
) -> None:
  """Writes what runs on subsets put out, as the docstring of the module says.

  Args:
    path: of the .npz file.
    in_mask: `[M, N]` bool.
    target_values: `[M, T]`, larger if the test example is predicted better.
    test_ids: `[T]` int; None: 0 to T - 1.

  Raises:
    InterchangeError: if shapes differ, or the subsets are not of one size,
      which a rectangular array cannot hold.
  """
  in_mask, target_values = np.asarray(in_mask), np.asarray(target_values)
  if (
    in_mask.ndim != 2
    or in_mask.dtype != bool
    or target_values.ndim != 2
    or len(in_mask) != len(target_values)
  ):
    raise files.InterchangeError(
      "in_mask must be bool [M, N] and target_values [M, T]. Received: "
      f"{in_mask.dtype} {in_mask.shape} and {target_values.shape}"
    )
  sizes = np.unique(in_mask.sum(axis=1))
  if len(sizes) > 1:
    raise files.InterchangeError(
      "the subsets must be of one size to be an array of ids. Received: "
      f"sizes from {sizes[0]} to {sizes[-1]}"
    )
  if test_ids is None:
    test_ids = np.arange(target_values.shape[1])
  files.write_npz(
    path,
    target_values=target_values.astype(np.float32),
    indices=np.stack([np.flatnonzero(row) for row in in_mask]),
    test_ids=np.asarray(test_ids, np.int64),
  )
