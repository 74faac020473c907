"""Images that stay on disk and are decoded when they are needed.

`StoredImages` takes the place of an array of images `[n, H, W, channels]`: it
has a length, a shape and a type, and can be indexed. Its main purpose is
`batches`: the images of one batch after the other, in any order of ids, decoded
by some threads while the preceding batches are trained on. A few batches are in
memory at a time, whatever n is.

Only the examples asked for are read and decoded.
"""

from collections.abc import Iterator
import math

import numpy as np
import tensorflow as tf

from memo_tf.data import encoding
from memo_tf.data.stored import records as records_lib
from memo_tf.experiment import errors

# Decoded bytes handed over at a time: several steps of small images.
CHUNK_BYTES = 32 << 20
# Records read at a time, before they are decoded one by one.
READ = 16
# Bytes: where TensorFlow's tensors begin on a CPU.
ALIGNMENT = 64


class StoredImages:
  """The images of a split on disk.

  Args:
    records: their encoded bytes, by id.
    kind: how they are encoded, one of `encoding.KINDS`.
    image_shape: `(H, W, channels)`.
    image_type: `uint8` or `uint16`.
    threads: how many decode.

  Attributes:
    shape: `(n, H, W, channels)`.
    dtype: of the pixels.
    records: as given.
  """

  def __init__(
    self,
    records: records_lib.Records,
    kind: str,
    image_shape: tuple[int, int, int],
    image_type: str = "uint8",
    threads: int = 1,
  ):
    self.shape = (len(records), *image_shape)
    self.dtype = np.dtype(image_type)
    self.records, self._kind = records, kind
    self._threads = threads
    self._wanted = np.empty(0, np.int64)  # in the present epoch
    self._error: Exception | None = None
    self._datasets: dict[int, tf.data.Dataset] = {}

  def __len__(self) -> int:
    return self.shape[0]

  def __getitem__(self, rows: slice | np.ndarray | list[int]) -> np.ndarray:
    """Some images, as from an array: `[m, H, W, channels]` for m ids."""
    ids = np.arange(len(self))[rows]
    images = np.empty((ids.size, *self.shape[1:]), self.dtype)
    for index, content in enumerate(self._contents(ids.ravel())):
      images[index] = encoding.decode(
        tf.constant(content), self._kind, self.shape[1:], self.dtype.name
      ).numpy()
    return images.reshape(*ids.shape, *self.shape[1:])

  def in_memory(self) -> np.ndarray:
    """All images, in memory that a tensor may share."""
    images = aligned_empty(self.shape, self.dtype)
    start = 0
    for part in self.batches(np.arange(len(self))[:, None]):
      images[start : start + len(part)] = part
      start += len(part)
    return images

  def steps_at_once(self, batch_size: int) -> int:
    """How many batches `batches` yields at a time; 1 or more."""
    image = int(np.prod(self.shape[1:])) * self.dtype.itemsize
    return max(1, CHUNK_BYTES // (batch_size * image))

  def batches(self, ids: np.ndarray) -> Iterator[tf.Tensor]:
    """Yields the images of some batches, several batches at a time.

    Args:
      ids: int `[steps, B]`, which images.

    Yields:
      `[k * B, H, W, channels]`: the images of the next k batches in order, with
      k `steps_at_once(B)`, or fewer at the end.

    Raises:
      StudyError: that names the file and example that are damaged.
    """
    size = self.steps_at_once(ids.shape[1]) * ids.shape[1]
    if size not in self._datasets:
      self._datasets[size] = self._dataset(size)
    self._wanted, self._error = ids.ravel(), None
    try:
      yield from self._datasets[size]
    except tf.errors.OpError as error:
      if self._error is not None:
        raise self._error from error
      raise errors.StudyError(
        f"an image of the data set cannot be decoded ({error.message[:200]})"
      ) from error

  def _dataset(self, size: int) -> tf.data.Dataset:
    """Decoded images in the order of `self._wanted`, `size` at a time."""

    def decode(content):
      return encoding.decode(
        content, self._kind, self.shape[1:], self.dtype.name
      )

    dataset = tf.data.Dataset.from_generator(
      self._blocks, output_signature=tf.TensorSpec([None], tf.string)
    )
    dataset = dataset.unbatch()
    dataset = dataset.map(
      decode, num_parallel_calls=self._threads, deterministic=True
    )
    dataset = dataset.batch(size).prefetch(1)
    options = tf.data.Options()
    # Threads of its own, or decoding would wait for those that train.
    options.threading.private_threadpool_size = self._threads
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return dataset.with_options(options)

  def _blocks(self) -> Iterator[np.ndarray]:
    wanted = self._wanted
    for start in range(0, len(wanted), READ):
      yield np.array(self._contents(wanted[start : start + READ]), object)

  def _contents(self, ids: np.ndarray) -> list[bytes]:
    try:
      return self.records.read(ids)
    except errors.StudyError as error:
      self._error = error  # TensorFlow keeps only its text
      raise


def aligned_empty(
  shape: tuple[int, ...], dtype: str | np.dtype = "uint8"
) -> np.ndarray:
  """An uninitialized array that begins where a tensor may begin."""
  size = math.prod(shape) * np.dtype(dtype).itemsize
  buffer = np.empty(size + ALIGNMENT, np.uint8)
  start = -buffer.ctypes.data % ALIGNMENT
  return buffer[start : start + size].view(dtype).reshape(shape)
