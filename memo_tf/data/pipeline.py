"""From shards to what a training loop eats: images, and an order for each epoch.

A data set that fits in memory is read once a worker; a run's subset is then a
vector of ids, and a batch a gather. A larger one stays on disk
(`stored_images`), and a batch is read by its ids. Order and membership are pure functions of
(seed, subset family, index, epoch): a run that goes on after a crash sees the
batches that it would have seen.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import indexed_shards
from memo_tf.data.stored import shards
from memo_tf.experiment import errors
from memo_tf.experiment import random_streams
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import storage
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayDataset:
  """A data set, by id; images uint8 or uint16, labels int32.

  Attributes:
    train_images: `[N, H, W, channels]`, in memory, or a `StoredImages`.
    train_labels: `[N]`, the given labels.
    test_images: `[T, H, W, channels]`.
    test_labels: `[T]`.
    num_classes: C.
    mean, std: float32 `[channels]`, of the training pixels.
    digest: of all of it.
  """

  train_images: np.ndarray | images_lib.StoredImages
  train_labels: np.ndarray
  test_images: np.ndarray | images_lib.StoredImages
  test_labels: np.ndarray
  num_classes: int
  mean: np.ndarray
  std: np.ndarray
  digest: str

  @property
  def image_shape(self) -> tuple[int, int, int]:
    return self.train_images.shape[1:]

  @property
  def image_type(self) -> str:
    return self.train_images.dtype.name


def read_dataset(
  directory: directory_lib.StudyDirectory,
  config: settings_lib.RunningConfig | None = None,
) -> ArrayDataset:
  """Reads `dataset/` back from its shards.

  If they are to be streamed, as `config` has it, the images stay where they are.
  Else they are in memory. Images that are not encoded are mapped from `images.npy`, if it is there, so that
  the workers of a machine share one copy; each record is compared with it.

  Raises:
    StudyError: if a shard is damaged, or the content is not what info.json
      says; names the folder and what to do.
  """
  info = dataset_info.read_info(directory)
  dataset_info.check_files(directory, info)
  config = config or settings_lib.RunningConfig()
  if storage.is_streamed(config, dataset_info.decoded_bytes(info)):
    return _stored(directory, info, config.threads_per_unit)
  if dataset_info.is_encoded(info):
    return _decoded(directory, info, config.threads_per_unit)
  shared = _shared_images(directory, info)
  columns = []
  for split, count in (("train", "num_train"), ("test", "num_test")):
    folder = directory.dataset_dir / "shards"
    paths = sorted(folder.glob(f"{split}-*.tfrecord"))
    ids, labels, images = shards.read_shards(
      paths,
      tuple(info["image_shape"]),
      info[count],
      shared.get(split),
      _image_type(info),
    )
    if not np.array_equal(ids, np.arange(info[count])):
      raise errors.StudyError(
        f"the {split} shards in {folder} do not hold each of the "
        f"{info[count]} ids once"
      )
    columns += [images, labels]
  digest = shards.content_digest(*columns)
  if digest != info["digest"]:
    raise errors.StudyError(
      f"the shards in {directory.dataset_dir} do not hold what info.json says; "
      + dataset_info.ADVICE.format(folder=directory.dataset_dir)
    )
  return ArrayDataset(
    train_images=columns[0],
    train_labels=columns[1],
    test_images=columns[2],
    test_labels=columns[3],
    num_classes=info["num_classes"],
    mean=np.array(info["normalization"]["mean"], np.float32),
    std=np.array(info["normalization"]["std"], np.float32),
    digest=digest,
  )


def _stored(
  directory: directory_lib.StudyDirectory, info: dict, threads: int
) -> ArrayDataset:
  """The data set with its images on disk."""
  columns = {}
  kind = info.get("encoding", {"kind": "raw"})["kind"]
  for split in ("train", "test"):
    found = indexed_shards.open_split(directory, info, split)
    columns[f"{split}_labels"] = found.labels
    columns[f"{split}_images"] = images_lib.StoredImages(
      found, kind, tuple(info["image_shape"]), _image_type(info), threads
    )
  return ArrayDataset(
    num_classes=info["num_classes"],
    mean=np.array(info["normalization"]["mean"], np.float32),
    std=np.array(info["normalization"]["std"], np.float32),
    digest=info["digest"],
    **columns,
  )


def _decoded(
  directory: directory_lib.StudyDirectory, info: dict, threads: int
) -> ArrayDataset:
  """The data set with all its encoded images decoded into memory."""
  data = _stored(directory, info, threads)
  return dataclasses.replace(
    data,
    train_images=data.train_images.in_memory(),
    test_images=data.test_images.in_memory(),
  )


def _image_type(info: dict) -> str:
  return info.get("image_type", "uint8")  # older records hold nothing else


def _shared_images(
  directory: directory_lib.StudyDirectory, info: dict
) -> dict[str, np.ndarray]:
  """Images `[N, H, W, channels]` of train and `[T, ...]` of test, or nothing.

  Mapped from the file: its pages are in memory once for all processes. Private
  on writing ("c"), because TensorFlow shares no memory that is read-only.
  """
  if "images.npy" not in info["files"]:
    return {}
  images = np.load(
    directory.dataset_dir / "images.npy", mmap_mode="c", allow_pickle=False
  )
  num_train, num_test = info["num_train"], info["num_test"]
  shape = (num_train + num_test, *info["image_shape"])
  if images.shape != shape or images.dtype != _image_type(info):
    raise errors.StudyError(
      f"images.npy in {directory.dataset_dir} holds {images.dtype} "
      f"{images.shape} instead of {_image_type(info)} {shape}; "
      + dataset_info.ADVICE.format(folder=directory.dataset_dir)
    )
  images = images.view(np.ndarray)
  return {"train": images[:num_train], "test": images[num_train:]}


def materialize_subset(
  data: ArrayDataset,
  in_mask: np.ndarray,
  directory: directory_lib.StudyDirectory,
  family: str,
  index: int,
) -> None:
  """Writes subset m as TFRecord shards of its own, unless they are there."""
  target = directory.subset_shard_dir(family, index)
  if target.exists():
    return
  ids = np.flatnonzero(in_mask)
  private = files.private_name(target)
  private.mkdir(parents=True)
  shards.write_shards(
    private, "train", ids, data.train_labels[ids], data.train_images[ids]
  )
  files.publish(private, target)


def read_subset(
  directory: directory_lib.StudyDirectory,
  family: str,
  index: int,
  ids: np.ndarray,
  image_shape: tuple[int, int, int],
  image_type: str = "uint8",
) -> tuple[np.ndarray, np.ndarray]:
  """Images and labels of a materialized subset, in order of id.

  Raises:
    StudyError: if the shards hold other examples than `ids`.
  """
  folder = directory.subset_shard_dir(family, index)
  found, labels, images = shards.read_shards(
    sorted(folder.glob("train-*.tfrecord")),
    image_shape,
    len(ids),
    image_type=image_type,
  )
  if not np.array_equal(found, ids):
    raise errors.StudyError(
      f"{folder} does not hold subset {index} of {family}; move it away and "
      "give the launch command again"
    )
  return images, labels


def epoch_order(
  num_members: int,
  batch_size: int,
  *,
  seed: int,
  family: str,
  index: int,
  epoch: int,
) -> np.ndarray:
  """The batches of one epoch: int32 `[steps, B]` places in the subset.

  Every epoch is a fresh permutation; the `num_members % batch_size` last ones
  of it are left out of this epoch. All models and recipes share the order.
  """
  rng = random_streams.generator(seed, "order", family, index, epoch)
  steps = num_members // batch_size
  order = rng.permutation(num_members)[: steps * batch_size]
  return order.reshape(steps, batch_size).astype(np.int32)


def on_device(
  images: np.ndarray | images_lib.StoredImages,
) -> tf.Tensor | images_lib.StoredImages:
  """Images as a tensor where the training runs; on a CPU without a copy.

  Images on disk stay there.
  """
  if isinstance(images, images_lib.StoredImages):
    return images
  if tf.config.list_logical_devices("GPU"):
    return tf.constant(images)
  # TensorFlow would copy; a tensor made through DLPack shares the memory, if
  # that begins where TensorFlow's own does.
  if not images.flags.c_contiguous or images.ctypes.data % shards.ALIGNMENT:
    return tf.constant(images)
  return tf.experimental.dlpack.from_dlpack(images.__dlpack__())


def moved_to_device(images: tf.Tensor) -> tf.Tensor:
  """Decoded images where the training runs: copied once, not at each step."""
  devices = tf.config.list_logical_devices("GPU")
  if not devices:
    return images
  with tf.device(devices[0].name):
    return tf.identity(images)


def normalize(images: tf.Tensor, mean: tf.Tensor, std: tf.Tensor) -> tf.Tensor:
  """Pixels `[B, H, W, channels]` to float32 of mean 0 and deviation 1."""
  return (tf.cast(images, tf.float32) - mean) * (1.0 / std)
