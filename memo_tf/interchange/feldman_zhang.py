"""Feldman & Zhang's published files (2020, arXiv:2008.03703).

* pairs: `tr_idx, tt_idx, infl, mem`, one entry per high-influence pair;
* matrices: `infl_matrix_class{K}` with TRAIN rows and TEST columns, and
  `tr_classidx_{K}, tt_classidx_{K}`; CIFAR-100's file also has `tr_labels,
  tt_labels, tr_mem`; ImageNet has them in a separate index file, with
  `tr_filenames, tt_filenames`, and its matrices come in parts that must be
  concatenated;
* their MNIST demo: `memorization` [N] and `influence` with TEST rows [T, N].

Here influence is always `[T, N]`, one row per test example.
"""

from collections.abc import Sequence
import dataclasses
import io
import os
import pathlib
from typing import Any

import numpy as np

from memo_tf.interchange import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedPairs:
  """P high-influence pairs; every array is `[P]`.

  Attributes:
    train_ids, test_ids: int64, indices in the original order.
    influence: of the training on the test example.
    memorization: of the training example.
  """

  train_ids: np.ndarray
  test_ids: np.ndarray
  influence: np.ndarray
  memorization: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedInfluence:
  """Memorization and influence as published.

  Attributes:
    memorization: `[N]`.
    influence: by class, `[T_c, N_c]`; the demo's full matrix is class None.
    train_ids, test_ids: by class, `[N_c]` and `[T_c]`.
    train_labels, test_labels: `[N]` and `[T]`; None in the demo's file.
    train_filenames, test_filenames: str `[N]` and `[T]`, ImageNet's; else None.
  """

  memorization: np.ndarray
  influence: dict
  train_ids: dict
  test_ids: dict
  train_labels: np.ndarray | None = None
  test_labels: np.ndarray | None = None
  train_filenames: np.ndarray | None = None
  test_filenames: np.ndarray | None = None


def read_influence_pairs(
  path: str | os.PathLike,
  *,
  train_labels: np.ndarray | None = None,
  test_labels: np.ndarray | None = None,
) -> PublishedPairs:
  """High-influence pairs of a published file.

  Args:
    path: of the .npz file.
    train_labels, test_labels: `[N]` and `[T]`, your labels. Both examples of a
      published pair have the same class, so other labels mean another order.

  Returns:
    A `PublishedPairs`, in the order of the file.

  Raises:
    InterchangeError: if the file is malformed or in another order.
  """
  content = files.load_npz(path, ("tr_idx", "tt_idx", "infl", "mem"))
  train, test = content["tr_idx"], content["tt_idx"]
  files.check_length(
    path, tr_idx=train, tt_idx=test, infl=content["infl"], mem=content["mem"]
  )
  for name, ids, labels in (
    ("tr_idx", train, train_labels),
    ("tt_idx", test, test_labels),
  ):
    files.check_ids(path, name, ids, None if labels is None else len(labels))
  if train_labels is not None and test_labels is not None:
    files.check_labels(
      path, np.asarray(train_labels)[train], np.asarray(test_labels)[test]
    )
  return PublishedPairs(
    train_ids=train,
    test_ids=test,
    influence=content["infl"],
    memorization=content["mem"],
  )


def write_influence_pairs(
  path: str | os.PathLike,
  pairs: Any,
  memorization: np.ndarray | None = None,
) -> None:
  """Writes high-influence pairs.

  Args:
    path: of the .npz file.
    pairs: a `PublishedPairs`, or an `estimators.InfluencePairs` together with
      `memorization`.
    memorization: `[N]`, scores of the training examples; None takes those of
      `pairs`.
  """
  scores = (
    pairs.memorization
    if memorization is None
    else np.asarray(memorization)[pairs.train_ids]
  )
  files.write_npz(
    path,
    tr_idx=np.asarray(pairs.train_ids, np.int64),
    tt_idx=np.asarray(pairs.test_ids, np.int64),
    infl=np.asarray(pairs.influence, np.float64),
    mem=np.asarray(scores, np.float64),
  )


