"""A data set whose images are read one at a time, as they are needed."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools

import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.experiment import errors


@dataclasses.dataclass(frozen=True)
class Part:
  """Images that are read one after the other.

  Attributes:
    read: yields the images from the first on, at each call.
    train_ids, test_ids: int64, the id that each image gets in that split, or
      -1: an example is in one split at most.
  """

  read: Callable[[], Iterator[image_source.Image]]
  train_ids: np.ndarray
  test_ids: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageStream(image_source.ImageSource):
  """A data set whose images are read one after the other.

  Attributes:
    image_type: `uint8` or `uint16`.
    channels: of every image.
    parts: the images.
    explain: called if an image cannot be decoded; gives an error that names
      all such images. None: the error names the first.
  """

  # With defaults, or these would be the properties of the base class.
  image_type: str = ""
  channels: int = 0
  parts: tuple[Part, ...]
  explain: Callable[[], errors.UsageError | None] | None = None

  def images(self) -> Iterator[tuple[str, int, image_source.Image]]:
    for part in self.parts:
      ids = zip(part.train_ids.tolist(), part.test_ids.tolist(), strict=True)
      for (train_id, test_id), image in zip(ids, part.read(), strict=True):
        if train_id >= 0:
          yield "train", train_id, image
        if test_id >= 0:
          yield "test", test_id, image

  def _only(self, train: np.ndarray, test: np.ndarray | None) -> dict:
    new_train = _new_ids(len(self.train_labels), train)
    new_test = _new_ids(len(self.train_labels), test)
    parts = []
    for part in self.parts:
      if test is None:
        test_ids = part.test_ids
      elif (part.train_ids < 0).all():
        continue  # the former test set
      else:
        test_ids = new_test[part.train_ids]
      parts.append(Part(part.read, new_train[part.train_ids], test_ids))
    return {"parts": tuple(parts)}

  def _only_test(self, kept: np.ndarray) -> dict:
    new = _new_ids(len(self.test_labels), kept)
    return {
      "parts": tuple(
        dataclasses.replace(part, test_ids=new[part.test_ids])
        for part in self.parts
      )
    }

  def first(self, count: int) -> "ImageStream":
    """The first training and test images in the source's own order.

    Args:
      count: how many of each split, at most.
    """
    parts, labels = [], {}
    for split in ("train", "test"):
      for part in self.parts:
        ids = getattr(part, f"{split}_ids")
        indices = np.flatnonzero(ids >= 0)[:count]
        if split in labels or not len(indices):
          continue
        labels[split] = getattr(self, f"{split}_labels")[ids[indices]]
        new = np.full(int(indices[-1]) + 1, -1)
        new[indices] = np.arange(len(indices))
        other = np.full(len(new), -1)
        both = (new, other) if split == "train" else (other, new)
        parts.append(Part(_limited(part.read, len(new)), *both))
    return dataclasses.replace(
      self,
      parts=tuple(parts),
      train_labels=labels["train"],
      test_labels=labels["test"],
      clean_labels=None,
      train_sources=None,
      test_sources=None,
      source_indices=None,
      test_source_indices=None,
    )


def stream_of(data: image_source.ImageDataset) -> ImageStream:
  """A data set in memory as one that is read: to be stored encoded."""
  num_train, num_test = len(data.train_labels), len(data.test_labels)
  fields = {
    field.name: getattr(data, field.name)
    for field in dataclasses.fields(image_source.ImageSource)
  }
  return ImageStream(
    **fields,
    image_type=data.image_type,
    channels=data.channels,
    parts=(
      Part(
        lambda: iter(data.train_images),
        np.arange(num_train),
        np.full(num_train, -1),
      ),
      Part(
        lambda: iter(data.test_images),
        np.full(num_test, -1),
        np.arange(num_test),
      ),
    ),
  )


def _new_ids(count: int, kept: np.ndarray | None) -> np.ndarray:
  """int64 `[count + 1]`: the new id of each old one, -1 for those not kept.

  The last entry is that of the old id -1.
  """
  new = np.full(count + 1, -1)
  if kept is not None:
    new[kept] = np.arange(len(kept))
  return new


def _limited(
  read: Callable[[], Iterator[image_source.Image]], count: int
) -> Callable[[], Iterator[image_source.Image]]:
  return lambda: itertools.islice(read(), count)
