"""Correctness of single runs of Feldman & Zhang: their `aux_arrays.npz`.

Their arrays list training examples, held-out examples and test examples, each
in a separate order with an array of indices; here they are in the original
order (Feldman & Zhang, 2020, arXiv:2008.03703).
"""

import dataclasses
import os

import numpy as np

from memo_tf.interchange import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedRun:
  """Correctness of one run.

  Attributes:
    correct_train, in_mask: `[N]` bool.
    correct_test: `[T]` bool.
  """

  correct_train: np.ndarray
  in_mask: np.ndarray
  correct_test: np.ndarray


def read_aux_arrays(path: str | os.PathLike) -> PublishedRun:
  """Run of a checkpoint's `aux_arrays.npz`, in the original order.

  Raises:
    InterchangeError: if it is malformed or lacks or repeats an example.
  """
  keys = [
    f"{kind}_{part}"
    for kind in ("correctness", "index")
    for part in ("train", "removed", "test")
  ]
  content = files.load_npz(path, [*keys, "subsample_idx"])
  for part in ("train", "removed", "test"):
    files.check_length(
      path, **{k: content[k] for k in keys if k.endswith(part)}
    )
  train, removed = content["index_train"], content["index_removed"]
  ids = np.concatenate([train, removed])
  for name, held in (("training", ids), ("test", content["index_test"])):
    if not np.array_equal(np.sort(held), np.arange(len(held))):
      raise files.InterchangeError(
        f"{path} does not hold every {name} example once."
      )
  if not np.array_equal(np.sort(train), np.sort(content["subsample_idx"])):
    raise files.InterchangeError(
      f"{path}: index_train and subsample_idx must name the same examples."
    )
  correct, in_mask = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
  correct[train] = content["correctness_train"]
  correct[removed] = content["correctness_removed"]
  in_mask[train] = True
  correct_test = np.zeros(len(content["index_test"]), bool)
  correct_test[content["index_test"]] = content["correctness_test"]
  return PublishedRun(
    correct_train=correct, in_mask=in_mask, correct_test=correct_test
  )


def write_aux_arrays(path: str | os.PathLike, run: PublishedRun) -> None:
  """Writes one run as `aux_arrays.npz`."""
  train, removed = np.flatnonzero(run.in_mask), np.flatnonzero(~run.in_mask)
  files.write_npz(
    path,
    correctness_train=run.correct_train[train].astype(np.int64),
    correctness_removed=run.correct_train[removed].astype(np.int64),
    correctness_test=run.correct_test.astype(np.int64),
    index_train=train,
    index_removed=removed,
    index_test=np.arange(len(run.correct_test)),
    subsample_idx=train,
  )
