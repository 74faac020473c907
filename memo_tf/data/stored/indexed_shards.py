"""TFRecord shards with an index: any example's image by id, and no other's.

The shards are what `data/stored/shards.py` describes, readable by anybody. The index,
`<split>-index.npy`, has a row for each id: in which shard the bytes of its image
lie, where, how many, their digest, and the example's label. So what a subset
costs is what its own examples cost: nothing of the others is read, parsed or
decoded, and the order may be any.

The digest takes the place of the record's checksum, which covers more than the
image: every image is compared with it each time it is read.
"""

import json
import os
import pathlib

import numpy as np
import tensorflow as tf
import xxhash

from memo_tf.data.stored import shards
from memo_tf.experiment import errors
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files

INDEX_TYPE = np.dtype(
  [
    ("shard", "<i4"),
    ("length", "<i4"),
    ("offset", "<i8"),
    ("digest", "<u8"),
    ("label", "<i4"),
  ]
)
# Of a TFRecord: the length and its checksum before the content, one behind.
_HEADER, _FOOTER = 12, 4


class Writer:
  """Writes one split's shards and index; a context manager.

  Args:
    folder: of the shards; a private one, as files are renamed at the end.
    split: `train` or `test`.
    count: n, how many examples; each id in [0, n) is added once, in any order.
  """

  def __init__(self, folder: pathlib.Path, split: str, count: int):
    self._folder, self._split = folder, split
    self._index = np.zeros(count, INDEX_TYPE)
    self._index["length"] = -1
    self._writer = None
    self._paths: list[pathlib.Path] = []
    self._size = 0

  def __enter__(self) -> "Writer":
    return self

  def __exit__(self, kind, *unused) -> None:
    self._close_shard()

  def add(self, example_id: int, label: int, content: bytes) -> None:
    """Appends an example with the encoded bytes of its image."""
    record = shards.encode_example(example_id, label, content)
    if self._writer is None or self._size >= shards.SHARD_BYTES:
      self._open_shard()
    start = self._size + _HEADER + record.index(content)
    self._index[example_id] = (
      len(self._paths) - 1,
      len(content),
      start,
      xxhash.xxh3_64_intdigest(content),
      label,
    )
    try:
      self._writer.write(record)
    except tf.errors.OpError as error:
      raise shards.os_error(error, self._paths[-1]) from error
    self._size += _HEADER + len(record) + _FOOTER

  def contents(self) -> "Records":
    """What was added so far, to be read while more may follow."""
    if self._writer is not None:
      self._close_shard()
    return Records(self._index, self._paths)

  def finish(self) -> list[pathlib.Path]:
    """Closes and names all files; returns their paths.

    Raises:
      ValueError: if an id was not added.
    """
    self._close_shard()
    missing = np.flatnonzero(self._index["length"] < 0)
    if len(missing):
      raise ValueError(f"{self._split} example {missing[0]} was not written")
    final = []
    for number, path in enumerate(self._paths):
      name = f"{self._split}-{number:05d}-of-{len(self._paths):05d}.tfrecord"
      final.append(path.rename(self._folder / name))
    index = self._folder / f"{self._split}-index.npy"
    np.save(index, self._index, allow_pickle=False)
    return [*final, index]

  def _open_shard(self) -> None:
    self._close_shard()
    path = self._folder / f"{self._split}-{len(self._paths):05d}.tfrecord"
    try:
      self._writer = tf.io.TFRecordWriter(str(path))
    except tf.errors.OpError as error:
      raise shards.os_error(error, path) from error
    self._paths.append(path)
    self._size = 0

  def _close_shard(self) -> None:
    if self._writer is None:
      return
    writer, self._writer = self._writer, None
    try:
      writer.close()
    except tf.errors.OpError as error:
      raise shards.os_error(error, self._paths[-1]) from error


