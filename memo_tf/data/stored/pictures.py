"""All images of a data set in one .npy file, the training images first.

`images.npy` `[N + T, H, W, channels]` has the pixels of data that are stored as
such: the workers of a machine map it and so share one copy. `thumbnails.npy`
`[N + T, h, w, channels]` has small pictures of images that are stored encoded,
for the page and to find near duplicates; each side has at most `SIDE` pixels.
"""

from collections.abc import Callable
import pathlib

import numpy as np

from memo_tf.store import arrays

SIDE = 48


def thumbnail(image: np.ndarray) -> np.ndarray:
  """An image `[H, W, channels]` shrunk by averaging, if it is larger."""
  small = image.astype(np.float64)
  for axis in (0, 1):
    size = image.shape[axis]
    side = min(SIDE, size)
    edges = np.arange(side + 1) * size // side
    shape = [1] * 3
    shape[axis] = side
    sums = np.add.reduceat(small, edges[:-1], axis=axis)
    small = sums / np.diff(edges).reshape(shape)
  return np.rint(small).astype(image.dtype)


def unchanged(image: np.ndarray) -> np.ndarray:
  """The image itself: `images.npy` has all pixels."""
  return image


class Writer:
  """Writes such a file row by row, in any order.

  With plain writes: a mapped file would end the process when the disk is full.

  Args:
    path: of the file.
    count: N + T.
    first: any image `[H, W, channels]`, for the shape and type of all.
    picture: what is written of an image: `thumbnail` or `unchanged`.
  """

  def __init__(
    self,
    path: pathlib.Path,
    count: int,
    first: np.ndarray,
    picture: Callable[[np.ndarray], np.ndarray],
  ):
    row = picture(first)
    self.path, self._size, self._picture = path, row.nbytes, picture
    self._file = open(path, "wb")
    np.lib.format.write_array_header_1_0(
      self._file,
      {
        "descr": np.lib.format.dtype_to_descr(row.dtype),
        "fortran_order": False,
        "shape": (count, *row.shape),
      },
    )
    self._start = self._file.tell()

  def write(self, row: int, image: np.ndarray) -> None:
    """Writes the picture of an image `[H, W, channels]` as one row."""
    self._file.seek(self._start + row * self._size)
    self._file.write(self._picture(image).tobytes())

  def close(self) -> None:
    """Ends the file."""
    self._file.close()

  def read(self) -> np.ndarray:
    """`[N + T, h, w, channels]`, mapped; after `close`."""
    return arrays.load(self.path, mmap_mode="r")
