"""TFRecord shards: one record per example, readable by anybody.

Each record holds `id` and `label` (int64) and `image` (bytes): the pixels of
uint8 or little-endian uint16 `[H, W, channels]`, or a PNG or JPEG file of them
(`info.json` says shape, type and encoding). Files are named
`<split>-00000-of-000NN.tfrecord`.

The shards of a data set have an index (`<split>-index.npy`, see `records`), by
which any example is read without the others. Those of a materialized subset
have none: they are read from the first record to the last.
"""

import errno
import os
import pathlib

import numpy as np
import tensorflow as tf
import xxhash

from memo_tf.data.stored import records
from memo_tf.experiment import errors

SHARD_BYTES = 128 << 20
# Bytes around a record's content in a TFRecord file: before it the length and
# its checksum, after it the content's checksum.
_HEADER, _FOOTER = 12, 4


class Writer:
  """Writes one split's shards and index; a context manager.

  Args:
    folder: of the shards; a private one, as files are renamed at the end.
    split: `train` or `test`.
    count: n, how many examples; each id in [0, n) is added once, in any order.
      None for no index: ids may be any.
  """

  def __init__(self, folder: pathlib.Path, split: str, count: int | None):
    self._folder, self._split = folder, split
    self._index = None
    if count is not None:
      self._index = np.zeros(count, records.INDEX_TYPE)
      self._index["length"] = -1
    self._writer: tf.io.TFRecordWriter | None = None
    self._paths: list[pathlib.Path] = []
    self._size = 0

  def __enter__(self) -> "Writer":
    return self

  def __exit__(self, kind, *unused) -> None:
    self._close_shard()

  def add(self, example_id: int, label: int, content: bytes) -> None:
    """Appends an example with the encoded bytes of its image.

    Raises:
      OSError: if it cannot be written.
    """
    record = encode_example(example_id, label, content)
    writer = self._writer
    if writer is None or self._size >= SHARD_BYTES:
      writer = self._open_shard()
    if self._index is not None:
      self._index[example_id] = (
        len(self._paths) - 1,
        len(content),
        self._size + _HEADER + record.index(content),
        xxhash.xxh3_64_intdigest(content),
        label,
      )
    try:
      writer.write(record)
    except tf.errors.OpError as error:
      raise os_error(error, self._paths[-1]) from error
    self._size += _HEADER + len(record) + _FOOTER

  def contents(self) -> records.Records:
    """What was added so far, to be read while more may follow.

    Raises:
      ValueError: if there is no index.
    """
    if self._index is None:
      raise ValueError("without an index no example can be found")
    self._close_shard()
    return records.Records(self._index, self._paths)

  def finish(self) -> list[pathlib.Path]:
    """Closes and names all files; returns their paths.

    Raises:
      OSError: if they cannot be written.
      ValueError: if an id was not added.
    """
    if self._writer is None and not self._paths:
      self._open_shard()  # an empty split has an empty shard
    self._close_shard()
    final = []
    for number, path in enumerate(self._paths):
      name = f"{self._split}-{number:05d}-of-{len(self._paths):05d}.tfrecord"
      final.append(path.rename(self._folder / name))
    self._paths = final
    if self._index is None:
      return final
    missing = np.flatnonzero(self._index["length"] < 0)
    if len(missing):
      raise ValueError(f"{self._split} example {missing[0]} was not written")
    path = self._folder / f"{self._split}-index.npy"
    np.save(path, self._index, allow_pickle=False)
    return [*final, path]

  def _open_shard(self) -> tf.io.TFRecordWriter:
    self._close_shard()
    path = self._folder / f"{self._split}-{len(self._paths):05d}.tfrecord"
    try:
      self._writer = tf.io.TFRecordWriter(str(path))
    except tf.errors.OpError as error:
      raise os_error(error, path) from error
    self._paths.append(path)
    self._size = 0
    return self._writer

  def _close_shard(self) -> None:
    if self._writer is None:
      return
    writer, self._writer = self._writer, None
    try:
      writer.close()
    except tf.errors.OpError as error:
      raise os_error(error, self._paths[-1]) from error


