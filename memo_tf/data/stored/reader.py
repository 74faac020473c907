"""Reads `dataset/` of a study back, into memory or to be streamed.

Images that stay on disk are `StoredImages`; only their labels are in memory.
Else the images are arrays. Those stored as pixels are mapped from `images.npy`,
so that all workers of a machine share one copy, and are compared with the
data set's digest; encoded ones are decoded.
"""

import dataclasses

import numpy as np

from memo_tf.data.stored import digests
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import records
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import storage
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib


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
    """`(H, W, channels)`."""
    return self.train_images.shape[1:]

  @property
  def image_type(self) -> str:
    """`uint8` or `uint16`."""
    return self.train_images.dtype.name


def read_dataset(
  directory: directory_lib.StudyDirectory,
  config: settings_lib.RunningConfig | None = None,
) -> ArrayDataset:
  """Reads `dataset/`.

  Args:
    directory: of the study.
    config: says whether images are streamed, and how many threads decode;
      None: the defaults.

  Raises:
    StudyError: if a file is damaged, or the content is not what info.json says;
      names the folder and what to do.
  """
  info = dataset_info.read_info(directory)
  dataset_info.check_files(directory, info)
  config = config or settings_lib.RunningConfig()
  train = _on_disk(directory, info, "train", config.threads_per_unit)
  test = _on_disk(directory, info, "test", config.threads_per_unit)
  data = ArrayDataset(
    train_images=train,
    train_labels=train.records.labels,
    test_images=test,
    test_labels=test.records.labels,
    num_classes=info["num_classes"],
    mean=np.array(info["normalization"]["mean"], np.float32),
    std=np.array(info["normalization"]["std"], np.float32),
    digest=info["digest"],
  )
  if storage.is_streamed(config, dataset_info.decoded_bytes(info)):
    return data
  if dataset_info.is_encoded(info):
    return dataclasses.replace(
      data, train_images=train.in_memory(), test_images=test.in_memory()
    )
  return _mapped(directory, info, data)


def _on_disk(
  directory: directory_lib.StudyDirectory, info: dict, split: str, threads: int
) -> images_lib.StoredImages:
  """The images of a split, on disk."""
  return images_lib.StoredImages(
    records.open_split(directory, info, split),
    info.get("encoding", {"kind": "raw"})["kind"],
    tuple(info["image_shape"]),
    _image_type(info),
    threads,
  )


def _mapped(
  directory: directory_lib.StudyDirectory, info: dict, data: ArrayDataset
) -> ArrayDataset:
  """The data set with its images mapped from `images.npy`.

  Raises:
    StudyError: if the content differs from its recorded digest.
  """
  # Private on writing ("c"), as TensorFlow shares no memory that is read-only.
  images = arrays.load(directory.dataset_dir / "images.npy", mmap_mode="c")
  num_train, num_test = info["num_train"], info["num_test"]
  shape = (num_train + num_test, *info["image_shape"])
  if images.shape != shape or images.dtype != _image_type(info):
    raise errors.StudyError(
      f"images.npy in {directory.dataset_dir} holds {images.dtype} "
      f"{images.shape} instead of {_image_type(info)} {shape}; "
      + dataset_info.ADVICE.format(folder=directory.dataset_dir)
    )
  images = images.view(np.ndarray)
  train, test = images[:num_train], images[num_train:]
  digest = digests.of_arrays(train, data.train_labels, test, data.test_labels)
  if digest != info["digest"]:
    raise errors.StudyError(
      f"images.npy and the labels in {directory.dataset_dir} are not what "
      "info.json says; "
      + dataset_info.ADVICE.format(folder=directory.dataset_dir)
    )
  return dataclasses.replace(data, train_images=train, test_images=test)


def _image_type(info: dict) -> str:
  return info.get("image_type", "uint8")  # older data sets hold nothing else
