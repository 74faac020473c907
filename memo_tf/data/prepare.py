"""Which way a data set goes to disk: from memory, or an image at a time."""

import pathlib

from memo_tf.data.sources import bundled
from memo_tf.data.sources import image_source
from memo_tf.data.sources import load
from memo_tf.data.sources import own_files
from memo_tf.data.sources import tfds
from memo_tf.data.sources import tfds_stream
from memo_tf.data.stored import shards
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import storage
from memo_tf.store import directory as directory_lib


def write_dataset(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
) -> dict:
  """Loads the data set of a study and writes `dataset/`.

  Data that are to be streamed are not held in memory, if they come from
  TensorFlow Datasets or a folder; a package's own and an .npz file are, once.

  Returns:
    The content of info.json.

  Raises:
    UsageError: if the data set cannot be had, or is not what a study takes.
    OSError: if it cannot be written.
  """
  data = source(config)
  if isinstance(data, image_source.LargeDataset):
    return writer.write_dataset(data, config, directory)
  return shards.write_dataset(data, config, directory)


def source(
  config: config_lib.StudyConfig,
) -> load.ImageDataset | image_source.LargeDataset:
  """The data set of a study, in memory only if it is to be written from there.

  Raises:
    UsageError: as `write_dataset`.
  """
  if _is_in_package_or_file(config.data):
    data = load.load(config.data, config.running.seed)
    size = data.train_images.nbytes + data.test_images.nbytes
    return image_source.from_arrays(data) if _is_encoded(config, size) else data
  builder, name = _builder(config.data)
  whole = tfds_stream.decoded_bytes(builder, name, config.data)
  used = tfds_stream.decoded_bytes(
    builder, name, config.data, config.data.num_examples
  )
  if not _is_encoded(config, used, whole):
    return load.load(config.data, config.running.seed)
  data = tfds_stream.read(builder, name, config.data)
  if config.data.dataset.startswith("folder:"):
    own_files.check_classes(data)
  return image_source.finished(data, config.data, config.running.seed)


def _is_in_package_or_file(config: settings_lib.DataConfig) -> bool:
  return config.dataset in bundled.LOADERS or config.dataset.startswith("npz:")


def _is_encoded(
  config: config_lib.StudyConfig, used: int, whole: int = 0
) -> bool:
  """Whether images are written one by one, with an index.

  Args:
    config: of the study.
    used: bytes of the images that the study uses, decoded.
    whole: of all that would be read to choose them, if not the same.
  """
  storage.check_storage(config, used)
  if config.data.image_encoding != "auto":
    return True
  return storage.is_streamed(config.running, max(used, whole))


def _builder(config: settings_lib.DataConfig):
  """The builder of a data set or folder, and what to call it."""
  if config.dataset.startswith("folder:"):
    path = pathlib.Path(config.data_dir, config.dataset.partition(":")[2])
    return own_files.folder_builder(path), path.name
  return tfds.prepared_builder(config), config.dataset
