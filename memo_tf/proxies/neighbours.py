"""Exact nearest neighbours of each example among the others, at bounded memory.

The k nearest neighbours of an example are the k other examples of least squared
Euclidean distance, evaluated in float64 from differences of the features; ties
go to the lower id. Module `space` has the search; `all_pairs` saves half of the
products where all examples are searched.
"""

from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from memo_tf.proxies import all_pairs
from memo_tf.proxies import space as space_lib

# Least sizes for which using each product for both of its examples pays off.
_HALVED_WIDTH = 128
_HALVED_EXAMPLES = 8192


def knn_label_agreement(
  *,
  representations: Sequence[np.ndarray],
  labels: np.ndarray,
  layer: int = -2,
  num_neighbours: int = 30,
  block_bytes: int = 2**28,
) -> np.ndarray:
  """Share of an example's nearest neighbours that have its label.

  Args:
    representations: L arrays `[N, D_l]`, L at least 2: the input, the output of
      each block, the softmax's probabilities.
    labels: `[N]` int.
    layer: index of the layer; -2 is the output of the last block.
    num_neighbours: k; at most N - 1.
    block_bytes: memory of a block of products.

  Returns:
    `[N]` float64 in [0, 1].
  """
  features, labels = representations[layer], np.asarray(labels)
  found = np.empty(len(features))
  for rows, ids in nearest(features, num_neighbours, block_bytes=block_bytes):
    found[rows] = (labels[ids] == labels[rows, None]).mean(axis=1)
  return found


def nearest(
  features: np.ndarray,
  num_neighbours: int,
  *,
  queries: np.ndarray | None = None,
  block_bytes: int = 2**28,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Nearest neighbours of examples among all others, as sets.

  Args:
    features: `[N, D]`, finite; used as float32.
    num_neighbours: k, from 1 to N - 1.
    queries: ids of the examples whose neighbours are wanted, int; None: all.
    block_bytes: memory of a block of products; a copy of the features and a
      few arrays of a block's size come on top.

  Yields:
    For one block of queries at a time their ids `[B]` and their neighbours' ids
    `[B, k]`, each row ascending (by id, not by distance).

  Raises:
    ValueError: if k is out of range, or a feature is not finite.
  """
  features = np.asarray(features)
  if features.ndim != 2 or not 1 <= num_neighbours < len(features):
    raise ValueError(
      "`features` must be [N, D] with N above `num_neighbours`, at least 1. "
      f"Received: {features.shape}, {num_neighbours}"
    )
  count = len(features)
  queries = np.arange(count) if queries is None else np.asarray(queries)
  rows = max(1, block_bytes // (4 * count))
  halved = _worth_halving(features.shape, len(queries), num_neighbours, rows)
  space = space_lib.Space(
    features, min(rows, count if halved else len(queries))
  )
  if halved:
    found = all_pairs.nearest(space, num_neighbours)
  for start in range(0, len(queries), rows):
    some = queries[start : start + rows]
    yield some, found[some] if halved else space.nearest(some, num_neighbours)


def _worth_halving(shape, num_queries: int, k: int, rows: int) -> bool:
  """Whether each pair's product should serve both of its examples."""
  count, width = shape
  return (
    width >= _HALVED_WIDTH
    and count >= _HALVED_EXAMPLES
    and count > 2 * all_pairs.SAMPLE_PART * k
    and count > 2 * rows
    and num_queries > 0.6 * count
  )
