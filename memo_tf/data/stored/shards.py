"""A data set on disk: TFRecord shards with ids, written once, read by id.

Each record holds one example: `id` and `label` (int64) and `image` (the raw
bytes of uint8 or little-endian uint16 `[H, W, channels]`; shape and type are in
`info.json`). Labels are the
given ones, planted wrong labels included. Beside the shards lie
`examples.parquet` (what is known of each example), `images.npy` (so that
images can be looked at without TensorFlow) and `info.json`, which names every
file with its size and digest.

`examples.parquet` has a row for each of the N training examples, planted ones
last, then one for each test example: example_id, split, label, clean_label,
is_noisy, plant, origin_id (see `data/planted.py`), with `--num_examples`
source_index (the id that the example has without it; -1 of planted ones), and,
where they were looked for, the columns of `data/duplicates.py`.
"""

import errno
import io
import json
import math
import os
import pathlib
import shutil

import numpy as np
import pandas as pd
import tensorflow as tf

from memo_tf.data import duplicates
from memo_tf.data import planted
from memo_tf.data.sources import load
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files as files_lib

SHARD_BYTES = 128 << 20
# Bytes: where TensorFlow's tensors begin on a CPU.
ALIGNMENT = 64


def write_dataset(
  data: load.ImageDataset,
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
) -> dict:
  """Writes `dataset/`, whole or not at all; returns the content of info.json.

  Raises:
    OSError: if it cannot be written.
  """
  train = planted.training_set(data, config)
  table = examples_table(data, train)
  found = duplicates.find(
    train.images,
    data.test_images,
    data.max_pixel,
    kind=config.data.find_duplicates,
    distance=config.data.near_duplicate_distance,
  )
  table = table.assign(**found)
  target = directory.dataset_dir
  private = files_lib.private_name(target)
  private.mkdir(parents=True)
  try:
    files = []
    for split, images, given in (
      ("train", train.images, train.labels),
      ("test", data.test_images, data.test_labels),
    ):
      (private / "shards").mkdir(exist_ok=True)
      files += write_shards(
        private / "shards", split, np.arange(len(given)), given, images
      )
    pictures = io.BytesIO()
    np.save(
      pictures,
      np.concatenate([train.images, data.test_images]),
      allow_pickle=False,
    )
    for name, content in (
      ("examples.parquet", table.to_parquet(index=False)),
      ("images.npy", pictures.getvalue()),
    ):
      files_lib.write_atomic(private / name, content)
      files.append(private / name)
    info = {
      **description(data, config, data.train_images.shape[1:], train),
      "image_type": data.train_images.dtype.name,
      "normalization": normalization(train.images),
      "duplicates": {
        name: int((ids >= 0).sum()) for name, ids in found.items()
      },
      "digest": content_digest(
        train.images, train.labels, data.test_images, data.test_labels
      ),
      "files": file_entries(private, files),
    }
    files_lib.write_atomic(
      private / "info.json", json.dumps(info, indent=2) + "\n"
    )
    files_lib.publish(private, target)
  except BaseException:
    shutil.rmtree(private, ignore_errors=True)
    raise
  return dataset_info.read_info(directory)


def description(
  data,
  config: config_lib.StudyConfig,
  image_shape: tuple[int, int, int],
  train: planted.TrainingSet,
) -> dict:
  """What info.json says of a data set, whatever way it is stored.

  Args:
    data: an `ImageDataset`, or a `large.LargeDataset`.
    config: of the study.
    image_shape: `(H, W, channels)`.
    train: the training examples, the planted ones among them.
  """
  return {
    "format_version": config_lib.FORMAT_VERSION,
    "made_from": dataset_info.made_from(config),
    "name": data.name,
    "version": data.version,
    "licence": data.licence,
    "citation": data.citation,
    "order": data.order,
    "num_train": len(train.labels),
    "num_test": len(data.test_labels),
    "num_classes": len(data.class_names),
    "class_names": list(data.class_names),
    "image_shape": list(image_shape),
    "max_pixel": data.max_pixel,
    "planted": _planted_counts(train),
  }


