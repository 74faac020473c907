"""A user's folder of images as a data set: `folder:DIR`.

Layouts are in `folder_files`, decoding in `folder_images`. An example's id is:

* with a folder for each split, its index in the order of class and name, after
  `random.Random(split).shuffle`, as TensorFlow Datasets' `ImageFolder` has it;
* in Keras's layout (`CLASS/IMAGE`), its index in the order of class and name
  among the training examples. The test set is drawn by `--test_fraction`: of
  each class its share, those whose content comes first in a seeded order of
  digests. So a renamed file stays where it is, and few move when some are
  added.
"""

import collections
from collections.abc import Iterator
import dataclasses
import functools
import pathlib
import random

import numpy as np

from memo_tf.data import encoding
from memo_tf.data import resizing
from memo_tf.data.sources import folder_files
from memo_tf.data.sources import folder_images
from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.data.sources import part
from memo_tf.data.sources import tfds
from memo_tf.experiment import errors
from memo_tf.experiment import random_streams
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import files

CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Folder:
  """A folder whose files are known and, apart from pixels, checked.

  Attributes:
    config: of the data.
    seed: of the study.
    listing: of the folder.
    train, test: its images, by id.
    has_drawn_test: whether the test set was drawn here.
    headers: what their headers state.
    skipped: unreadable images that are left out, each with the reason.
  """

  config: settings_lib.DataConfig
  seed: int
  listing: folder_files.Listing
  train: list[folder_files.ImageFile]
  test: list[folder_files.ImageFile]
  has_drawn_test: bool
  headers: folder_images.Headers
  skipped: list[tuple[folder_files.ImageFile, str]]

  def decoded_bytes(self, num_examples: int = 0) -> int:
    """How much memory the images take, once decoded, if all are like the first.

    Args:
      num_examples: the number of training examples to be kept; 0: all.
    """
    num_train, num_test = len(self.train), len(self.test)
    if self.config.test_fraction and not self.has_drawn_test:
      num_test = round(self.config.test_fraction * num_train)
      num_train -= num_test
    size = self.config.image_size
    height, width = (size, size) if size else self.headers.first or (1, 1)
    count = min(num_train, num_examples or num_train) + num_test
    return count * height * width * CHANNELS

  def load(self) -> image_source.ImageDataset:
    """The data set in memory.

    Raises:
      UsageError: that names all images that cannot be read, or if they have
        differing sizes.
    """
    images, unreadable = [], []
    everything = self.train + self.test
    pixels = folder_images.decoded(everything)
    for file, found in zip(everything, pixels, strict=True):
      if isinstance(found, image_source.UnreadableError):
        unreadable.append((file, str(found)))
        continue
      size = self.config.image_size
      images.append(resizing.resize(found, size) if size else found)
    if unreadable:
      raise folder_images.error_of(
        unreadable, len(everything), self.listing.root
      )
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
      raise tfds.differing_sizes(self.listing.root.name, shapes[0], shapes[-1])
    stacked, count = np.stack(images), len(self.train)
    return image_source.ImageDataset(
      **self._about(),
      train_images=stacked[:count],
      test_images=stacked[count:],
    )

  def stream(self) -> image_stream.ImageStream:
    """The data set, whose images are read when they are written."""
    nothing = np.full(len(self.train), -1), np.full(len(self.test), -1)
    ids = np.arange(len(self.train)), np.arange(len(self.test))
    train = image_stream.Part(_reader(self.train), ids[0], nothing[0])
    test = image_stream.Part(_reader(self.test), nothing[1], ids[1])
    return image_stream.ImageStream(
      **self._about(),
      image_type="uint8",
      channels=CHANNELS,
      parts=(train, test) if self.test else (train,),
      explain=self._unreadable_error,
    )

  def _unreadable_error(self) -> errors.UsageError | None:
    """The error for all images that cannot be read; None if there is none."""
    everything = self.train + self.test
    found = folder_images.unreadable(everything)
    if not found:
      return None
    return folder_images.error_of(found, len(everything), self.listing.root)

  def _about(self) -> dict:
    """The fields of an `ImageSource` but the images."""
    names = self.listing.class_names
    index = {name: label for label, name in enumerate(names)}
    about: dict = {
      "name": self.listing.root.name,
      "version": "own files",
      "licence": "the owner's",
      "citation": "none given",
      "class_names": names,
      "max_pixel": 255,
      "order": self._order(),
      "sources_are_files": True,
      "notes": self._notes(),
      "skipped": tuple(
        f"{file.name}: {reason}" for file, reason in self.skipped
      ),
    }
    for split, images in (("train", self.train), ("test", self.test)):
      labels = [index[image.class_name] for image in images]
      about[f"{split}_labels"] = np.array(labels, np.int32)
      about[f"{split}_sources"] = np.array([i.name for i in images], str)
    return about

  def _order(self) -> str:
    if not self.has_drawn_test:
      return (
        "of each split, the order of class and file name, shuffled by "
        "random.Random(name of the split)"
      )
    return (
      "the order of class and file name among the training examples; "
      f"{len(self.test)} are the test set, of each class its share, by seed "
      f"{self.seed} and the files' content"
    )

  def _notes(self) -> tuple[str, ...]:
    """What a user should know of the folder, a line each."""
    count = len(self.train) + len(self.test)
    text = f"{count} images in {len(self.listing.class_names)} classes"
    ignored = self.listing.ignored
    if ignored:
      most = collections.Counter(ignored).most_common()
      why = ", ".join(f"{number} {reason}" for reason, number in most[:8])
      why += ", …" if len(most) > 8 else ""
      noun = "file" if sum(ignored.values()) == 1 else "files"
      text += f", {sum(ignored.values())} {noun} ignored ({why})"
    notes = [f"{self.listing.root.name}: {text}."]
    notes += [f"{n} of them {what}." for what, n in self.headers.counts.items()]
    if self.skipped:
      count = len(self.skipped)
      what = "image is" if count == 1 else "images are"
      listed = folder_images.listed(self.skipped)
      notes.append(f"{count} unreadable {what} left out: {listed}.")
    return tuple(notes)


