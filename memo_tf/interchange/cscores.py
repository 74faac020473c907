"""C-scores as published (Jiang et al., 2021): labels, scores, file names."""

import dataclasses
import os

import numpy as np

from memo_tf.interchange import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedCScores:
  """Published C-scores of N examples.

  Attributes:
    scores: `[N]` float.
    labels: `[N]` int.
    filenames: `[N]` str, or None.
  """

  scores: np.ndarray
  labels: np.ndarray
  filenames: np.ndarray | None = None


def read_cscores(
  path: str | os.PathLike, *, labels: np.ndarray | None = None
) -> PublishedCScores:
  """C-scores of a published file.

  Args:
    path: of the .npz file.
    labels: `[N]`, your labels; a file in another order is refused.

  Raises:
    InterchangeError: if the file is malformed or in another order.
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
  """Writes C-scores `[N]` with labels `[N]` and file names, if given."""
  arrays = {"labels": np.asarray(labels), "scores": np.asarray(scores)}
  if filenames is not None:
    arrays["filenames"] = np.char.encode(np.asarray(filenames), "utf-8")
  files.check_length(path, **arrays)
  files.write_npz(path, **arrays)