def file_entries(
  folder: pathlib.Path, files: list[pathlib.Path]
) -> dict[str, dict]:
  """Size and digest of each file, by its name in the folder."""
  return {
    str(path.relative_to(folder)): {
      "bytes": path.stat().st_size,
      "digest": files_lib.digest_file(path),
    }
    for path in files
  }


def write_shards(
  folder: pathlib.Path,
  split: str,
  ids: np.ndarray,
  labels: np.ndarray,
  images: np.ndarray,
) -> list[pathlib.Path]:
  """Writes examples as `<split>-00000-of-000NN.tfrecord`; returns the paths."""
  count = max(1, -(-images.nbytes // SHARD_BYTES))
  paths = []
  for shard, rows in enumerate(np.array_split(np.arange(len(ids)), count)):
    path = folder / f"{split}-{shard:05d}-of-{count:05d}.tfrecord"
    try:
      with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
          content = images[row].tobytes()
          writer.write(encode_example(ids[row], labels[row], content))
    except tf.errors.OpError as error:
      raise os_error(error, path) from error
    paths.append(path)
  return paths


def read_shards(
  paths: list[pathlib.Path],
  image_shape: tuple[int, int, int],
  count: int,
  shared: np.ndarray | None = None,
  image_type: str = "uint8",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Reads shards back, in order of id; all images are in memory once.

  Args:
    paths: of the shards.
    image_shape: `(H, W, channels)`.
    count: n, how many examples they hold.
    shared: `[n, H, W, channels]` by id, the same images where several
      processes share their memory: compared with the records, and returned in
      place of a copy.
    image_type: `uint8` or `uint16`.

  Returns:
    ids int64 `[n]`, labels int32 `[n]`, images `[n, H, W, channels]`.

  Raises:
    StudyError: if a record is damaged, an id comes twice, there are not n
      of them, or one differs from `shared`.
  """
  spec = {
    "id": tf.io.FixedLenFeature([], tf.int64),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "image": tf.io.FixedLenFeature([], tf.string),
  }
  folder = paths[0].parent if paths else pathlib.Path(".")
  ids, labels = np.empty(count, np.int64), np.empty(count, np.int32)
  images = shared
  if shared is None:
    images = aligned_empty((count, *image_shape), image_type)
  read = 0
  records = tf.data.TFRecordDataset([str(path) for path in paths]).batch(1024)
  try:
    for batch in records:
      parsed = tf.io.parse_example(batch, spec)
      pixels = tf.io.decode_raw(parsed["image"], image_type)
      size = min(len(batch), count - read)
      rows = slice(read, read + size)
      ids[rows] = parsed["id"][:size]
      labels[rows] = parsed["label"][:size]
      pixels = tf.reshape(pixels, [-1, *image_shape])[:size].numpy()
      if shared is None:
        images[rows] = pixels
      elif not _same_images(shared, ids[rows], pixels):
        raise errors.StudyError(
          f"the shards in {folder} do not hold the images of images.npy; "
          + dataset_info.ADVICE.format(folder=folder.parent)
        )
      read += len(batch)
  except tf.errors.OpError as error:
    raise errors.StudyError(
      f"a TFRecord in {folder} is damaged ({error.message}); "
      + dataset_info.ADVICE.format(folder=folder.parent)
    ) from error
  if read != count:
    raise errors.StudyError(
      f"the shards in {folder} do not hold {count} examples; "
      + dataset_info.ADVICE.format(folder=folder.parent)
    )
  if (np.diff(ids) < 0).any():  # as written they are in order
    order = np.argsort(ids, kind="stable")
    ids, labels = ids[order], labels[order]
    images = images[order] if shared is None else shared
  if (np.diff(ids) == 0).any():
    raise errors.StudyError(f"an example's id comes twice in {folder}")
  return ids, labels, images


def _same_images(
  shared: np.ndarray, ids: np.ndarray, pixels: np.ndarray
) -> bool:
  """Whether the images with these ids are these."""
  if len(ids) and not 0 <= ids.min() <= ids.max() < len(shared):
    return False
  return np.array_equal(shared[ids], pixels)


def aligned_empty(shape: tuple[int, ...], dtype="uint8") -> np.ndarray:
  """An uninitialized array that begins where a tensor may begin."""
  size = math.prod(shape) * np.dtype(dtype).itemsize
  buffer = np.empty(size + ALIGNMENT, np.uint8)
  start = -buffer.ctypes.data % ALIGNMENT
  return buffer[start : start + size].view(dtype).reshape(shape)


def content_digest(
  train_images: np.ndarray,
  train_labels: np.ndarray,
  test_images: np.ndarray,
  test_labels: np.ndarray,
) -> str:
  """A digest of what the shards hold, whatever their bytes are."""
  arrays = (train_images, train_labels, test_images, test_labels)
  parts = [
    files_lib.digest_bytes(np.ascontiguousarray(array)) for array in arrays
  ]
  return files_lib.digest_bytes("".join(parts).encode())


def normalization(train_images: np.ndarray) -> dict[str, list[float]]:
  """Mean and standard deviation of each channel over the training images.

  Of all N, so that every run of a study sees the same pixels. From counts of
  pixel values, which are exact and need no memory.
  """
  counts = PixelCounts(train_images.shape[-1], train_images.dtype)
  for part in np.array_split(
    train_images, -(-train_images.nbytes // (4 << 20))
  ):
    counts.add(part)
  return counts.normalization()


class PixelCounts:
  """How often each channel has each value: exact, in any order of images."""

  def __init__(self, channels: int, image_type: np.dtype):
    levels = np.iinfo(image_type).max + 1
    self._counts = np.zeros((channels, levels), np.int64)

  def add(self, images: np.ndarray) -> None:
    """Counts images `[..., channels]` in."""
    channels, levels = self._counts.shape
    for channel in range(channels):
      self._counts[channel] += np.bincount(
        images[..., channel].ravel(), minlength=levels
      )

  def normalization(self) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel."""
    counts, values = self._counts, np.arange(self._counts.shape[1])
    total = counts.sum(axis=1)
    if total.max() * float(values[-1]) ** 2 >= 2**63:  # 16 bits of very many
      counts = counts.astype(np.float64)
    mean = counts @ values / total
    std = np.sqrt(counts @ values**2 / total - mean**2)
    return {
      "mean": mean.tolist(),
      "std": np.where(std > 0, std, 1.0).tolist(),
    }


def encode_example(example_id: int, label: int, content: bytes) -> bytes:
  """One record, with the bytes of its image."""

  def integer(value):
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
  """What the system said: TensorFlow has it in the message only."""
  codes = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES)
  found = (c for c in codes if os.strerror(c) in error.message)
  code = next(found, errno.EIO)
  return OSError(code, os.strerror(code), str(path))


def examples_table(data, train: planted.TrainingSet) -> pd.DataFrame:
  """The rows of examples.parquet, of either kind of data set."""
  num_train, num_test = len(train.labels), len(data.test_labels)
  sources: dict[str, np.ndarray] = {}
  if data.source_indices is not None:
    appended = np.full(num_train - len(data.source_indices), -1)
    sources["source_index"] = np.concatenate(
      [data.source_indices, appended, np.arange(num_test)]
    )
  if data.train_sources is not None and data.test_sources is not None:
    appended = np.full(num_train - len(data.train_sources), "")
    sources["source"] = np.concatenate(
      [data.train_sources, appended, data.test_sources]
    )
  return pd.DataFrame(
    {
      "example_id": np.concatenate([np.arange(num_train), np.arange(num_test)]),
      "split": pd.Categorical(["train"] * num_train + ["test"] * num_test),
      "label": np.concatenate([train.labels, data.test_labels]),
      "clean_label": np.concatenate([train.clean_labels, data.test_labels]),
      "is_noisy": np.concatenate([train.is_noisy, np.zeros(num_test, bool)]),
      "plant": np.concatenate([train.plant, np.full(num_test, "")]),
      "origin_id": np.concatenate([train.origin_ids, np.arange(num_test)]),
      **sources,
    }
  )


def _planted_counts(train: planted.TrainingSet) -> dict[str, int]:
  """How many training examples of each kind; nothing of the unplanted."""
  kinds, counts = np.unique(train.plant, return_counts=True)
  return {str(k): int(n) for k, n in zip(kinds, counts) if k}