def open_folder(
  config: settings_lib.DataConfig, seed: int, *, whole: bool = False
) -> Folder:
  """Lists a folder, chooses its splits, and reads the headers of its images.

  With `--skip_unreadable` every image is decoded once, and those that cannot be
  are left out.

  Args:
    config: of the data.
    seed: of the study.
    whole: no test set is drawn.

  Raises:
    UsageError: as `folder_files.listing`; or if a split is not there, an image
      has too many pixels, or all are to be skipped.
  """
  root = pathlib.Path(config.data_dir, config.dataset.partition(":")[2])
  listing = folder_files.listing(root, config.train_split)
  headers = folder_images.headers(listing.images, config.max_image_pixels)
  skipped: list[tuple[folder_files.ImageFile, str]] = []
  if config.skip_unreadable:
    skipped = folder_images.unreadable(listing.images)
    if len(skipped) == len(listing.images):
      raise errors.UsageError(
        f"--skip_unreadable must leave images. Received: {root}, where all "
        f"{len(skipped)} are unreadable: {folder_images.listed(skipped)}"
      )
    left_out = {image.path for image, _ in skipped}
    splits = {
      name: [image for image in images if image.path not in left_out]
      for name, images in listing.splits.items()
    }
    listing = dataclasses.replace(listing, splits=splits)
  train, test = _splits(listing, config, seed, whole)
  has_drawn_test = folder_files.NO_SPLIT in listing.splits and bool(test)
  return Folder(
    config, seed, listing, train, test, has_drawn_test, headers, skipped
  )


def _splits(
  listing: folder_files.Listing,
  config: settings_lib.DataConfig,
  seed: int,
  whole: bool,
) -> tuple[list[folder_files.ImageFile], list[folder_files.ImageFile]]:
  """Training and test images, by id."""
  if folder_files.NO_SPLIT in listing.splits:
    images = listing.splits[folder_files.NO_SPLIT]
    for flag, default in (("train_split", "train"), ("test_split", "")):
      if getattr(config, flag) != default:
        raise _no_such_split(listing, flag, getattr(config, flag))
    if whole or not config.test_fraction:
      return images, []
    return _drawn(images, config.test_fraction, seed)
  train = _shuffled(listing, config.train_split, "train_split")
  test_split = config.test_split
  if not test_split and not config.test_fraction:
    splits = listing.splits
    test_split = next((s for s in tfds.TEST_SPLITS if s in splits), "")
  test = _shuffled(listing, test_split, "test_split") if test_split else []
  return train, test


def _shuffled(
  listing: folder_files.Listing, split: str, flag: str
) -> list[folder_files.ImageFile]:
  """The images of a split, in the order of TensorFlow Datasets."""
  if split not in listing.splits:
    raise _no_such_split(listing, flag, split)
  images = list(listing.splits[split])
  random.Random(split).shuffle(images)
  return images


def _no_such_split(
  listing: folder_files.Listing, flag: str, split: str
) -> errors.UsageError:
  known = ", ".join(name for name in listing.splits if name)
  return errors.UsageError(
    f"--{flag} must be a split of {listing.root.name}: "
    f"{known or 'CLASS/IMAGE has none'}. Received: --{flag}={split}"
  )


def _drawn(
  images: list[folder_files.ImageFile], fraction: float, seed: int
) -> tuple[list[folder_files.ImageFile], list[folder_files.ImageFile]]:
  """Training images and a stratified part of `fraction` as the test set.

  Raises:
    UsageError: if no training or no test images would be left.
  """
  names = [image.class_name for image in images]
  counts = collections.Counter(names)
  size = round(fraction * len(images))
  # A class keeps one image to train with.
  most = np.array(list(counts.values())) - 1
  if not 0 < size <= most.sum():
    raise errors.UsageError(
      "--test_fraction must leave test images, and training images of every "
      f"class, of the {len(images)}. Received: --test_fraction={fraction}"
    )
  shares = np.minimum(part.shares(np.array(list(counts.values())), size), most)
  left = dict(zip(counts, shares.tolist(), strict=True))

  def rank(index: int) -> tuple[int, int]:
    digest = files.digest_file(images[index].path)
    return random_streams.stream_seed(seed, "test_split", digest), index

  is_test = np.zeros(len(images), bool)
  for index in sorted(range(len(images)), key=rank):
    if left[names[index]]:
      left[names[index]] -= 1
      is_test[index] = True
  return (
    [image for image, test in zip(images, is_test) if not test],
    [image for image, test in zip(images, is_test) if test],
  )


def _reader(images: list[folder_files.ImageFile]):
  """Reads images: JPEG and PNG as they are, others decoded."""
  return functools.partial(_read, images)


def _read(
  images: list[folder_files.ImageFile],
) -> Iterator[image_source.Image]:
  for image in images:
    content = folder_images.read(image)
    if content.startswith(encoding.PUBLISHED):
      yield content
    else:
      with folder_images.unlimited_pixels():
        pixels = folder_images.decode(content)
      yield pixels