class Records:
  """The encoded images of a split, by id.

  Args:
    index: `[n]` of `INDEX_TYPE`.
    paths: of the files, in the order of the index's numbers.
    has_digests: whether the index has them, so that they can be compared.

  Attributes:
    labels: int32 `[n]`.
  """

  def __init__(
    self,
    index: np.ndarray,
    paths: list[pathlib.Path],
    has_digests: bool = True,
  ):
    self._index, self._paths = index, paths
    self._has_digests = has_digests
    self._files: dict[int, int] = {}

  def __len__(self) -> int:
    return len(self._index)

  def __del__(self):
    for file in self._files.values():
      os.close(file)

  @property
  def labels(self) -> np.ndarray:
    return self._index["label"].astype(np.int32)

  def read(self, ids: np.ndarray) -> list[bytes]:
    """The bytes of some examples' images.

    Raises:
      StudyError: that names the file and example that are damaged.
    """
    rows = self._index[ids]
    contents = []
    for example_id, row in zip(ids.tolist(), rows.tolist()):
      shard, length, offset, digest, _ = row
      try:
        content = os.pread(self._file(shard), length, offset)
      except OSError as error:
        raise self._damaged(shard, example_id, error.strerror) from error
      if len(content) != length:
        raise self._damaged(shard, example_id, "the file ends before it")
      if self._has_digests and xxhash.xxh3_64_intdigest(content) != digest:
        raise self._damaged(
          shard, example_id, "it does not have the recorded digest"
        )
      contents.append(content)
    return contents

  def digests(self) -> np.ndarray:
    """uint64 `[n]`, of the encoded images."""
    return self._index["digest"]

  def _file(self, shard: int) -> int:
    if shard not in self._files:
      self._files[shard] = os.open(self._paths[shard], os.O_RDONLY)
    return self._files[shard]

  def _damaged(self, shard: int, example_id: int, why: str):
    path = self._paths[shard]
    folder = path.parent.parent if path.suffix == ".tfrecord" else path.parent
    return errors.StudyError(
      f"{path} is damaged: the image of example {example_id} cannot be used, "
      f"{why}; " + dataset_info.ADVICE.format(folder=folder)
    )


def open_split(
  directory: directory_lib.StudyDirectory, info: dict, split: str
) -> Records:
  """The records of `train` or `test` of `dataset/`.

  A data set that was prepared to be held in memory has its pixels, by id, in
  `images.npy`: those are read then.

  Raises:
    StudyError: if the index is not there or not whole.
  """
  folder = directory.dataset_dir / "shards"
  count = info[f"num_{split}"]
  if not dataset_info.is_encoded(info):
    return _mapped(directory, info, split)
  path = folder / f"{split}-index.npy"
  try:
    index = np.load(path, allow_pickle=False)
  except (OSError, ValueError, EOFError) as error:
    index, why = None, str(error)
  if index is None or index.dtype != INDEX_TYPE or index.shape != (count,):
    why = why if index is None else f"it does not hold {count} examples"
    raise errors.StudyError(
      f"{path} is damaged: {why}; "
      + dataset_info.ADVICE.format(folder=directory.dataset_dir)
    )
  return Records(index, sorted(folder.glob(f"{split}-*.tfrecord")))


def _mapped(directory, info: dict, split: str) -> Records:
  """The images of images.npy as records, with the labels of the shards."""
  path = directory.dataset_dir / "images.npy"
  images = np.load(path, mmap_mode="r", allow_pickle=False)
  size = images[0].nbytes
  first = 0 if split == "train" else info["num_train"]
  count = info[f"num_{split}"]
  index = np.zeros(count, INDEX_TYPE)
  index["length"] = size
  index["offset"] = images.offset + size * (first + np.arange(count))
  index["label"] = _labels(directory, split)
  return Records(index, [path], has_digests=False)


def _labels(directory, split: str) -> np.ndarray:
  import pandas as pd

  table = pd.read_parquet(
    directory.dataset_dir / "examples.parquet", columns=["split", "label"]
  )
  return table["label"][table["split"] == split].to_numpy()


def dataset_digest(
  train: Records, test: Records, pixels: dict[str, bytes]
) -> str:
  """A digest of what both splits hold.

  Args:
    train, test: whose labels count.
    pixels: for each split the digests of its decoded images, in order of id.
  """
  parts = {
    "train": [pixels["train"], train.labels.tobytes()],
    "test": [pixels["test"], test.labels.tobytes()],
  }
  digests = {
    name: [files.digest_bytes(part) for part in both]
    for name, both in parts.items()
  }
  return files.digest_bytes(json.dumps(digests).encode())
