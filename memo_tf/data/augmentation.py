"""Pad, crop, flip: the augmentation of He et al. (2016), without hidden state.

An example's *view* in an epoch is three whole numbers, drawn from a stream of
(seed, subset family, index, epoch) and indexed by the example's id. So a run
that resumes after a crash sees the views that it would have seen, all models
and recipes share them, and batches may come in any order or be split over any
number of replicas.
"""

import numpy as np
import tensorflow as tf

from memo_tf.experiment import random_streams

PADDING = 4
FLIP, TOP, LEFT = range(3)  # columns of a view


def views(
  num_examples: int, *, seed: int, family: str, index: int, epoch: int
) -> np.ndarray:
  """The views of one epoch: int32 `[N, 3]`.

  Columns: whether it is mirrored (0 or 1), and the crop's top and left in the
  padded image (0 to 2 * PADDING).
  """
  rng = random_streams.generator(seed, "augmentation", family, index, epoch)
  bounds = [2, 2 * PADDING + 1, 2 * PADDING + 1]
  return rng.integers(0, bounds, (num_examples, 3), dtype=np.int32)


def pad_crop_flip(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
  """Images augmented as their views say.

  Args:
    images: `[B, H, W, channels]`, raw pixels; the padding is black (0).
    chosen: int32 `[B, 3]`, as `views` gives them.

  Returns:
    `[B, H, W, channels]`: row i of the result is row `top + i` of the padded
    image, column j is `left + j`, or `left + W - 1 - j` where it is mirrored.
  """
  height, width = images.shape[1:3]
  around = [PADDING, PADDING]
  padded = tf.pad(images, [[0, 0], around, around, [0, 0]])
  rows = chosen[:, TOP, None] + tf.range(height)
  forward = tf.range(width)
  mirrored = chosen[:, FLIP, None] * (width - 1 - 2 * forward)
  columns = chosen[:, LEFT, None] + forward + mirrored
  cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
  return tf.gather(cropped, columns, axis=2, batch_dims=1)
