"""Folders of LiRA's shadow models (Carlini et al., 2022; tensorflow/privacy).

    <folder>/experiment-<m>_<M>/keep.npy               bool [N], in its subset
    <folder>/experiment-<m>_<M>/logits/0000000100.npy  float [N, 1, A, C]

With A augmentations. Only the last checkpoint's file is read, and of each
example the first view, which is the image without augmentation.
"""

import os
import pathlib

import numpy as np

from memo_tf.interchange import files


def read_lira(
  folder: str | os.PathLike,
) -> tuple[np.ndarray, np.ndarray]:
  """(in_mask bool `[M, N]`, logits `[M, N, C]`), sorted by folder name.

  Raises:
    InterchangeError: if there are no runs, or their shapes differ.
  """
  folder = pathlib.Path(folder)
  masks: list[np.ndarray] = []
  logits: list[np.ndarray] = []
  for path in sorted(folder.glob("*/keep.npy"), key=lambda p: _key(p.parent)):
    steps = sorted((path.parent / "logits").glob("*.npy"))
    if not steps:
      raise files.InterchangeError(f"{path.parent} lacks logits/*.npy.")
    keep, values = files.load_npy(path), files.load_npy(steps[-1])
    if keep.ndim != 1 or values.ndim < 2 or len(values) != len(keep):
      raise files.InterchangeError(
        f"{path.parent}: keep must be [N] and logits [N, ..., C]. Received: "
        f"{keep.shape} and {values.shape}"
      )
    while values.ndim > 2:
      values = values[:, 0]
    if masks and (keep.shape, values.shape) != (
      masks[0].shape,
      logits[0].shape,
    ):
      raise files.InterchangeError(
        f"{path.parent} has other shapes than the first run. Received: "
        f"{keep.shape} and {values.shape}"
      )
    masks.append(keep.astype(bool))
    logits.append(values)
  if not masks:
    raise files.InterchangeError(f"{folder} has no */keep.npy.")
  return np.stack(masks), np.stack(logits)


def write_lira(
  folder: str | os.PathLike, in_mask: np.ndarray, logits: np.ndarray
) -> None:
  """Writes `in_mask` `[M, N]` and `logits` `[M, N, C]` as M folders."""
  for m, (keep, values) in enumerate(zip(in_mask, logits)):
    run = pathlib.Path(folder) / f"experiment-{m}_{len(in_mask)}"
    (run / "logits").mkdir(parents=True, exist_ok=True)
    np.save(run / "keep.npy", np.asarray(keep, bool))
    np.save(run / "logits" / "0000000100.npy", values[:, None, None, :])


def _key(path: pathlib.Path) -> tuple[list[int], str]:
  """Sort key that puts experiment-2 before experiment-10."""
  digits = "".join(c if c.isdigit() else " " for c in path.name).split()
  return [int(d) for d in digits], path.name