def write_shards(
  folder: pathlib.Path,
  split: str,
  ids: np.ndarray,
  labels: np.ndarray,
  images: np.ndarray,
) -> list[pathlib.Path]:
  """Writes examples as shards of their pixels, without an index.

  Args:
    folder: that exists.
    split: the beginning of the files' names.
    ids: int `[n]`.
    labels: int `[n]`.
    images: uint8 or uint16 `[n, H, W, channels]`.

  Returns:
    The paths.

  Raises:
    OSError: if they cannot be written.
  """
  with Writer(folder, split, None) as writer:
    for example_id, label, image in zip(ids, labels, images, strict=True):
      writer.add(int(example_id), int(label), image.tobytes())
    return writer.finish()


def read_shards(
  paths: list[pathlib.Path],
  image_shape: tuple[int, int, int],
  count: int,
  image_type: str = "uint8",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Reads all records of shards of pixels, in order of id.

  Args:
    paths: of the shards.
    image_shape: `(H, W, channels)`.
    count: n, how many examples they hold.
    image_type: `uint8` or `uint16`.

  Returns:
    ids int64 `[n]`, labels int32 `[n]`, images `[n, H, W, channels]`.

  Raises:
    StudyError: if a record is damaged, an id occurs twice, or there are not n
      records.
  """
  spec = {
    "id": tf.io.FixedLenFeature([], tf.int64),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "image": tf.io.FixedLenFeature([], tf.string),
  }
  folder = paths[0].parent if paths else pathlib.Path(".")
  ids, labels = np.empty(count, np.int64), np.empty(count, np.int32)
  images = np.empty((count, *image_shape), image_type)
  read = 0
  batches = tf.data.TFRecordDataset([str(path) for path in paths]).batch(1024)
  try:
    for batch in batches:
      parsed = tf.io.parse_example(batch, spec)
      pixels = tf.io.decode_raw(parsed["image"], image_type)
      size = min(len(batch), count - read)
      rows = slice(read, read + size)
      ids[rows] = parsed["id"][:size]
      labels[rows] = parsed["label"][:size]
      images[rows] = tf.reshape(pixels, [-1, *image_shape])[:size]
      read += len(batch)
  except tf.errors.OpError as error:
    raise errors.StudyError(
      f"a TFRecord in {folder} is damaged ({error.message}); move the folder "
      "away, then rerun the same command"
    ) from error
  if read != count:
    raise errors.StudyError(
      f"the shards in {folder} must hold {count} examples. Received: {read}; "
      "move the folder away, then rerun the same command"
    )
  if (np.diff(ids) < 0).any():
    order = np.argsort(ids, kind="stable")
    ids, labels, images = ids[order], labels[order], images[order]
  if (np.diff(ids) == 0).any():
    raise errors.StudyError(
      f"an example's id occurs twice in {folder}; move the folder away, then "
      "rerun the same command"
    )
  return ids, labels, images


def encode_example(example_id: int, label: int, content: bytes) -> bytes:
  """One record, with the bytes of its image."""

  def integer(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))

  image_bytes = tf.train.BytesList(value=[content])
  feature = {
    "id": integer(example_id),
    "label": integer(label),
    "image": tf.train.Feature(bytes_list=image_bytes),
  }
  features = tf.train.Features(feature=feature)
  return tf.train.Example(features=features).SerializeToString()


def os_error(error: tf.errors.OpError, path: pathlib.Path) -> OSError:
  """The system's error, which TensorFlow has in its message only."""
  codes = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES)
  found = (c for c in codes if os.strerror(c) in error.message)
  code = next(found, errno.EIO)
  return OSError(code, os.strerror(code), str(path))
