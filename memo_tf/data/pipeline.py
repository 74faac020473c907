"""What a training loop takes: images on the device, and an order per epoch.

A run's subset is a vector of ids, and a batch is gathered from images in memory
or read from disk by its ids. Order and membership are pure functions of (seed,
subset family, index, epoch): a run that resumes after a crash sees the batches
that it would have seen.
"""

import numpy as np
import tensorflow as tf

from memo_tf.data.stored import images as images_lib
from memo_tf.experiment import random_streams


def epoch_order(
  num_members: int,
  batch_size: int,
  *,
  seed: int,
  family: str,
  index: int,
  epoch: int,
) -> np.ndarray:
  """The batches of one epoch.

  Every epoch has its own permutation; its last `num_members % batch_size`
  members are left out of the epoch. All models and recipes share the order.

  Args:
    num_members: n, the size of the subset.
    batch_size: B, in [1, n].
    seed: of the study.
    family: the subset family.
    index: m, of the subset.
    epoch: from 0.

  Returns:
    int32 `[n // B, B]`, indices in the subset.
  """
  rng = random_streams.generator(seed, "order", family, index, epoch)
  steps = num_members // batch_size
  order = rng.permutation(num_members)[: steps * batch_size]
  return order.reshape(steps, batch_size).astype(np.int32)


def on_device(
  images: np.ndarray | images_lib.StoredImages,
) -> tf.Tensor | images_lib.StoredImages:
  """Images as a tensor on the training device; on a CPU without a copy.

  `StoredImages` are returned as they are.
  """
  if isinstance(images, images_lib.StoredImages):
    return images
  if tf.config.list_logical_devices("GPU"):
    return tf.constant(images)
  # tf.constant copies; a tensor made through DLPack shares the memory, if this
  # is aligned as TensorFlow's own.
  if not images.flags.c_contiguous or images.ctypes.data % images_lib.ALIGNMENT:
    return tf.constant(images)
  return tf.experimental.dlpack.from_dlpack(images.__dlpack__())


def moved_to_device(images: tf.Tensor) -> tf.Tensor:
  """Decoded images on the training device: copied once, not at each step."""
  devices = tf.config.list_logical_devices("GPU")
  if not devices:
    return images
  with tf.device(devices[0].name):
    return tf.identity(images)


def normalize(images: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
  """Pixels as float32 with mean 0 and standard deviation 1.

  Args:
    images: `[B, H, W, channels]`.
    mean, std: float32 `[channels]`, of the training pixels.
  """
  return (tf.cast(images, tf.float32) - mean) * (1.0 / std)
