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

import collections
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import dataclasses
import io
import json
import os
import pathlib

from absl import logging
import numpy as np
import pandas as pd
import tensorflow as tf

from memo_tf.data import duplicates
from memo_tf.data import encoding
from memo_tf.data import planted
from memo_tf.data import resizing
from memo_tf.data.sources import image_source
from memo_tf.data.sources import tfds
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

# All pairs of more images would take hours.
MAX_COMPARED = 200_000
LOG_EVERY = 10_000


def write_dataset(
  data: image_source.ImageSource,
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
) -> dict:
  """Writes `dataset/`.

  Args:
    data: an `ImageDataset` is stored as pixels, an `ImageStream` encoded.
    config: of the study.
    directory: of the study.

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
    files_lib.write_atomic(
      private / "info.json", json.dumps(info, indent=2) + "\n"
    )
  return dataset_info.read_info(directory)


def number_planted(
  data: image_source.ImageSource, config: config_lib.StudyConfig
) -> int:
  """How many examples will be appended: it depends on labels, not on images.

  Raises:
    UsageError: if there are too few images for what is to be planted.
  """
  shape = (len(data.train_labels), 1, 1, 1)
  pixels = np.broadcast_to(np.zeros(1, data.image_type), shape)
  further = planted.appended(
    planted.originals(data, pixels, config),
    config.data,
    len(data.class_names),
    data.max_pixel,
    config.running.seed,
  )
  return 0 if further is None else len(further.labels)


@dataclasses.dataclass(frozen=True)
class _Stored:
  """An image on its way to disk.

  Attributes:
    content: the bytes of its record.
    image: its pixels, as they will be read.
    is_published: whether `content` is a file of the data set itself.
  """

  content: bytes
  image: np.ndarray
  is_published: bool


class _DatasetWriter:
  """Goes through all images and keeps of each what is small."""

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
    self._shape: tuple[int, ...] | None = None
    self._sizes: dict[str, int] = {}
    self._writers: dict[str, shards.Writer] = {}
    # Of each split, uint8 [n, 16]: the digests of its pixels.
    self._digests: dict[str, np.ndarray] = {}
    self._num_published = 0

  def write(self) -> dict:
    """Writes all files but info.json; returns its content."""
    data = self._data
    originals = planted.originals(data, None, self._config)
    labels = {"train": originals.labels, "test": data.test_labels}
    num_planted = number_planted(data, self._config)
    self._open(len(labels["train"]) + num_planted, len(labels["test"]))
    for count, (split, example_id, stored) in enumerate(self._prepared(), 1):
      self._num_published += stored.is_published
      self._add(split, example_id, labels[split][example_id], stored)
      if count % LOG_EVERY == 0:
        logging.info("%d of %d images", count, sum(map(len, labels.values())))
    train = originals
    if num_planted:
      train = self._append_planted(originals)
    self._pictures.close()
    found = self._duplicates()
    table = description.examples_table(data, train).assign(**found)
    path = self._folder / "examples.parquet"
    files_lib.write_atomic(path, _parquet(table))
    files = [path, self._pictures.path]
    for writer in self._writers.values():
      files += writer.finish()
    return {
      **description.info(data, self._config, self._shape, train),
      "image_type": data.image_type,
      **self._encoding(),
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

  def _prepared(self) -> Iterator[tuple[str, int, _Stored]]:
    """All images as they are to be stored: split, id, image."""
    if self._is_encoded:
      yield from _in_threads(self._prepare, self._data.images())
      return
    for split, example_id, image in self._data.images():
      yield split, example_id, _Stored(self._encoded(image), image, False)

  def _prepare(
    self, split: str, example_id: int, source: image_source.Image
  ) -> _Stored:
    """One image as it is to be stored; changes nothing here, for threads."""
    data, size = self._data, self._config.data.image_size
    image = source
    if isinstance(source, bytes):
      try:
        image = encoding.decode(
          tf.constant(source),
          "png",
          (None, None, data.channels),
          data.image_type,
        ).numpy()
      except tf.errors.OpError as error:
        raise tfds.unreadable(data.name, split, example_id, error) from error
    as_published = isinstance(source, bytes)
    if size and image.shape[:2] != (size, size):
      image, as_published = resizing.resize(image, size), False
    if as_published and self._kind != "raw" and _is_png_or_jpeg(source):
      return _Stored(source, image, True)
    content = self._encoded(image)
    if self._kind == "jpeg":  # what is read is what counts
      image = encoding.decode(
        tf.constant(content), "jpeg", image.shape, data.image_type
      ).numpy()
    return _Stored(content, image, False)

  def _encoded(self, image: np.ndarray) -> bytes:
    try:
      return encoding.encode(image, self._kind, self._config.data.jpeg_quality)
    except ValueError as error:
      raise errors.UsageError(str(error)) from error

  def _add(
    self, split: str, example_id: int, label: int, stored: _Stored
  ) -> None:
    """Writes an example and keeps what is needed of its pixels."""
    self._check_shape(stored.image)
    self._writers[split].add(example_id, int(label), stored.content)
    row = example_id + (self._sizes["train"] if split == "test" else 0)
    self._pictures.write(row, stored.image)
    digest = digests.of_pixels(stored.image)
    self._digests[split][example_id] = np.frombuffer(
      bytes.fromhex(digest), np.uint8
    )
    if split == "train":
      self._counts.add(stored.image)

  def _check_shape(self, image: np.ndarray) -> None:
    """The first image decides the shape and type of all."""
    if self._shape is None:
      self._shape = image.shape
      self._counts = normalization.PixelCounts(image.shape[-1], image.dtype)
      name, picture = "images.npy", pictures.unchanged
      if self._is_encoded:
        name, picture = "thumbnails.npy", pictures.thumbnail
      self._pictures = pictures.Writer(
        self._folder / name, sum(self._sizes.values()), image, picture
      )
    elif image.shape != self._shape:
      raise tfds.differing_sizes(self._data.name, self._shape, image.shape)

  def _append_planted(
    self, originals: planted.TrainingSet
  ) -> planted.TrainingSet:
    """Appends what is planted; returns the training set without images."""
    data, config = self._data, self._config
    num_train = len(originals.labels)
    stored = self._writers["train"].contents()
    further = planted.appended(
      dataclasses.replace(
        originals,
        images=images_lib.StoredImages(
          stored, self._kind, self._shape, data.image_type
        ),
      ),
      config.data,
      len(data.class_names),
      data.max_pixel,
      config.running.seed,
    )
    for index, image in enumerate(further.images):
      origin = further.origin_ids[index]
      if origin >= 0 and further.plant[index] != "near_duplicate":
        content = stored.read(np.array([origin]))[0]  # equal to the bit
        row = _Stored(content, image, False)
      else:
        row = self._prepare("train", num_train + index, image)
      self._add("train", num_train + index, further.labels[index], row)
    return planted.TrainingSet(
      images=None,
      **{
        name: np.concatenate([getattr(originals, name), getattr(further, name)])
        for name in ("labels", "clean_labels", "plant", "origin_ids")
      },
    )

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

  def _encoding(self) -> dict:
    """What info.json says of the encoding; nothing of plain pixels."""
    if not self._is_encoded:
      return {}
    return {
      "encoding": {
        "kind": self._kind,
        "jpeg_quality": self._config.data.jpeg_quality,
        "images_as_published": self._num_published,
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


def _in_threads(
  work: Callable[[str, int, image_source.Image], _Stored],
  images: Iterator[tuple[str, int, image_source.Image]],
) -> Iterator[tuple[str, int, _Stored]]:
  """Decodes and encodes on all cores, a few images ahead; keeps the order."""
  threads = len(os.sched_getaffinity(0))
  waiting: collections.deque = collections.deque()
  with futures.ThreadPoolExecutor(threads) as pool:
    try:
      for split, example_id, source in images:
        future = pool.submit(work, split, example_id, source)
        waiting.append((split, example_id, future))
        if len(waiting) > 4 * threads:
          split, example_id, future = waiting.popleft()
          yield split, example_id, future.result()
      while waiting:
        split, example_id, future = waiting.popleft()
        yield split, example_id, future.result()
    finally:
      pool.shutdown(cancel_futures=True)


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


def _is_png_or_jpeg(content: bytes) -> bool:
  return content.startswith((b"\x89PNG", b"\xff\xd8\xff"))


def _parquet(table: pd.DataFrame) -> bytes:
  sink = io.BytesIO()
  table.to_parquet(sink, index=False)
  return sink.getvalue()
