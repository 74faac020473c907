"""Resizes images to squares: the shorter side to S, then the centre.

The aspect ratio is kept: what exceeds the square on the longer side is cut off
on both ends. Bilinear with antialiasing, rounded to whole pixel values.
"""

import numpy as np
import tensorflow as tf


def resize(image: np.ndarray, size: int) -> np.ndarray:
  """One image `[h, w, channels]` to `[size, size, channels]`, of its type."""
  height, width = image.shape[:2]
  if (height, width) == (size, size):
    return image
  scale = size / min(height, width)
  shape = (
    max(size, round(height * scale)),
    max(size, round(width * scale)),
  )
  resized = tf.image.resize(image, shape, method="bilinear", antialias=True)
  top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
  pixels = resized[top : top + size, left : left + size].numpy()
  limits = np.iinfo(image.dtype)
  return np.clip(np.rint(pixels), limits.min, limits.max).astype(image.dtype)


def resize_all(images: np.ndarray, size: int) -> np.ndarray:
  """Images `[n, h, w, channels]` to `[n, size, size, channels]`."""
  result = np.empty((len(images), size, size, images.shape[-1]), images.dtype)
  for index, image in enumerate(images):
    result[index] = resize(image, size)
  return result
