"""Prediction depth: the layer of the network at which an example is decided.

A k-nearest-neighbour probe reads each layer; the depth is the first layer from
which on all probes agree with the network's final prediction (Baldock, Maennel
& Neyshabur, 2021, arXiv:2106.09647; k = 30).

Probes run from the last layer backwards, and an example on which one of them
disagrees is decided: earlier layers are searched for the other examples only.
"""

from collections.abc import Sequence

import numpy as np

from memo_tf.proxies import neighbours

REFERENCES = ("predicted", "labels")


def prediction_depth(
  *,
  representations: Sequence[np.ndarray],
  labels: np.ndarray,
  predicted: np.ndarray,
  num_neighbours: int = 30,
  reference: str = "predicted",
  block_bytes: int = 2**28,
) -> np.ndarray:
  """First layer from which on all probes agree with the final prediction.

  An example is never its own neighbour: otherwise, with k = 1, every depth
  would be 0.

  Args:
    representations: L arrays `[N, D_l]` of the N examples: the input, the
      output of each block, the softmax's probabilities.
    labels: `[N]` int from 0, the neighbours' votes.
    predicted: `[N]` int, the network's final prediction.
    num_neighbours: k, at most N - 1.
    reference: what a probe must agree with: `predicted` (Baldock et al.) or
      `labels`.
    block_bytes: memory of a block of products, see `neighbours.nearest`.

  Returns:
    `[N]` float64, 0 (all probes agree) to L - 1 (only the last does), and L
    where the last does not, which the paper leaves undefined.

  Raises:
    ValueError: if the arrays' lengths differ or `reference` is unknown.
  """
  labels, predicted = np.asarray(labels), np.asarray(predicted)
  sizes = {len(r) for r in representations} | {len(labels), len(predicted)}
  if not len(representations) or len(sizes) != 1:
    raise ValueError(
      "`representations`, `labels` and `predicted` must be of the same "
      f"examples, at least one layer. Received: {sorted(sizes)}"
    )
  if reference not in REFERENCES:
    raise ValueError(
      f"`reference` must be one of {REFERENCES}. Received: {reference!r}"
    )
  target = predicted if reference == "predicted" else labels
  found = np.zeros(len(labels))
  agreeing = np.arange(len(labels))
  for layer in reversed(range(len(representations))):
    said = probe(
      representations[layer],
      labels,
      num_neighbours,
      queries=agreeing,
      block_bytes=block_bytes,
    )
    agrees = said == target[agreeing]
    found[agreeing[~agrees]] = layer + 1
    agreeing = agreeing[agrees]
    if not len(agreeing):
      break
  return found


def probe(
  features: np.ndarray,
  labels: np.ndarray,
  num_neighbours: int = 30,
  *,
  queries: np.ndarray | None = None,
  block_bytes: int = 2**28,
) -> np.ndarray:
  """Class that an example's nearest neighbours vote for.

  Args:
    features: `[N, D]`.
    labels: `[N]` int from 0.
    num_neighbours: k.
    queries: ids of the examples to classify, int `[Q]`; None: all.
    block_bytes: as in `neighbours.nearest`.

  Returns:
    `[Q]` int: the class with the most votes; of several, the lowest.
  """
  labels = np.asarray(labels)
  num_classes = int(labels.max()) + 1
  found = []
  for _, ids in neighbours.nearest(
    features, num_neighbours, queries=queries, block_bytes=block_bytes
  ):
    vote = num_classes * np.arange(len(ids))[:, None] + labels[ids]
    votes = np.bincount(vote.ravel(), minlength=num_classes * len(ids))
    found.append(votes.reshape(-1, num_classes).argmax(axis=1))
  return np.concatenate(found)