# Over 60 lines: one check of the file after another, each with its message.
def read_influence_matrix(
  path: str | os.PathLike | Sequence[str | os.PathLike],
  *,
  index_path: str | os.PathLike | None = None,
  rows: str | None = None,
  train_labels: np.ndarray | None = None,
  test_labels: np.ndarray | None = None,
) -> PublishedInfluence:
  """Influence matrices of CIFAR-100, ImageNet or the demo.

  Args:
    path: of the .npz file, or of its parts in order.
    index_path: ImageNet's index file; None if `path` has the labels itself.
    rows: what a row of a stored matrix is, `train` or `test`; None decides by
      the shape, and for a square matrix by the file's convention (class
      matrices have training rows, the demo's matrix test rows).
    train_labels, test_labels: `[N]` and `[T]`, your labels; a file in another
      order is refused.

  Returns:
    A `PublishedInfluence`, with one row per test example.

  Raises:
    InterchangeError: if a file is malformed or in another order.
  """
  if rows not in (None, "train", "test"):
    raise ValueError(f"`rows` must be train, test or None. Received: {rows!r}")
  if not isinstance(path, (str, os.PathLike)):
    content = files.load_npz(
      io.BytesIO(b"".join(pathlib.Path(part).read_bytes() for part in path)), ()
    )
    path = path[0]
  else:
    content = files.load_npz(path, ())
  if "influence" in content and "memorization" in content:
    return _demo(path, content, rows)
  index = content if index_path is None else files.load_npz(index_path, ())
  source = path if index_path is None else index_path
  for key in ("tr_labels", "tt_labels", "tr_mem"):
    if key not in index:
      raise files.InterchangeError(f"{source} lacks {key}.")
  files.check_length(
    source, tr_labels=index["tr_labels"], tr_mem=index["tr_mem"]
  )
  files.check_labels(source, index["tr_labels"], train_labels)
  files.check_labels(source, index["tt_labels"], test_labels)
  names = [key for key in content if key.startswith("infl_matrix_class")]
  if not names:
    raise files.InterchangeError(f"{path} lacks infl_matrix_class0.")
  influence, train_ids, test_ids = {}, {}, {}
  for name in names:
    label = int(name.removeprefix("infl_matrix_class"))
    for key in (f"tr_classidx_{label}", f"tt_classidx_{label}"):
      if key not in content:
        raise files.InterchangeError(f"{path} lacks {key}.")
    train = content[f"tr_classidx_{label}"]
    test = content[f"tt_classidx_{label}"]
    for ids, part in ((train, "tr"), (test, "tt")):
      labels = index[f"{part}_labels"]
      files.check_ids(path, f"{part}_classidx_{label}", ids, len(labels))
      if (labels[ids] != label).any():
        raise files.InterchangeError(
          f"{path} is in another order than its labels: "
          f"{part}_classidx_{label} has examples of other classes."
        )
    influence[label] = _oriented(
      path, content[name], len(train), len(test), rows or "train", rows
    )
    train_ids[label], test_ids[label] = train, test
  return PublishedInfluence(
    memorization=index["tr_mem"],
    influence=influence,
    train_ids=train_ids,
    test_ids=test_ids,
    train_labels=index["tr_labels"],
    test_labels=index["tt_labels"],
    train_filenames=_text(index.get("tr_filenames")),
    test_filenames=_text(index.get("tt_filenames")),
  )


def _demo(path, content, rows) -> PublishedInfluence:
  scores, matrix = content["memorization"], content["influence"]
  if scores.ndim != 1 or matrix.ndim != 2 or len(scores) not in matrix.shape:
    raise files.InterchangeError(
      f"{path}: memorization must be [N] and influence [T, N]. Received: "
      f"{scores.shape} and {matrix.shape}"
    )
  num_test = matrix.size // max(len(scores), 1)
  matrix = _oriented(path, matrix, len(scores), num_test, rows or "test", rows)
  return PublishedInfluence(
    memorization=scores,
    influence={None: matrix},
    train_ids={None: np.arange(len(scores))},
    test_ids={None: np.arange(num_test)},
  )


def _oriented(path, matrix, num_train, num_test, convention, asked):
  """A stored matrix as [T, N]."""
  shapes = {"train": (num_train, num_test), "test": (num_test, num_train)}
  fitting = [k for k, shape in shapes.items() if shape == matrix.shape]
  if asked is not None:
    fitting = [k for k in fitting if k == asked]
  if not fitting:
    raise files.InterchangeError(
      f"{path}: a matrix of {num_train} training and {num_test} test examples"
      f"{f' with {asked} rows' if asked else ''} was expected. Received: "
      f"{matrix.shape}"
    )
  side = convention if convention in fitting else fitting[0]
  return matrix.T if side == "train" else matrix


def _text(names: np.ndarray | None) -> np.ndarray | None:
  if names is None:
    return None
  return np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names


def write_influence_matrix(
  path: str | os.PathLike,
  content: PublishedInfluence,
  *,
  index_path: str | os.PathLike | None = None,
) -> None:
  """Writes influence matrices in the published format.

  Args:
    path: of the .npz file.
    content: matrices by class, or the demo's full matrix (class None), which is
      written with test rows.
    index_path: of a separate file for labels, as ImageNet has; None writes them
      to `path`.
  """
  if set(content.influence) == {None}:
    files.write_npz(
      path,
      memorization=content.memorization,
      influence=content.influence[None],
    )
    return
  if content.train_labels is None or content.test_labels is None:
    raise files.InterchangeError(
      "Matrices by class are written with labels. Received: labels None"
    )
  index = {
    "tr_labels": content.train_labels,
    "tt_labels": content.test_labels,
    "tr_mem": content.memorization,
  }
  for key, names in (
    ("tr_filenames", content.train_filenames),
    ("tt_filenames", content.test_filenames),
  ):
    if names is not None:
      index[key] = np.char.encode(names, "utf-8")
  arrays = {}
  for label, matrix in content.influence.items():
    arrays[f"infl_matrix_class{label}"] = np.ascontiguousarray(matrix.T)
    arrays[f"tr_classidx_{label}"] = content.train_ids[label]
    arrays[f"tt_classidx_{label}"] = content.test_ids[label]
  if index_path is None:
    arrays.update(index)
  else:
    files.write_npz(index_path, **index)
  files.write_npz(path, **arrays)
