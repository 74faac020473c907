"""Any example's image by id, and no other's: the index of a split's files.

The index, `<split>-index.npy`, has a row for each id: in which shard the bytes
of its image are, where, how many, their digest, and the example's label. So
reading a subset costs what its own examples cost: no other example is read,
parsed or decoded, and the order may be any.

The digest takes the place of the TFRecord's checksum, which covers more than
the image: every image is compared with it each time it is read.
"""

import os
import pathlib
from typing import cast

import numpy as np
import pandas as pd
import xxhash

from memo_tf.experiment import errors
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib

INDEX_TYPE = np.dtype(
  [
    ("shard", "<i4"),
    ("length", "<i4"),
    ("offset", "<i8"),
    ("digest", "<u8"),
    ("label", "<i4"),
  ]
)


class Records:
  """The encoded images of a split, by id.

  Args:
    index: `[n]` of `INDEX_TYPE`.
    paths: the files that its column `shard` counts.
    has_digests: whether the index has digests to compare images with.

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
    """int32 `[n]`, by id."""
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
        raise self._damaged(shard, example_id, str(error.strerror)) from error
      if len(content) != length:
        raise self._damaged(shard, example_id, "the file ends before it")
      if self._has_digests and xxhash.xxh3_64_intdigest(content) != digest:
        raise self._damaged(
          shard, example_id, "it differs from its recorded digest"
        )
      contents.append(content)
    return contents

  def _file(self, shard: int) -> int:
    if shard not in self._files:
      self._files[shard] = os.open(self._paths[shard], os.O_RDONLY)
    return self._files[shard]

  def _damaged(
    self, shard: int, example_id: int, why: str
  ) -> errors.StudyError:
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

  Raises:
    StudyError: if the index is missing or damaged.
  """
  name = f"shards/{split}-index.npy"
  if name not in info["files"] and not dataset_info.is_encoded(info):
    return _without_index(directory, info, split)
  path, count = directory.dataset_dir / name, info[f"num_{split}"]
  try:
    index = arrays.load(path)
  except (OSError, ValueError, EOFError) as error:
    raise _damaged_index(path, str(error)) from error
  if index.dtype != INDEX_TYPE or index.shape != (count,):
    raise _damaged_index(path, f"it does not hold {count} examples")
  return Records(index, sorted(path.parent.glob(f"{split}-*.tfrecord")))


def _damaged_index(path: pathlib.Path, why: str) -> errors.StudyError:
  return errors.StudyError(
    f"{path} is damaged: {why}; "
    + dataset_info.ADVICE.format(folder=path.parent.parent)
  )


def _without_index(
  directory: directory_lib.StudyDirectory, info: dict, split: str
) -> Records:
  """The records of data stored as pixels before these had an index.

  The images are those of `images.npy`, the labels those of `examples.parquet`.
  """
  path = directory.dataset_dir / "images.npy"
  images = cast(np.memmap, arrays.load(path, mmap_mode="r"))
  size = images[0].nbytes
  first = 0 if split == "train" else info["num_train"]
  count = info[f"num_{split}"]
  table = pd.read_parquet(
    directory.dataset_dir / "examples.parquet", columns=["split", "label"]
  )
  index = np.zeros(count, INDEX_TYPE)
  index["length"] = size
  index["offset"] = images.offset + size * (first + np.arange(count))
  index["label"] = table["label"][table["split"] == split]
  return Records(index, [path], has_digests=False)
