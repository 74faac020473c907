"""A function of a few examples at a time, over all of them."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def over_batches(
  function: Callable[[tf.Tensor], tf.Tensor],
  places: np.ndarray,
  batch_size: int,
) -> np.ndarray:
  """Applies `function` to batches of places and joins what it returns.

  Args:
    function: int32 `[batch_size]` places to `[batch_size, ...]`.
    places: int32 `[n]`, n at least 1.
    batch_size: of every call; the last batch is filled up with the first
      place, and what that gives is cut off.

  Returns:
    `[n, ...]`, in order.
  """
  parts = []
  for start in range(0, len(places), batch_size):
    batch = places[start : start + batch_size]
    count = len(batch)
    if count < batch_size:
      batch = np.concatenate([batch, np.full(batch_size - count, places[0])])
    parts.append(function(tf.constant(batch, tf.int32)).numpy()[:count])
  return np.concatenate(parts)
