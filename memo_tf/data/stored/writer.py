"""Writes `dataset/` of a study, whole or not at all.

    shards/<split>-00000-of-000NN.tfrecord   one record per example (`shards`)
    shards/<split>-index.npy                 where each example is (`records`)
    images.npy | thumbnails.npy              for the page (`pictures`)
    examples.parquet                         what is known of each example
    info.json                                all else, and the files' digests

An `ImageDataset`, which is in memory, is stored as pixels with `images.npy`. An
`ImageStream` goes through memory one image at a time: its records hold encoded
images (`data/encoding.py`), and `info.json` says how, and how many of them are
the files that the data set itself has. Each of its images is decoded once, to
check its shape and that it can be decoded, and for the normalization, the
thumbnails and the digests of its pixels.
"""

import dataclasses
import io
import pathlib

from absl import logging
import numpy as np
import pandas as pd

from memo_tf.data import duplicates
from memo_tf.data import planted
from memo_tf.data.sources import image_source
from memo_tf.data.sources import tfds
from memo_tf.data.stored import conflicts
from memo_tf.data.stored import conversion
from memo_tf.data.stored import description
from memo_tf.data.stored import digests
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import normalization
from memo_tf.data.stored import pictures
from memo_tf.data.stored import shards
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files as files_lib
from memo_tf.store import sealed

# All pairs of more images would take hours.
MAX_COMPARED = 200_000
LOG_EVERY = 10_000


def write_dataset(
  data: image_source.ImageSource,
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
  custom_files: dict[str, dict] | None = None,
) -> dict:
  """Writes `dataset/`.

  Args:
    data: an `ImageDataset` is stored as pixels, an `ImageStream` encoded.
    config: of the study.
    directory: of the study.
    custom_files: digests of the user's own files, for info.json
      (`sources/custom_files.py`).

  Returns:
    The content of info.json.

  Raises:
    UsageError: if images do not fit together, one cannot be decoded, or too few
      are left for what is to be planted.
    OSError: if it cannot be written.
  """
  _check_duplicates(data, config)
  with files_lib.published(directory.dataset_dir) as private:
    (private / "shards").mkdir()
    info = _DatasetWriter(data, config, private).write()
    info |= {"custom_files": custom_files} if custom_files else {}
    files_lib.write_atomic(private / "info.json", sealed.dumps(info))
  return dataset_info.read_info(directory)


def number_planted(
  data: image_source.ImageSource, config: config_lib.StudyConfig
) -> int:
  """How many examples will be appended: it depends on labels, not on images.

  Raises:
    UsageError: if there are too few images for what is to be planted.
  """
  further = _appended(_without_images(data, config), data, config)
  return 0 if further is None else len(further.labels)


