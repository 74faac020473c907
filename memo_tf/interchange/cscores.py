"""C-scores as published (Jiang et al., 2021): `labels`, `scores`, `filenames`."""

import dataclasses
import os

import numpy as np

from memo_tf.interchange import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedCScores:
  """`scores` float `[N]`, `labels` int `[N]`, `filenames` str `[N]` or None."""

  scores: np.ndarray
  labels: np.ndarray
  filenames: np.ndarray | None = None


def read_cscores(
  path: str | os.PathLike, *, labels: np.ndarray | None = None
) -> PublishedCScores:
  """Reads C-scores.

  Args:
    path: of the .npz file.
    labels: `[N]`, yours; a file in another order is refused.

  Raises:
    InterchangeError: if the file is not right, or in another order.
  """
  content = files.load_npz(path, ("labels", "scores"))
  files.check_length(path, labels=content["labels"], scores=content["scores"])
  files.check_labels(path, content["labels"], labels)
  names = content.get("filenames")
  if names is not None and names.dtype.kind == "S":
    names = np.char.decode(names, "utf-8")
  return PublishedCScores(
    scores=content["scores"], labels=content["labels"], filenames=names
  )


def write_cscores(
  path: str | os.PathLike,
  scores: np.ndarray,
  labels: np.ndarray,
  filenames: np.ndarray | None = None,
) -> None:
  """Writes C-scores `[N]` with their labels `[N]`, in original order."""
  arrays = {"labels": np.asarray(labels), "scores": np.asarray(scores)}
  if filenames is not None:
    arrays["filenames"] = np.char.encode(np.asarray(filenames), "utf-8")
  files.check_length(path, **arrays)
  files.write_npz(path, **arrays)
