"""A run's training subset as TFRecord shards (`--materialize_subsets`)."""

import numpy as np

from memo_tf.data.stored import reader
from memo_tf.data.stored import shards
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import files


def materialize(
  data: reader.ArrayDataset,
  in_mask: np.ndarray,
  directory: directory_lib.StudyDirectory,
  family: str,
  index: int,
) -> None:
  """Writes the shards of a subset, unless they exist.

  Args:
    data: in memory.
    in_mask: bool `[N]`, of the subset.
    directory: of the study.
    family: the subset family.
    index: m, of the subset.

  Raises:
    OSError: if they cannot be written.
  """
  target = directory.subset_shard_dir(family, index)
  if target.exists():
    return
  ids = np.flatnonzero(in_mask)
  with files.published(target) as private:
    shards.write_shards(
      private, "train", ids, data.train_labels[ids], data.train_images[ids]
    )


def read(
  directory: directory_lib.StudyDirectory,
  family: str,
  index: int,
  ids: np.ndarray,
  image_shape: tuple[int, int, int],
  image_type: str = "uint8",
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the shards of a subset.

  Args:
    directory: of the study.
    family: the subset family.
    index: m, of the subset.
    ids: int64 `[n]`, ascending, the examples of the subset.
    image_shape: `(H, W, channels)`.
    image_type: `uint8` or `uint16`.

  Returns:
    Images `[n, H, W, channels]` and labels int32 `[n]`, in order of id.

  Raises:
    StudyError: if the shards are damaged or hold other examples than `ids`.
  """
  folder = directory.subset_shard_dir(family, index)
  found, labels, images = shards.read_shards(
    sorted(folder.glob("train-*.tfrecord")), image_shape, len(ids), image_type
  )
  if not np.array_equal(found, ids):
    raise errors.StudyError(
      f"{folder} does not hold subset {index} of {family}; move it away, then "
      "rerun the same command"
    )
  return images, labels
