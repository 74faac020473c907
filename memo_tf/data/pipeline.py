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
  """The batches of one epoch: int32 `[steps, B]` places in the subset.

  Every epoch is a fresh permutation; the `num_members % batch_size` last ones
  of it are left out of this epoch. All models and recipes share the order.
  """
  rng = random_streams.generator(seed, "order", family, index, epoch)
  steps = num_members // batch_size
  order = rng.permutation(num_members)[: steps * batch_size]
  return order.reshape(steps, batch_size).astype(np.int32)


def on_device(
  images: np.ndarray | images_lib.StoredImages,
) -> tf.Tensor | images_lib.StoredImages:
  """Images as a tensor where the training runs; on a CPU without a copy.

  Images on disk stay there.
  """
  if isinstance(images, images_lib.StoredImages):
    return images
  if tf.config.list_logical_devices("GPU"):
    return tf.constant(images)
  # TensorFlow would copy; a tensor made through DLPack shares the memory, if
  # that begins where TensorFlow's own does.
  if not images.flags.c_contiguous or images.ctypes.data % images_lib.ALIGNMENT:
    return tf.constant(images)
  return tf.experimental.dlpack.from_dlpack(images.__dlpack__())


def moved_to_device(images: tf.Tensor) -> tf.Tensor:
  """Decoded images where the training runs: copied once, not at each step."""
  devices = tf.config.list_logical_devices("GPU")
  if not devices:
    return images
  with tf.device(devices[0].name):
    return tf.identity(images)


def normalize(images: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
  """Pixels `[B, H, W, channels]` to float32 of mean 0 and deviation 1."""
  return (tf.cast(images, tf.float32) - mean) * (1.0 / std)
