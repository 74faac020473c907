"""Writes `dataset/` of data that memory would not hold, an image at a time.

As `data/stored/shards.py` writes it, with these differences: records hold encoded
images (`data/encoding.py`), beside the shards lies an index
(`data/stored/indexed_shards.py`), and for the page there are small pictures in place of
`images.npy` (`data/stored/thumbnails.py`). `info.json` says how images are encoded, and
how many of them are the files that the data set itself has.

Every image is decoded once, to check its shape and that it can be decoded, and
for the normalization, the thumbnails and the digests of its pixels.
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
import shutil

from absl import logging
import numpy as np
import tensorflow as tf

from memo_tf.data import duplicates
from memo_tf.data import encoding
from memo_tf.data import planted
from memo_tf.data import resizing
from memo_tf.data.sources import image_source
from memo_tf.data.sources import tfds
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import indexed_shards
from memo_tf.data.stored import shards
from memo_tf.data.stored import thumbnails
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files as files_lib

# All pairs of more images would take hours.
MAX_COMPARED = 200_000
LOG_EVERY = 10_000


def write_dataset(
  data: image_source.LargeDataset,
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
) -> dict:
  """Writes `dataset/`, whole or not at all; returns the content of info.json.

  Raises:
    UsageError: if images do not fit together or one cannot be decoded.
    OSError: if it cannot be written.
  """
  kind = config.data.image_encoding
  kind = "png" if kind == "auto" else kind
  _check_duplicates(data, config)
  target = directory.dataset_dir
  private = files_lib.private_name(target)
  (private / "shards").mkdir(parents=True)
  try:
    writer = _DatasetWriter(data, config, private, kind)
    info = writer.write()
    files_lib.write_atomic(
      private / "info.json", json.dumps(info, indent=2) + "\n"
    )
    files_lib.publish(private, target)
  except BaseException:
    shutil.rmtree(private, ignore_errors=True)
    raise
  return dataset_info.read_info(directory)


@dataclasses.dataclass(frozen=True)
class _Stored:
  """An image on its way to disk: its bytes there, and its pixels."""

  content: bytes
  image: np.ndarray
  is_published: bool


class _DatasetWriter:
  """Goes through all images and keeps of each what is small."""

  def __init__(self, data, config, folder: pathlib.Path, kind: str):
    self._data, self._config, self._folder = data, config, folder
    self._kind = kind
    self._shape: tuple[int, int, int] | None = None
    self._counts = None
    self._thumbnails = None
    self._digests: dict[str, np.ndarray] = {}
    self._writers: dict[str, indexed_shards.Writer] = {}
    self._num_published = 0

  def write(self) -> dict:
    """Writes all files but info.json; returns its content."""
    data, config = self._data, self._config
    planted_count = number_planted(data, config)
    originals = planted.originals(data, None, config)
    labels = {"train": originals.labels, "test": data.test_labels}
    num_train, num_test = len(labels["train"]), len(labels["test"])
    self._sizes = {"train": num_train + planted_count, "test": num_test}
    shards_dir = self._folder / "shards"
    for split, size in self._sizes.items():
      self._writers[split] = indexed_shards.Writer(shards_dir, split, size)
      self._digests[split] = np.zeros((size, 16), np.uint8)
    count = 0
    for split, example_id, stored in _in_threads(self._stored, data.images()):
      self._num_published += stored.is_published
      self._add(split, example_id, labels[split][example_id], stored)
      count += 1
      if count % LOG_EVERY == 0:
        logging.info("%d of %d images", count, num_train + num_test)
    train = self._append_planted(originals)
    self._thumbnails.close()
    table = shards.examples_table(data, train)
    found = self._duplicates()
    table = table.assign(**found)
    files_lib.write_atomic(self._folder / "examples.parquet", _parquet(table))
    files = [self._folder / "examples.parquet", self._folder / "thumbnails.npy"]
    written = {}
    for split, writer in self._writers.items():
      files += writer.finish()
      written[split] = writer.contents()
    digest = indexed_shards.dataset_digest(
      written["train"],
      written["test"],
      {name: part.tobytes() for name, part in self._digests.items()},
    )
    return {
      **shards.description(data, config, self._shape, train),
      "image_type": data.image_type,
      "encoding": {
        "kind": self._kind,
        "jpeg_quality": config.data.jpeg_quality,
        "images_as_published": self._num_published,
      },
      "normalization": self._counts.normalization(),
      "duplicates": {
        name: int((ids >= 0).sum()) for name, ids in found.items()
      },
      "digest": digest,
      "files": shards.file_entries(self._folder, files),
    }

  def _stored(
    self, split: str, example_id: int, source: image_source.Source
  ) -> "_Stored":
    """An image as it is to be stored; changes nothing here, for threads."""
    data, size = self._data, self._config.data.image_size
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
    else:
      image = source
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

  def _check_shape(self, image: np.ndarray) -> None:
    """The first image says what shape and type all have."""
    if self._shape is None:
      self._shape = image.shape
      self._counts = shards.PixelCounts(image.shape[-1], image.dtype)
      self._thumbnails = thumbnails.Writer(
        self._folder / "thumbnails.npy", sum(self._sizes.values()), image
      )
    elif image.shape != self._shape:
      raise tfds.differing_sizes(self._data.name, self._shape, image.shape)

  def _add(self, split, example_id, label, stored: "_Stored") -> None:
    """Takes an example in: its record, and all that is kept of its pixels."""
    self._check_shape(stored.image)
    self._writers[split].add(example_id, int(label), stored.content)
    row = example_id + (self._sizes["train"] if split == "test" else 0)
    self._thumbnails.write(row, stored.image)
    digest = files_lib.digest_bytes(np.ascontiguousarray(stored.image))
    self._digests[split][example_id] = np.frombuffer(
      bytes.fromhex(digest), np.uint8
    )
    if split == "train":
      self._counts.add(stored.image)

  def _append_planted(self, originals: planted.TrainingSet):
    """Appends what is planted; returns the training set without images."""
    data, config = self._data, self._config
    num_train = len(originals.labels)
    stored = self._writers["train"].contents()
    originals = dataclasses.replace(
      originals,
      images=images_lib.StoredImages(
        stored, self._kind, self._shape, data.image_type
      ),
    )
    further = planted.appended(
      originals,
      config.data,
      len(data.class_names),
      data.max_pixel,
      config.running.seed,
    )
    parts = [originals]
    if further is not None:
      parts.append(further)
      for place, image in enumerate(further.images):
        origin = further.origin_ids[place]
        added = num_train + place
        if origin >= 0 and further.plant[place] != "near_duplicate":
          content = stored.read(np.array([origin]))[0]  # equal to the bit
          row = _Stored(content, image, False)
        else:
          row = self._stored("train", added, image)
        self._add("train", added, further.labels[place], row)
    return planted.TrainingSet(
      images=None,
      **{
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("labels", "clean_labels", "plant", "origin_ids")
      },
    )

  def _duplicates(self) -> dict[str, np.ndarray]:
    """Columns of examples.parquet: equal images, and near thumbnails."""
    small, split = self._thumbnails.read(), self._sizes["train"]
    digests = np.concatenate([self._digests["train"], self._digests["test"]])
    return duplicates.find(
      small[:split],
      small[split:],
      self._data.max_pixel,
      kind=self._config.data.find_duplicates,
      distance=self._config.data.near_duplicate_distance,
      digests=[row.tobytes() for row in digests],
    )


def _in_threads(
  work: Callable[[str, int, image_source.Source], _Stored],
  images: Iterator[tuple[str, int, image_source.Source]],
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


def number_planted(
  data: image_source.LargeDataset, config: config_lib.StudyConfig
) -> int:
  """How many examples will be appended: labels settle it, not images.

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


def _check_duplicates(data, config: config_lib.StudyConfig) -> None:
  count = len(data.train_labels) + len(data.test_labels)
  if config.data.find_duplicates == "near" and count > MAX_COMPARED:
    raise errors.UsageError(
      "--find_duplicates must be exact or off for more than "
      f"{MAX_COMPARED:,} images: near compares all pairs, which are "
      f"{count**2 / 2:.1g} here. Received: --find_duplicates=near"
    )


def _is_png_or_jpeg(content: bytes) -> bool:
  return content.startswith((b"\x89PNG", b"\xff\xd8\xff"))


def _parquet(table) -> bytes:
  sink = io.BytesIO()
  table.to_parquet(sink, index=False)
  return sink.getvalue()
