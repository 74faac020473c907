"""Prepares `dataset/` of a study: from memory, or one image at a time.

What is to be held in memory is loaded whole and stored as pixels. What is to be
streamed, or stored encoded, is read and written one image at a time, if it
comes from TensorFlow Datasets or a folder; a package or an .npz file hands over
all its arrays at once.
"""

from memo_tf.data import relabelling
from memo_tf.data.sources import custom_files
from memo_tf.data.sources import folder
from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.data.sources import load
from memo_tf.data.sources import tfds
from memo_tf.data.sources import tfds_stream
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import storage
from memo_tf.store import directory as directory_lib


def write_dataset(
  config: config_lib.StudyConfig,
  directory: directory_lib.StudyDirectory,
) -> dict:
  """Loads the data set of a study and writes `dataset/`.

  Returns:
    The content of info.json.

  Raises:
    UsageError: if the data set is not available, or not what a study takes.
    OSError: if it cannot be written.
  """
  made_of = custom_files.digests(config.data)
  return writer.write_dataset(source(config), config, directory, made_of)


def source(
  config: config_lib.StudyConfig,
) -> image_source.ImageDataset | image_stream.ImageStream:
  """The data set of a study: in memory if it is to be stored as pixels.

  Raises:
    UsageError: as `write_dataset`.
  """
  if not config.data.update_labels:
    return _source(config, whole=False)
  relabelling.check(config)
  # A file of labels has the ids of the old study; else it decides what is used.
  whole = not config.data.labels_file
  return relabelling.relabelled(_source(config, whole), config)


def _source(
  config: config_lib.StudyConfig, whole: bool
) -> image_source.ImageDataset | image_stream.ImageStream:
  """As `source`, without labels of another study; `whole`: nothing is drawn."""
  seed = config.running.seed
  if load.is_array(config.data):
    data = load.load(config.data, seed, whole=whole)
    if _is_encoded(config, data.nbytes):
      return image_stream.stream_of(data)
    return data
  limit = config.data.num_examples or config.data.max_examples
  if config.data.dataset.startswith("folder:"):
    opened = folder.open_folder(config.data, seed, whole=whole)
    all_bytes, used = opened.decoded_bytes(), opened.decoded_bytes(limit)
    if _is_encoded(config, used, all_bytes):
      return load.of_folder(opened, as_stream=True, whole=whole)
    return load.of_folder(opened, as_stream=False, whole=whole)
  builder, name = tfds.prepared_builder(config.data), config.data.dataset
  all_bytes = tfds_stream.decoded_bytes(builder, name, config.data)
  used = tfds_stream.decoded_bytes(builder, name, config.data, limit)
  if _is_encoded(config, used, all_bytes):
    return load.stream(config.data, seed, whole=whole)
  return load.load(config.data, seed, whole=whole)


def _is_encoded(
  config: config_lib.StudyConfig, used: int, whole: int = 0
) -> bool:
  """Whether images are read and written one by one.

  Args:
    config: of the study.
    used: bytes of the images that the study uses, decoded.
    whole: bytes of all images that would be loaded to choose them, if these
      are more.

  Raises:
    UsageError: if the study needs data in memory and these are too large.
  """
  storage.check_storage(config, used)
  if config.data.image_encoding != "auto":
    return True
  return storage.is_streamed(config.running, max(used, whole))
