"""Mean and standard deviation of the training pixels, per channel.

They are those of all N training images, so that every run of a study sees the
same pixels. They come from counts of pixel values, which are exact in any order
of the images and need no memory.
"""

import numpy as np


def normalization(train_images: np.ndarray) -> dict[str, list[float]]:
  """Mean and standard deviation of each channel.

  Args:
    train_images: uint8 or uint16 `[N, H, W, channels]`.

  Returns:
    `mean` and `std`, each a list of one number per channel, in pixel values; a
    channel without variance has the standard deviation 1.
  """
  counts = PixelCounts(train_images.shape[-1], train_images.dtype)
  for block in np.array_split(
    train_images, -(-train_images.nbytes // (4 << 20))
  ):
    counts.add(block)
  return counts.normalization()


class PixelCounts:
  """Counts how often each channel has each pixel value."""

  def __init__(self, channels: int, image_type: np.dtype):
    levels = np.iinfo(image_type).max + 1
    self._counts = np.zeros((channels, levels), np.int64)

  def add(self, images: np.ndarray) -> None:
    """Counts images `[..., channels]` in."""
    channels, levels = self._counts.shape
    for channel in range(channels):
      self._counts[channel] += np.bincount(
        images[..., channel].ravel(), minlength=levels
      )

  def normalization(self) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel, as `normalization`."""
    counts, values = self._counts, np.arange(self._counts.shape[1])
    total = counts.sum(axis=1)
    if total.max() * float(values[-1]) ** 2 >= 2**63:  # 16 bits of very many
      counts = counts.astype(np.float64)
    mean = counts @ values / total
    std = np.sqrt(counts @ values**2 / total - mean**2)
    return {
      "mean": mean.tolist(),
      "std": np.where(std > 0, std, 1.0).tolist(),
    }
