"""What every source of images gives: labels and names first, then the images.

A data set is an `ImageSource`. Its labels, its class names and the meaning of
its ids are known before any image is looked at; `images()` then yields each
image once, in the source's own order, with the split and id that it gets. An
`ImageDataset` holds its images in memory as arrays; an `ImageStream` reads them
one after the other.
"""

import abc
from collections.abc import Iterator
import dataclasses
from typing import Any
from typing import Self

import numpy as np

from memo_tf.data import resizing
from memo_tf.experiment import errors

# An image as its source has it: an encoded file, or pixels [h, w, channels].
Image = bytes | np.ndarray


class UnreadableError(ValueError):
  """An image cannot be decoded; the message says why, in a few words."""


def shown(name: str) -> str:
  """A name that a file may have, for a message of one line."""
  text = name if name.isprintable() else ascii(name)[1:-1]
  return text if len(text) <= 120 else f"{text[:60]}…{text[-59:]}"


# Characters of a class's name: it appears in tables, pages and file names.
MAX_NAME = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSource(abc.ABC):
  """An image-classification data set.

  Attributes:
    name, version, licence, citation: as shown on the page.
    class_names: C names.
    train_labels: int32 `[N]`, in [0, C): the labels to train with.
    test_labels: int32 `[T]`.
    max_pixel: the value of a white pixel, to show images with.
    order: in words, what an id means.
    clean_labels: int32 `[N]`, the data set's own labels where `train_labels`
      come from a file of noisier ones; None if they are the same.
    train_sources, test_sources: text `[N]`, `[T]`, what the data set itself
      calls each example; None if it has no names.
    source_indices: int64 `[N]`, where only a part of the training set is used
      (`--num_examples`), the index of each example in the whole of it; None if
      all of it is used.
    test_source_indices: int64 `[T]`, the same of the test set
      (`--max_examples`).
    sources_are_files: whether `train_sources` and `test_sources` are names of
      files.
    notes: what a user should know of the data, a line each.
    skipped: of examples that were left out, the name and the reason.
  """

  name: str
  version: str
  licence: str
  citation: str
  class_names: tuple[str, ...]
  train_labels: np.ndarray
  test_labels: np.ndarray
  max_pixel: int
  order: str
  clean_labels: np.ndarray | None = None
  train_sources: np.ndarray | None = None
  test_sources: np.ndarray | None = None
  source_indices: np.ndarray | None = None
  test_source_indices: np.ndarray | None = None
  sources_are_files: bool = False
  notes: tuple[str, ...] = ()
  skipped: tuple[str, ...] = ()

  @property
  @abc.abstractmethod
  def image_type(self) -> str:
    """`uint8` or `uint16`."""

  @property
  @abc.abstractmethod
  def channels(self) -> int:
    """The channels of every image."""

  @abc.abstractmethod
  def images(self) -> Iterator[tuple[str, int, Image]]:
    """Yields every image once: split, id, and what the source has of it."""

  @abc.abstractmethod
  def _only(self, train: np.ndarray, test: np.ndarray | None) -> dict:
    """The fields of the images that change in `selected`."""

  @abc.abstractmethod
  def _only_test(self, kept: np.ndarray) -> dict:
    """The fields of the images that change in `with_test`."""

  def with_test(self, kept: np.ndarray) -> Self:
    """The data set with some of its test examples, renumbered.

    Args:
      kept: int `[t]`, the present ids of the new test examples.
    """
    changes = {
      "test_labels": self.test_labels[kept],
      "test_source_indices": kept,
      **self._only_test(kept),
    }
    if self.test_sources is not None:
      changes["test_sources"] = self.test_sources[kept]
    return dataclasses.replace(self, **changes)

  def selected(self, train: np.ndarray, test: np.ndarray | None = None) -> Self:
    """The data set with some of its training examples, renumbered.

    Args:
      train: int `[n]`, the present ids of the new training examples.
      test: int `[t]`, the present ids of training examples that replace the
        test set; None: it stays.
    """
    changes: dict[str, Any] = {
      "train_labels": self.train_labels[train],
      **self._only(train, test),
    }
    for name in ("clean_labels", "train_sources", "source_indices"):
      if getattr(self, name) is not None:
        changes[name] = getattr(self, name)[train]
    if test is not None:
      changes["test_labels"] = self.train_labels[test]
      if self.train_sources is not None:
        changes["test_sources"] = self.train_sources[test]
    return dataclasses.replace(self, **changes)

  def resized(self, size: int) -> Self:
    """The data set with images of `size` by `size` pixels; 0: as they are.

    Of a data set that is read one image at a time, this is left to the reader.
    """
    return self

  def check(self) -> None:
    """Checks what a study relies on.

    Raises:
      UsageError: that names the first example that breaks a rule.
    """
    self.check_labels()

  def check_labels(self, origin: str = "") -> None:
    """Checks that all labels are in [0, C), and C is at least 2.

    Args:
      origin: where the labels come from, to begin the message with.

    Raises:
      UsageError: that names the first example that breaks a rule.
    """
    num_classes = len(self.class_names)
    if num_classes < 2:
      raise errors.UsageError(
        f"{self.name}: a data set needs at least 2 classes. Received: "
        f"{num_classes}"
      )
    for split, labels in (
      ("training", self.train_labels),
      ("test", self.test_labels),
    ):
      wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
      if len(wrong):
        raise errors.UsageError(
          f"{origin}{self.name}: labels must be in [0, {num_classes}), the "
          f"number of classes. Received: {labels[wrong[0]]} for {split} "
          f"example {wrong[0]} ({len(wrong)} such)"
        )

  def check_classes(self) -> None:
    """Checks that every class has training examples and a name of one line.

    For a user's own files, where the contrary is a mistake; a published data
    set may have classes without examples.

    Raises:
      UsageError: that names the first class that has not.
    """
    for name in self.class_names:
      if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        raise errors.UsageError(
          f"{self.name}: a class's name must be 1 to {MAX_NAME} printable "
          f"characters. Received: {name[: 2 * MAX_NAME]!r}"
        )
    present = np.isin(np.arange(len(self.class_names)), self.train_labels)
    if not present.all():
      missing = int(np.flatnonzero(~present)[0])
      raise errors.UsageError(
        f"{self.name}: every class needs training examples. Received: none of "
        f"class {missing} ({self.class_names[missing]!r})"
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageDataset(ImageSource):
  """A data set whose images are in memory.

  Attributes:
    train_images: uint8 or uint16 `[N, H, W, channels]`, by id.
    test_images: of the same type and shape, `[T, H, W, channels]`.
  """

  train_images: np.ndarray
  test_images: np.ndarray

  @property
  def image_type(self) -> str:
    return self.train_images.dtype.name

  @property
  def channels(self) -> int:
    return self.train_images.shape[-1]

  @property
  def nbytes(self) -> int:
    """Bytes of all pixels."""
    return self.train_images.nbytes + self.test_images.nbytes

  def images(self) -> Iterator[tuple[str, int, Image]]:
    for split, images in (
      ("train", self.train_images),
      ("test", self.test_images),
    ):
      for example_id, image in enumerate(images):
        yield split, example_id, image

  def _only(self, train: np.ndarray, test: np.ndarray | None) -> dict:
    changes = {"train_images": self.train_images[train]}
    if test is not None:
      changes["test_images"] = self.train_images[test]
    return changes

  def resized(self, size: int) -> Self:
    if not size or self.train_images.shape[1:3] == (size, size):
      return self
    return dataclasses.replace(
      self,
      train_images=resizing.resize_all(self.train_images, size),
      test_images=resizing.resize_all(self.test_images, size),
    )

  def _only_test(self, kept: np.ndarray) -> dict:
    return {"test_images": self.test_images[kept]}

  def check(self) -> None:
    shape = self.train_images.shape[1:]
    for split, images, labels in (
      ("training", self.train_images, self.train_labels),
      ("test", self.test_images, self.test_labels),
    ):
      if images.dtype not in (np.uint8, np.uint16) or images.ndim != 4:
        raise errors.UsageError(
          f"{self.name}: {split} images must be uint8 or uint16 of shape "
          f"[examples, height, width, channels]. Received: {images.dtype} "
          f"{list(images.shape)}"
        )
      if images.shape[1:] != shape or shape[-1] not in (1, 3, 4):
        raise errors.UsageError(
          f"{self.name}: all images must have one shape, with 1, 3 or 4 "
          f"channels. Received: {split} images of {list(images.shape[1:])}, "
          f"training images of {list(shape)}"
        )
      if len(images) != len(labels) or not len(labels):
        raise errors.UsageError(
          f"{self.name}: each {split} image needs a label, and there must be "
          f"some. Received: {len(images)} images, {len(labels)} labels"
        )
    super().check()
