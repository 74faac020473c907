"""A data set that is not held in memory: all of it but its pixels.

What `datasets.ImageDataset` is for data in memory. Labels, names and the
meaning of ids are known before any image is looked at; the images are then
gone through once, in whatever order their source has them, each with the id
that it gets.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import itertools

import numpy as np

from memo_tf.data.sources import load
from memo_tf.data.sources import own_files
from memo_tf.experiment import settings as settings_lib

# An image as its source has it: an encoded file, or pixels [h, w, channels].
Source = bytes | np.ndarray


@dataclasses.dataclass(frozen=True)
class Part:
  """Images that are read one after the other.

  Attributes:
    read: gives them, anew at each call.
    train_ids, test_ids: int64, for each image the id that it gets, or -1 in
      one of the two: an example is in one split.
  """

  read: Callable[[], Iterator[Source]]
  train_ids: np.ndarray
  test_ids: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class LargeDataset:
  """An image-classification data set, its images on disk.

  Attributes:
    name, version, licence, citation, class_names, order, train_labels,
      test_labels, clean_labels, train_sources, test_sources, source_indices: as
      of `load.ImageDataset`.
    image_type: `uint8` or `uint16`.
    max_pixel: the value of a white pixel.
    channels: that all images get.
    parts: the images.
  """

  name: str
  version: str
  licence: str
  citation: str
  class_names: tuple[str, ...]
  train_labels: np.ndarray
  test_labels: np.ndarray
  image_type: str
  max_pixel: int
  channels: int
  order: str
  parts: tuple[Part, ...]
  clean_labels: np.ndarray | None = None
  train_sources: np.ndarray | None = None
  test_sources: np.ndarray | None = None
  source_indices: np.ndarray | None = None

  def parts_of(self, kept: np.ndarray) -> tuple[Part, ...]:
    """The parts with new ids for the training examples kept, none for others.

    Args:
      kept: int `[n]`, the present ids in the order of the new ones.
    """
    new = np.full(len(self.train_labels) + 1, -1)  # the last is that of -1
    new[kept] = np.arange(len(kept))
    return tuple(
      dataclasses.replace(part, train_ids=new[part.train_ids])
      for part in self.parts
    )

  def images(self) -> Iterator[tuple[str, int, Source]]:
    """Every image once: split, id, and what its source has."""
    for part in self.parts:
      ids = zip(part.train_ids.tolist(), part.test_ids.tolist(), strict=True)
      for (train_id, test_id), image in zip(ids, part.read(), strict=True):
        if train_id >= 0:
          yield "train", train_id, image
        if test_id >= 0:
          yield "test", test_id, image


def first(data: LargeDataset, count: int) -> LargeDataset:
  """The first so many training and test images, in the source's own order."""
  parts, labels = [], {}
  for split in ("train", "test"):
    for part in data.parts:
      ids = getattr(part, f"{split}_ids")
      places = np.flatnonzero(ids >= 0)[:count]
      if split in labels or not len(places):
        continue
      labels[split] = getattr(data, f"{split}_labels")[ids[places]]
      new = np.full(int(places[-1]) + 1, -1)
      new[places] = np.arange(len(places))
      other = np.full(len(new), -1)
      both = (new, other) if split == "train" else (other, new)
      parts.append(Part(_limited(part.read, len(new)), *both))
  return dataclasses.replace(
    data,
    parts=tuple(parts),
    train_labels=labels["train"],
    test_labels=labels["test"],
    clean_labels=None,
    train_sources=None,
    test_sources=None,
    source_indices=None,
  )


def _limited(read: Callable[[], Iterator[Source]], count: int):
  return lambda: itertools.islice(read(), count)


def from_arrays(data: load.ImageDataset) -> LargeDataset:
  """A data set whose source is in memory: to be written, then let go."""
  num_train, num_test = len(data.train_labels), len(data.test_labels)
  fields = {
    field.name: getattr(data, field.name)
    for field in dataclasses.fields(data)
    if field.name not in ("train_images", "test_images")
  }
  return LargeDataset(
    **fields,
    image_type=data.train_images.dtype.name,
    channels=data.train_images.shape[-1],
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


def finished(
  data: LargeDataset, config: settings_lib.DataConfig, seed: int
) -> LargeDataset:
  """With the test set and the labels that a config asks for; checked.

  Raises:
    UsageError: as `datasets.load`.
  """
  if config.test_fraction:
    data = _split_off_test(data, config.test_fraction, seed)
  if not len(data.test_labels):
    raise load.no_test_examples(data.name)
  load.check_labels(data)
  if config.labels_file:
    labels = own_files.read_labels(config.labels_file, len(data.train_labels))
    data = dataclasses.replace(
      data, train_labels=labels, clean_labels=data.train_labels
    )
    load.check_labels(data, f"--labels_file={config.labels_file}: ")
  return load.part_of(data, config.num_examples, seed)


def _split_off_test(
  data: LargeDataset, fraction: float, seed: int
) -> LargeDataset:
  """Takes a random part of the training examples as the test set."""
  count = len(data.train_labels)
  train, test = load.draw_test(count, fraction, seed)
  new_train, new_test = np.full(count, -1), np.full(count, -1)
  new_train[train] = np.arange(len(train))
  new_test[test] = np.arange(len(test))
  sources = data.train_sources
  if sources is None:
    sources = np.arange(count).astype(str)
  return dataclasses.replace(
    data,
    train_labels=data.train_labels[train],
    test_labels=data.train_labels[test],
    train_sources=sources[train],
    test_sources=sources[test],
    order=load.order_after_draw(data.order, len(test), seed),
    parts=tuple(
      Part(part.read, new_train[part.train_ids], new_test[part.train_ids])
      for part in data.parts
      if (part.train_ids >= 0).all()
    ),
  )