class _DatasetWriter:
  """Goes through all images and keeps what is small of each."""

  def __init__(
    self,
    data: image_source.ImageSource,
    config: config_lib.StudyConfig,
    folder: pathlib.Path,
  ):
    self._data, self._config, self._folder = data, config, folder
    self._is_encoded = not isinstance(data, image_source.ImageDataset)
    self._kind = "raw"
    if self._is_encoded:
      kind = config.data.image_encoding
      self._kind = "png" if kind == "auto" else kind
    self._converter = conversion.Converter(
      data, self._kind, config.data.image_size, config.data.jpeg_quality
    )
    self._sizes: dict[str, int] = {}
    self._writers: dict[str, shards.Writer] = {}
    # Of each split, uint8 [n, 16]: the digests of its pixels.
    self._digests: dict[str, np.ndarray] = {}
    # From the first image on:
    self._shape: tuple[int, int, int] | None = None
    self._counts: normalization.PixelCounts
    self._pictures: pictures.Writer

  def write(self) -> dict:
    """Writes all files but info.json; returns its content."""
    data = self._data
    originals = _without_images(data, self._config)
    num_planted = number_planted(data, self._config)
    self._open(len(originals.labels) + num_planted, len(data.test_labels))
    num_published = self._write_images(originals.labels)
    train = self._append_planted(originals) if num_planted else originals
    self._pictures.close()
    found = self._duplicates()
    table = description.examples_table(data, train).assign(**found)
    path = self._folder / "examples.parquet"
    files_lib.write_atomic(path, _parquet(table))
    files = [path, self._pictures.path]
    for writer in self._writers.values():
      files += writer.finish()
    conflict = conflicts.note(data, self._digests)
    notes = [*data.notes, *([conflict] if conflict else [])]
    return {
      **description.info(data, self._config, self._image_shape(), train, notes),
      "image_type": data.image_type,
      **self._encoding(num_published),
      "normalization": self._counts.normalization(),
      "duplicates": {
        name: int((ids >= 0).sum()) for name, ids in found.items()
      },
      "digest": self._digest(train.labels, data.test_labels),
      "files": description.file_entries(self._folder, files),
    }

  def _open(self, num_train: int, num_test: int) -> None:
    self._sizes = {"train": num_train, "test": num_test}
    for split, size in self._sizes.items():
      folder = self._folder / "shards"
      self._writers[split] = shards.Writer(folder, split, size)
      self._digests[split] = np.zeros((size, 16), np.uint8)

  def _write_images(self, train_labels: np.ndarray) -> int:
    """Writes all images but planted ones; returns how many are published."""
    labels = {"train": train_labels, "test": self._data.test_labels}
    total, num_published = sum(map(len, labels.values())), 0
    for count, (split, example_id, row) in enumerate(self._converter.all(), 1):
      self._add(split, example_id, labels[split][example_id], row)
      num_published += row.is_published
      if count % LOG_EVERY == 0:
        logging.info("%d of %d images", count, total)
    return num_published

  def _append_planted(
    self, originals: planted.TrainingSet
  ) -> planted.TrainingSet:
    """Writes the planted examples; returns the training set with them."""
    stored = self._writers["train"].contents()
    images = images_lib.StoredImages(
      stored, self._kind, self._image_shape(), self._data.image_type
    )
    added = _appended(
      dataclasses.replace(originals, images=images), self._data, self._config
    )
    if added is None:
      return originals
    first = len(originals.labels)
    for index, image in enumerate(np.asarray(added.images)):
      origin = added.origin_ids[index]
      if origin >= 0 and added.plant[index] != "near_duplicate":
        content = stored.read(np.array([origin]))[0]  # equal to the bit
        row = conversion.Converted(content, image)
      else:
        row = self._converter.convert("train", first + index, image)
      self._add("train", first + index, added.labels[index], row)
    blank = _blank(len(added.labels), self._data.image_type)
    return planted.joined([originals, dataclasses.replace(added, images=blank)])

  def _add(
    self, split: str, example_id: int, label: int, row: conversion.Converted
  ) -> None:
    """Writes an example and keeps what is needed of its pixels."""
    self._check_shape(row.image)
    self._writers[split].add(example_id, int(label), row.content)
    index = example_id + (self._sizes["train"] if split == "test" else 0)
    self._pictures.write(index, row.image)
    digest = bytes.fromhex(digests.of_pixels(row.image))
    self._digests[split][example_id] = np.frombuffer(digest, np.uint8)
    if split == "train":
      self._counts.add(row.image)

  def _image_shape(self) -> tuple[int, int, int]:
    if self._shape is None:
      raise ValueError(f"{self._data.name} has no images")
    return self._shape

  def _check_shape(self, image: np.ndarray) -> None:
    """The first image decides the shape and type of all."""
    if self._shape is None:
      self._shape = (*image.shape,)
      self._counts = normalization.PixelCounts(image.shape[-1], image.dtype)
      name, picture = "images.npy", pictures.unchanged
      if self._is_encoded:
        name, picture = "thumbnails.npy", pictures.thumbnail
      self._pictures = pictures.Writer(
        self._folder / name, sum(self._sizes.values()), image, picture
      )
    elif image.shape != self._shape:
      raise tfds.differing_sizes(self._data.name, self._shape, image.shape)

  def _duplicates(self) -> dict[str, np.ndarray]:
    """Columns of examples.parquet: equal images, and near pictures."""
    small, split = self._pictures.read(), self._sizes["train"]
    rows = np.concatenate([self._digests["train"], self._digests["test"]])
    return duplicates.find(
      small[:split],
      small[split:],
      self._data.max_pixel,
      kind=self._config.data.find_duplicates,
      distance=self._config.data.near_duplicate_distance,
      digests=[row.tobytes() for row in rows],
    )

  def _encoding(self, num_published: int) -> dict:
    """What info.json says of the encoding; nothing of plain pixels."""
    if not self._is_encoded:
      return {}
    return {
      "encoding": {
        "kind": self._kind,
        "jpeg_quality": self._config.data.jpeg_quality,
        "images_as_published": num_published,
      }
    }

  def _digest(self, train_labels: np.ndarray, test_labels: np.ndarray) -> str:
    """The digest of what was written."""
    if self._is_encoded:
      labels = {"train": train_labels, "test": test_labels}
      return digests.of_images(self._digests, labels)
    images, split = self._pictures.read(), self._sizes["train"]
    return digests.of_arrays(
      images[:split], train_labels, images[split:], test_labels
    )


def _without_images(
  data: image_source.ImageSource, config: config_lib.StudyConfig
) -> planted.TrainingSet:
  """The original training examples, with a blank pixel for each image."""
  blank = _blank(len(data.train_labels), data.image_type)
  return planted.originals(data, blank, config)


def _blank(count: int, image_type: str) -> np.ndarray:
  """`[count, 1, 1, 1]` black pixels, where only labels matter."""
  return np.broadcast_to(np.zeros(1, image_type), (count, 1, 1, 1))


def _appended(
  originals: planted.TrainingSet,
  data: image_source.ImageSource,
  config: config_lib.StudyConfig,
) -> planted.TrainingSet | None:
  """The examples that are planted, if any."""
  return planted.appended(
    originals,
    config.data,
    len(data.class_names),
    data.max_pixel,
    config.running.seed,
  )


def _check_duplicates(
  data: image_source.ImageSource, config: config_lib.StudyConfig
) -> None:
  count = len(data.train_labels) + len(data.test_labels)
  if config.data.find_duplicates == "near" and count > MAX_COMPARED:
    raise errors.UsageError(
      "--find_duplicates must be exact or off for more than "
      f"{MAX_COMPARED:,} images: near compares all pairs, which are "
      f"{count**2 / 2:.1g} here. Received: --find_duplicates=near"
    )


def _parquet(table: pd.DataFrame) -> bytes:
  sink = io.BytesIO()
  table.to_parquet(sink, index=False)
  return sink.getvalue()
