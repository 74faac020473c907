"""Decodes the images of a user's folder, and says which cannot be read.

JPEG and PNG are decoded by the ops that TensorFlow Datasets uses, so that
pixels are the same whether images are held in memory or streamed; the first
frame of a GIF, BMP and WebP by Pillow. Every image becomes 8 bits and three
channels: of 16 bits the upper 8, grey as RGB, transparency dropped. As in Keras
and TensorFlow Datasets, an EXIF orientation is not applied; it is counted.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import dataclasses
import io
import os
import pathlib

from absl import logging
import numpy as np
import PIL
from PIL import Image
import tensorflow as tf

from memo_tf.data import encoding
from memo_tf.data.sources import folder_files
from memo_tf.data.sources import image_source
from memo_tf.experiment import errors

# What Pillow may decode: none of its formats that run other programs.
_FORMATS = ("WEBP", "GIF", "BMP")
_ALL_FORMATS = ("JPEG", "PNG", *_FORMATS)
_ORIENTATION = 0x0112
LISTED = 10
LOG_EVERY = 10_000


@dataclasses.dataclass(frozen=True)
class Headers:
  """What the headers of images state.

  Attributes:
    first: `(height, width)` of the first image whose header can be read, or
      None.
    counts: how many images are animated, transparent or turned, in words.
  """

  first: tuple[int, int] | None
  counts: dict[str, int]


def decode(content: bytes) -> np.ndarray:
  """The pixels of an encoded image, uint8 `[height, width, 3]`.

  Raises:
    UnreadableError: if it cannot be decoded.
  """
  if not content:
    raise image_source.UnreadableError("empty file")
  if content.startswith(encoding.PUBLISHED):
    try:
      shape = (None, None, 3)
      return encoding.decode(
        tf.constant(content), "png", shape, "uint8"
      ).numpy()
    except tf.errors.OpError as error:
      kind = "PNG" if content.startswith(encoding.PUBLISHED[0]) else "JPEG"
      raise image_source.UnreadableError(
        f"damaged or truncated {kind}"
      ) from error
  try:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
      return np.array(image.convert("RGB"))
  except PIL.UnidentifiedImageError as error:
    raise image_source.UnreadableError(
      "no JPEG, PNG, WebP, GIF or BMP"
    ) from error
  except Exception as error:  # Pillow's plugins raise a dozen kinds
    raise image_source.UnreadableError("damaged or truncated") from error


def read(image: folder_files.ImageFile) -> bytes:
  """The content of a file.

  Raises:
    UnreadableError: if the file cannot be read.
  """
  try:
    return image.path.read_bytes()
  except OSError as error:
    raise image_source.UnreadableError(
      error.strerror or "unreadable"
    ) from error


def decoded(
  images: list[folder_files.ImageFile],
) -> Iterator[np.ndarray | image_source.UnreadableError]:
  """Yields the pixels of each image in order, or why there are none.

  Works on all cores, a few images ahead.
  """
  threads = len(os.sched_getaffinity(0))
  waiting: collections.deque = collections.deque()
  with unlimited_pixels(), futures.ThreadPoolExecutor(threads) as pool:
    try:
      for count, image in enumerate(images, 1):
        waiting.append(pool.submit(_decoded, image))
        if len(waiting) > 4 * threads:
          yield waiting.popleft().result()
        if count % LOG_EVERY == 0:
          logging.info("%d of %d files read", count, len(images))
      while waiting:
        yield waiting.popleft().result()
    finally:
      pool.shutdown(cancel_futures=True)


def unreadable(
  images: list[folder_files.ImageFile],
) -> list[tuple[folder_files.ImageFile, str]]:
  """All images that cannot be decoded, each with the reason."""
  return [
    (image, str(found))
    for image, found in zip(images, decoded(images), strict=True)
    if isinstance(found, image_source.UnreadableError)
  ]


def error_of(
  found: list[tuple[folder_files.ImageFile, str]],
  count: int,
  root: pathlib.Path,
) -> errors.UsageError:
  """The error for all unreadable images of `count` in a folder."""
  return errors.UsageError(
    f"{len(found)} of {count} images of {root} cannot be read: "
    f"{listed(found)}. Repair or remove them, or add --skip_unreadable to "
    "leave them out"
  )


def listed(found: list[tuple[folder_files.ImageFile, str]]) -> str:
  """The first of some images with their reasons, and the number of others."""
  text = ", ".join(
    f"{image_source.shown(i.name)} ({why})" for i, why in found[:LISTED]
  )
  more = len(found) - LISTED
  return text + (f" and {more} more" if more > 0 else "")


def headers(
  images: Iterable[folder_files.ImageFile], max_pixels: int
) -> Headers:
  """Reads the headers of images, without decoding them.

  A file that Pillow does not know is left to the decoder.

  Args:
    images: to look at.
    max_pixels: height times width that no image may exceed.

  Raises:
    UsageError: that names the first image that exceeds it.
  """
  first, counts = None, collections.Counter[str]()
  with unlimited_pixels():
    for image in images:
      try:
        with Image.open(image.path, formats=_ALL_FORMATS) as opened:
          width, height = opened.size
          counts.update(_peculiarities(opened))
      except (PIL.UnidentifiedImageError, OSError, ValueError, SyntaxError):
        continue
      _check_pixels(image.path, width, height, max_pixels)
      first = first or (height, width)
  return Headers(first, dict(counts))


@contextlib.contextmanager
def unlimited_pixels() -> Iterator[None]:
  """Turns Pillow's limit off: ours, `--max_image_pixels`, holds."""
  before = Image.MAX_IMAGE_PIXELS
  Image.MAX_IMAGE_PIXELS = None
  try:
    yield
  finally:
    Image.MAX_IMAGE_PIXELS = before


def _decoded(
  image: folder_files.ImageFile,
) -> np.ndarray | image_source.UnreadableError:
  try:
    return decode(read(image))
  except image_source.UnreadableError as error:
    return error


def _check_pixels(
  path: pathlib.Path, width: int, height: int, most: int
) -> None:
  if width * height > most:
    raise errors.UsageError(
      f"--max_image_pixels must be at least the pixels of every image. "
      f"Received: --max_image_pixels={most}, and {path} of {width}x{height}"
    )


def _peculiarities(image: Image.Image) -> list[str]:
  """What of an image is not used, in words."""
  found = []
  if getattr(image, "is_animated", False):
    found.append("animated: the first frame is used")
  if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
    found.append("transparent: transparency is dropped")
  if "exif" in image.info and image.format in ("JPEG", "MPO", "WEBP"):
    try:
      orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data do not make an image unreadable
      orientation = 1
    if orientation not in (0, 1):
      found.append("with an EXIF orientation: it is not applied")
  return found
