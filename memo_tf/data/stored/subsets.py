"""A run's training subset as TFRecord shards (`--materialize_subsets`)."""

from absl import logging
import numpy as np

from memo_tf.data.stored import reader
from memo_tf.data.stored import shards
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import subset_info


def materialize(
  data: reader.ArrayDataset,
  in_mask: np.ndarray,
  directory: directory_lib.StudyDirectory,
  family: str,
  index: int,
) -> None:
  """Writes the shards of a subset, unless they are there.

  Shards of another data set or subset, and damaged ones, are moved to
  `damaged/` and written anew.

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
    problem = subset_info.problem(
      target, data.digest, in_mask, check_digests=False
    )
    if not problem:
      return
    logging.warning("%s is written anew: %s", target, problem)
    name = str(target.relative_to(directory.root))
    directory.move_to_damaged(target, name)
  ids = np.flatnonzero(in_mask)
  with files.published(target) as private:
    shards.write_shards(
      private, "train", ids, data.train_labels[ids], data.train_images[ids]
    )
    subset_info.write(private, data.digest, in_mask)


def read(
  directory: directory_lib.StudyDirectory,
  family: str,
  index: int,
  ids: np.ndarray,
  data: reader.ArrayDataset,
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the shards of a subset.

  Args:
    directory: of the study.
    family: the subset family.
    index: m, of the subset.
    ids: int64 `[n]`, ascending, the examples of the subset.
    data: of which it is a subset; its images are not read.

  Returns:
    Images `[n, H, W, channels]` and labels int32 `[n]`, in order of id.

  Raises:
    StudyError: if the shards are damaged, of another data set, or hold other
      examples or labels than `ids` and `data` say.
  """
  folder = directory.subset_shard_dir(family, index)
  in_mask = np.zeros(len(data.train_labels), bool)
  in_mask[ids] = True
  if problem := subset_info.problem(folder, data.digest, in_mask):
    raise _unusable(folder, index, family, problem)
  found, labels, images = shards.read_shards(
    sorted(folder.glob("train-*.tfrecord")),
    data.image_shape,
    len(ids),
    data.image_type,
  )
  if not np.array_equal(found, ids):
    raise _unusable(folder, index, family, "it has other examples")
  if not np.array_equal(labels, data.train_labels[ids]):
    raise _unusable(folder, index, family, "it has other labels")
  return images, labels


def _unusable(folder, index, family, problem) -> errors.StudyError:
  return errors.StudyError(
    f"{folder} does not hold subset {index} of {family}: {problem}; move it "
    "away, then rerun the same command"
  )
