"""Pixels of planted images: near copies and images of noise."""

import numpy as np

from memo_tf.experiment import random_streams

_DIRECTIONS = np.array(
  [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
)


def near_copies(
  images: np.ndarray,
  *,
  shift: int,
  noise: float,
  max_pixel: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """Copies that are shifted, with the edge repeated, and have noise.

  Args:
    images: uint8 `[n, H, W, channels]`.
    shift: pixels, in one of eight directions drawn for each image.
    noise: standard deviation of normal noise, in units of `max_pixel`.
    max_pixel: pixels are rounded and kept in [0, max_pixel].
    rng: to draw with.

  Returns:
    uint8 `[n, H, W, channels]`.
  """
  height, width = images.shape[1:3]
  offsets = shift * _DIRECTIONS[rng.integers(8, size=len(images))]
  rows = np.clip(np.arange(height) - offsets[:, :1], 0, height - 1)
  columns = np.clip(np.arange(width) - offsets[:, 1:], 0, width - 1)
  which = np.arange(len(images))[:, None, None]
  moved = images[which, rows[:, :, None], columns[:, None, :]]
  moved = moved + rng.normal(0.0, noise * max_pixel, images.shape)
  return np.clip(np.round(moved), 0, max_pixel).astype(images.dtype)


def noise_images(
  count: int,
  image_shape: tuple[int, int, int],
  num_classes: int,
  max_pixel: int,
  seed: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Images of uniform noise, with labels that have nothing to do with them.

  Labels go through the classes in turn and are then shuffled: models tend to
  predict the same class for all noise, and with equal shares of the labels the
  held-out accuracy is then 1 / C whichever class it is.

  Args:
    count: how many.
    image_shape: `(H, W, channels)`.
    num_classes: C.
    max_pixel: the value of a white pixel.
    seed: of the study; the stream is `planted/noise_image`.

  Returns:
    uint8 or uint16 `[count, H, W, channels]` in [0, max_pixel], and int32
    `[count]` labels.
  """
  rng = random_streams.generator(seed, "planted", "noise_image")
  dtype = np.uint8 if max_pixel <= 255 else np.uint16
  images = rng.integers(
    0, max_pixel, (count, *image_shape), dtype, endpoint=True
  )
  labels = rng.permutation(np.arange(count) % num_classes)
  return images, labels.astype(np.int32)
