"""Where images and labels come from, as arrays in their original order.

An example's id is its place in the arrays given here. `--dataset` is the name of
one that a package ships (`bundled`), `npz:FILE` or `folder:DIR` (`own_files`),
or any image-classification data set of TensorFlow Datasets (`tfds_source`).
"""

import dataclasses
import pathlib

import numpy as np

from memo_tf.data.sources import part
from memo_tf.experiment import errors
from memo_tf.experiment import random_streams
from memo_tf.experiment import settings as settings_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageDataset:
  """An image-classification data set.

  Attributes:
    name, version, licence, citation: as on the page.
    class_names: C names.
    train_images: uint8 or uint16 `[N, H, W, channels]`.
    train_labels: int32 `[N]`, in [0, C): the labels to train with.
    test_images: of the same type and shape, `[T, H, W, channels]`.
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
  """

  name: str
  version: str
  licence: str
  citation: str
  class_names: tuple[str, ...]
  train_images: np.ndarray
  train_labels: np.ndarray
  test_images: np.ndarray
  test_labels: np.ndarray
  max_pixel: int
  order: str
  clean_labels: np.ndarray | None = None
  train_sources: np.ndarray | None = None
  test_sources: np.ndarray | None = None
  source_indices: np.ndarray | None = None


def load(config: settings_lib.DataConfig, seed: int = 0) -> ImageDataset:
  """Loads the data set that a config names.

  Args:
    config: of the data.
    seed: of the study, for a test set that is drawn (`--test_fraction`).

  Raises:
    UsageError: if it is unknown, cannot be had, or is not what a study takes;
      one line that says what to do.
  """
  from memo_tf.data.sources import bundled
  from memo_tf.data.sources import own_files
  from memo_tf.data.sources import tfds

  kind, _, place = config.dataset.partition(":")
  if config.dataset in bundled.LOADERS:
    data = bundled.LOADERS[config.dataset]()
  elif kind == "npz":
    data = own_files.load_npz(pathlib.Path(config.data_dir, place))
  elif kind == "folder":
    data = own_files.load_folder(pathlib.Path(config.data_dir, place), config)
  else:
    data = tfds.load(config)
  if config.test_fraction:
    data = _split_off_test(data, config.test_fraction, seed)
  if not len(data.test_labels):
    raise no_test_examples(data.name)
  if config.image_size:
    data = _resized(data, config.image_size)
  check(data)
  if config.labels_file:
    labels = own_files.read_labels(config.labels_file, len(data.train_labels))
    data = dataclasses.replace(
      data, train_labels=labels, clean_labels=data.train_labels
    )
    check(data, origin=f"--labels_file={config.labels_file}: ")
  return part_of(data, config.num_examples, seed)


def check(data: ImageDataset, origin: str = "") -> None:
  """Checks what a study relies on.

  Raises:
    UsageError: that names the first example that breaks a rule.
  """
  shape = data.train_images.shape[1:]
  for split, images, labels in (
    ("training", data.train_images, data.train_labels),
    ("test", data.test_images, data.test_labels),
  ):
    if images.dtype not in (np.uint8, np.uint16) or images.ndim != 4:
      raise errors.UsageError(
        f"{data.name}: {split} images must be uint8 or uint16 of shape "
        f"[examples, height, width, channels]. Received: {images.dtype} "
        f"{list(images.shape)}"
      )
    if images.shape[1:] != shape or shape[-1] not in (1, 3, 4):
      raise errors.UsageError(
        f"{data.name}: all images must have one shape, with 1, 3 or 4 channels. "
        f"Received: {split} images of {list(images.shape[1:])}, training images "
        f"of {list(shape)}"
      )
    if len(images) != len(labels) or not len(labels):
      raise errors.UsageError(
        f"{data.name}: each {split} image needs a label, and there must be some. "
        f"Received: {len(images)} images, {len(labels)} labels"
      )
  check_labels(data, origin)


def check_labels(data, origin: str = "") -> None:
  """Checks the labels of an `ImageDataset`, or of a `large.LargeDataset`.

  Raises:
    UsageError: that names the first example that breaks a rule.
  """
  num_classes = len(data.class_names)
  if num_classes < 2:
    raise errors.UsageError(
      f"{data.name}: a data set needs at least 2 classes. Received: {num_classes}"
    )
  for split, labels in (
    ("training", data.train_labels),
    ("test", data.test_labels),
  ):
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
      raise errors.UsageError(
        f"{origin}{data.name}: labels must be in [0, {num_classes}), the number "
        f"of classes. Received: {labels[wrong[0]]} for {split} example {wrong[0]}"
        f" ({len(wrong)} such)"
      )


def _split_off_test(
  data: ImageDataset, fraction: float, seed: int
) -> ImageDataset:
  """Takes a random part of the training examples as the test set."""
  count = len(data.train_labels)
  train, test = draw_test(count, fraction, seed)
  sources = data.train_sources
  if sources is None:
    sources = np.arange(count).astype(str)
  return dataclasses.replace(
    data,
    train_images=data.train_images[train],
    train_labels=data.train_labels[train],
    test_images=data.train_images[test],
    test_labels=data.train_labels[test],
    train_sources=sources[train],
    test_sources=sources[test],
    order=order_after_draw(data.order, len(test), seed),
  )


def part_of(data, size: int, seed: int):
  """A stratified part of the training examples, or all if `size` is 0.

  Args:
    data: an `ImageDataset`, or an `image_source.LargeDataset`.
    size: how many examples to keep.
    seed: of the study.

  Raises:
    UsageError: as `part.draw`.
  """
  if not size:
    return data
  own = data.train_labels if data.clean_labels is None else data.clean_labels
  kept = part.draw(own, len(data.class_names), size, seed)
  changes = {
    name: getattr(data, name)[kept]
    for name in ("train_labels", "clean_labels", "train_sources")
    if getattr(data, name) is not None
  }
  if isinstance(data, ImageDataset):
    changes["train_images"] = data.train_images[kept]
  else:
    changes["parts"] = data.parts_of(kept)
  return dataclasses.replace(
    data,
    **changes,
    source_indices=kept,
    order=part.order_after_draw(data.order, size, len(own), seed),
  )


def draw_test(
  count: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """The old ids, in order, of new training and test examples.

  Raises:
    UsageError: if none would be left of one of them.
  """
  size = round(fraction * count)
  if not 0 < size < count:
    raise errors.UsageError(
      f"--test_fraction must leave training and test examples of the {count}. "
      f"Received: --test_fraction={fraction}"
    )
  chosen = random_streams.generator(seed, "test_split").permutation(count)
  return np.sort(chosen[size:]), np.sort(chosen[:size])


def order_after_draw(order: str, size: int, seed: int) -> str:
  """In words, what an id means once test examples were drawn."""
  return f"{order}; {size} drawn at random (seed {seed}) are the test set"


def no_test_examples(name: str) -> errors.UsageError:
  """What to say of a data set without test examples."""
  return errors.UsageError(
    f"{name} has no test examples; --test_fraction=0.2 sets a fifth of the "
    "training examples aside. Received: --test_fraction=0"
  )


def _resized(data: ImageDataset, size: int) -> ImageDataset:
  """Images resized to `size` by `size`; see `tfds_source.resize`."""
  from memo_tf.data import resizing

  if data.train_images.shape[1:3] == (size, size):
    return data
  return dataclasses.replace(
    data,
    train_images=resizing.resize_all(data.train_images, size),
    test_images=resizing.resize_all(data.test_images, size),
  )
