"""Small pictures of large images, for the page and to find near duplicates.

`thumbnails.npy` is `[N + T, h, w, channels]` of the images' type, the training
images first; each side has at most `SIDE` pixels.
"""

import pathlib

import numpy as np

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


class Writer:
  """Writes `thumbnails.npy` row by row.

  With plain writes: a mapped file would end the process when the disk is full.
  """

  def __init__(self, path: pathlib.Path, count: int, first: np.ndarray):
    small = thumbnail(first)
    self._path, self._size = path, small.nbytes
    self._file = open(path, "wb")
    np.lib.format.write_array_header_1_0(
      self._file,
      {
        "descr": np.lib.format.dtype_to_descr(small.dtype),
        "fortran_order": False,
        "shape": (count, *small.shape),
      },
    )
    self._start = self._file.tell()

  def write(self, row: int, image: np.ndarray) -> None:
    self._file.seek(self._start + row * self._size)
    self._file.write(thumbnail(image).tobytes())

  def close(self) -> None:
    self._file.close()

  def read(self) -> np.ndarray:
    """`[N + T, h, w, channels]`, mapped."""
    return np.load(self._path, mmap_mode="r", allow_pickle=False)
