"""Applies a function of a few examples to all examples, batch by batch."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def over_batches(
  function: Callable[[tf.Tensor], tf.Tensor],
  indices: np.ndarray,
  batch_size: int,
) -> np.ndarray:
  """Applies `function` to batches of indices and joins the results.

  Args:
    function: int32 `[batch_size]` indices to `[batch_size, ...]`.
    indices: int32 `[n]`, n at least 1.
    batch_size: of every call; the last batch is filled up with the first
      index, and the surplus results are cut off.

  Returns:
    `[n, ...]`, in order.
  """
  parts = []
  for start in range(0, len(indices), batch_size):
    batch = indices[start : start + batch_size]
    count = len(batch)
    if count < batch_size:
      batch = np.concatenate([batch, np.full(batch_size - count, indices[0])])
    parts.append(function(tf.constant(batch, tf.int32)).numpy()[:count])
  return np.concatenate(parts)
