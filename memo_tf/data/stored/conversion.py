"""Images as they are to be stored: decoded, resized and encoded, in threads.

An image that the data set itself has as a PNG or JPEG file of the right shape
keeps its bytes, unless pixels are to be stored.
"""

import collections
from collections.abc import Iterator
from concurrent import futures
import dataclasses
import os

import numpy as np
import tensorflow as tf

from memo_tf.data import encoding
from memo_tf.data import resizing
from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.data.sources import tfds
from memo_tf.experiment import errors


@dataclasses.dataclass(frozen=True)
class Converted:
  """An image on its way to disk.

  Attributes:
    content: the bytes of its record.
    image: its pixels, as they will be read.
    is_published: whether `content` is a file of the data set itself.
  """

  content: bytes
  image: np.ndarray
  is_published: bool = False


@dataclasses.dataclass(frozen=True)
class Converter:
  """Converts the images of a data set; has no state, for threads.

  Attributes:
    data: the data set.
    kind: how images are stored, one of `encoding.KINDS`.
    size: to which side in pixels images are resized; 0: as they are.
    jpeg_quality: of the kind `jpeg`.
  """

  data: image_source.ImageSource
  kind: str
  size: int = 0
  jpeg_quality: int = 95

  def all(self) -> Iterator[tuple[str, int, Converted]]:
    """Yields split, id and image of every example, in the source's order.

    Works on all cores, a few images ahead.

    Raises:
      UsageError: if images cannot be decoded, or not be encoded as asked.
    """
    threads = len(os.sched_getaffinity(0))
    waiting: collections.deque = collections.deque()
    with futures.ThreadPoolExecutor(threads) as pool:
      try:
        for split, example_id, source in self.data.images():
          future = pool.submit(self.convert, split, example_id, source)
          waiting.append((split, example_id, future))
          if len(waiting) > 4 * threads:
            split, example_id, future = waiting.popleft()
            yield split, example_id, future.result()
        while waiting:
          split, example_id, future = waiting.popleft()
          yield split, example_id, future.result()
      except image_source.UnreadableError as error:
        raise self._explained(error) from error
      finally:
        pool.shutdown(cancel_futures=True)

  def convert(
    self, split: str, example_id: int, source: image_source.Image
  ) -> Converted:
    """One image as it is to be stored.

    Raises:
      UnreadableError: if it cannot be decoded.
      UsageError: if it cannot be encoded as asked.
    """
    image = self._pixels(split, example_id, source)
    resized = resizing.resize(image, self.size) if self.size else image
    if (
      resized is image
      and isinstance(source, bytes)
      and self.kind != "raw"
      and source.startswith(encoding.PUBLISHED)
    ):
      return Converted(source, image, is_published=True)
    try:
      content = encoding.encode(resized, self.kind, self.jpeg_quality)
    except ValueError as error:
      raise errors.UsageError(str(error)) from error
    if self.kind == "jpeg":  # what is read is what counts
      resized = encoding.decode(
        tf.constant(content), "jpeg", resized.shape, self.data.image_type
      ).numpy()
    return Converted(content, resized)

  def _pixels(
    self, split: str, example_id: int, source: image_source.Image
  ) -> np.ndarray:
    if not isinstance(source, bytes):
      return source
    try:
      return encoding.decode(
        tf.constant(source),
        "png",  # or JPEG: the bytes say which
        (None, None, self.data.channels),
        self.data.image_type,
      ).numpy()
    except tf.errors.OpError as error:
      unreadable = tfds.unreadable(self.data.name, split, example_id, error)
      raise image_source.UnreadableError(str(unreadable)) from error

  def _explained(self, error: Exception) -> errors.UsageError:
    """The error for all images that cannot be decoded, or for the first."""
    explained = None
    if isinstance(self.data, image_stream.ImageStream) and self.data.explain:
      explained = self.data.explain()
    return explained or errors.UsageError(str(error))
