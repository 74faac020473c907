"""Store of datamodels (Ilyas et al., 2022): one row per model.

masks.npy      bool [M, N]
margins.npy    float16 [M, T]
_completed.npy bool [M], whether a row is finished
"""

import os
import pathlib

import numpy as np

from memo_tf.interchange import files


def read_datamodels(
  folder: str | os.PathLike,
) -> tuple[np.ndarray, np.ndarray]:
  """(masks bool `[M, N]`, margins `[M, T]`) of the completed models.

  Raises:
    InterchangeError: if a file is missing or has a wrong shape or dtype.
  """
  folder = pathlib.Path(folder)
  masks, margins, done = (
    files.load_npy(folder / f"{name}.npy")
    for name in ("masks", "margins", "_completed")
  )
  if masks.ndim != 2 or margins.ndim != 2 or masks.dtype != bool:
    raise files.InterchangeError(
      f"{folder}: masks must be bool [M, N] and margins [M, T]. Received: "
      f"{masks.dtype} {masks.shape} and {margins.shape}"
    )
  if not len(masks) == len(margins) == len(done):
    raise files.InterchangeError(
      f"{folder}: masks, margins and _completed must have one row per model. "
      f"Received: {len(masks)}, {len(margins)} and {len(done)}"
    )
  done = done.reshape(-1).astype(bool)
  return masks[done], margins[done]


def write_datamodels(
  folder: str | os.PathLike, masks: np.ndarray, margins: np.ndarray
) -> None:
  """Writes masks `[M, N]` and margins `[M, T]`, converted to float16."""
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  np.save(folder / "masks.npy", np.asarray(masks, bool))
  np.save(folder / "margins.npy", np.asarray(margins, np.float16))
  np.save(folder / "_completed.npy", np.ones(len(masks), bool))
