"""Any image-classification data set of TensorFlow Datasets (TFDS), by name.

Which feature is the image and which the label, which split is the test set, and
what an example is called come from the builder. TFDS shuffles the data sets
that it prepares. Where a data set has a unique feature `id` (such as CIFAR),
its order is the original one; else an example's id is its index in the prepared
files, and `order` says so.
"""

import dataclasses
import difflib
import pathlib
import re
import socket
from urllib import parse

import numpy as np

from memo_tf.data import resizing
from memo_tf.data.sources import image_source
from memo_tf.data.sources import tfds_features
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib


def _tiny_imagenet(data_dir):
  from memo_tf.data.sources import tiny_imagenet  # loads TFDS, which is slow

  return tiny_imagenet.builder(data_dir)


# Data sets that TFDS lacks: functions from data_dir to our own builder.
OWN_BUILDERS = {"tiny_imagenet": _tiny_imagenet}
# Splits that may be the test set, best first.
TEST_SPLITS = ("test", "validation", "valid", "val", "dev", "eval")


def prepared_builder(config: settings_lib.DataConfig):
  """The builder of a data set, which is prepared if necessary.

  Raises:
    UsageError: if TFDS does not know it, it is not available, or it is not
      one of images and classes; one line that says what to do.
  """
  import tensorflow_datasets as tfds

  try:
    if config.dataset in OWN_BUILDERS:
      folder = config.data_dir or tfds.core.constants.DATA_DIR
      builder = OWN_BUILDERS[config.dataset](folder)
    else:
      builder = tfds.builder(config.dataset, data_dir=config.data_dir or None)
  except Exception as error:  # whatever a builder raises on a wrong name
    known = [
      *settings_lib.BUNDLED_DATASETS,
      *OWN_BUILDERS,
      *tfds.list_builders(),
    ]
    word = re.split("[/:]", config.dataset)[0]
    if word in known:  # its configuration or version, or its own code
      why = _line(error)[:300]
    else:
      near = difflib.get_close_matches(word, known, 3)
      why = f"did you mean {', '.join(near)}?" if near else "unknown name"
    raise errors.UsageError(
      "--dataset must be one of "
      f"{', '.join(settings_lib.BUNDLED_DATASETS)}, npz:FILE, folder:DIR, or a "
      f"name that TensorFlow Datasets knows or --data_dir holds ({why}). "
      f"Received: --dataset={config.dataset}"
    ) from error
  _prepare(builder)
  return builder


def read(
  builder, name: str, config: settings_lib.DataConfig
) -> image_source.ImageDataset:
  """A prepared data set, read into memory.

  Raises:
    UsageError: as `prepared_builder`.
  """
  train, test, about = read_splits(builder, name, config)
  return image_source.ImageDataset(
    train_images=train.images,
    test_images=test.images,
    max_pixel=int(np.iinfo(train.images.dtype).max),
    **about,
  )


def read_splits(
  builder, name: str, config: settings_lib.DataConfig, with_images: bool = True
) -> tuple["Split", "Split", dict]:
  """Training and test examples, and the other fields of an `ImageSource`.

  Args:
    builder: prepared.
    name: of the data set, as the user wrote it.
    config: of the data.
    with_images: whether images are read and decoded.

  Raises:
    UsageError: as `prepared_builder`.
  """
  features = builder.info.features
  label_key = tfds_features.keys(builder, name, config)[1]

  def read_split(split, flag):
    return _read_split(builder, name, split, config, flag, with_images)

  train = read_split(config.train_split, "--train_split")
  test = Split(
    train.images[:0], train.labels[:0], None, "", "", train.order[:0]
  )
  wanted = [config.test_split] if config.test_split else TEST_SPLITS
  for split in () if config.test_fraction else wanted:
    # Builders that were prepared elsewhere may not know their splits.
    known = builder.info.splits or wanted
    if config.test_split or split in known:
      found = read_split(split, "--test_split")
      if (found.labels >= 0).any() or config.test_split:
        test = found
        break  # else its labels are not published (-1)
  info = builder.info
  order = f"training ids: {train.meaning}"
  if test.meaning and test.meaning != train.meaning:
    order += f"; test ids: {test.meaning}"
  about = {
    "name": name.replace("/", "-"),
    "version": f"TensorFlow Datasets {info.full_name}",
    "licence": _line(getattr(info.redistribution_info, "license", "") or "")
    or f"not stated; see {info.homepage or 'its authors'}",
    "citation": _line(info.citation or info.homepage or "not stated"),
    "class_names": tfds_features.class_names(
      features[label_key], train.labels, test.labels
    ),
    "train_labels": train.labels,
    "test_labels": test.labels,
    "order": order,
    "train_sources": train.sources,
    "test_sources": test.sources,
  }
  return train, test, about


@dataclasses.dataclass(frozen=True)
class Split:
  """One split, by id.

  Attributes:
    images: `[n, H, W, channels]`; n is 0 if they were not asked for.
    labels: int32 `[n]`.
    sources: text `[n]`, or None.
    meaning: in words, what an id is.
    split: its name, as TFDS writes it.
    order: int64 `[n]`, for each id its index in TFDS's order.
  """

  images: np.ndarray
  labels: np.ndarray
  sources: np.ndarray | None
  meaning: str
  split: str
  order: np.ndarray


def _prepare(builder) -> None:
  """Downloads and prepares, with archives in the manual folder first."""
  from tensorflow_datasets.core.download import downloader

  downloads = pathlib.Path(str(builder.data_dir_root), "downloads")
  try:
    if not builder.is_prepared() and not _hosts_are_known(builder):
      downloader.MAX_RETRIES = 1  # else it retries for minutes
    builder.download_and_prepare()
  except Exception as error:  # builders and the network raise any kind
    files = [
      f"{entry.filename} (from {url})"
      for url, entry in sorted((builder.url_infos or {}).items())
      if entry.filename
    ]
    need = "; ".join(files[:6]) + (" …" if len(files) > 6 else "")
    instructions = _line(builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "")
    put = f"Put {need or 'its files'}"
    if instructions:
      put = f"{instructions} Put it"
    raise errors.UsageError(
      f"{builder.info.full_name} is not prepared in {builder.data_dir_root} "
      f"and could not be downloaded ({_line(error)[:300]}). {put} into the "
      f"folder {downloads / 'manual'}, or set --data_dir to a folder in which "
      "it is prepared"
    ) from error


def _hosts_are_known(builder) -> bool:
  """Whether any host of the data has an address on this network."""
  urls = builder.url_infos or {}
  hosts = {parse.urlsplit(url).hostname for url in urls} - {None}
  for host in hosts:
    try:
      socket.getaddrinfo(host, 443)
      return True
    except OSError:
      continue
  return not hosts


def examples(
  builder,
  name: str,
  split: str,
  wanted: tuple[str, ...],
  flag: str,
  image_key: str | None = None,
):
  """The examples of a split in TFDS's own order, as dictionaries of arrays.

  Args:
    builder: prepared.
    name: of the data set, as the user wrote it.
    split: as TFDS writes it.
    wanted: the features.
    flag: that names the split.
    image_key: a feature that is not decoded: an encoded file.

  Raises:
    UsageError: if there is no such split, or an example cannot be read.
  """
  import tensorflow as tf
  import tensorflow_datasets as tfds

  skipped = {}
  if image_key in wanted:
    if isinstance(builder.info.features[image_key], tfds.features.Image):
      skipped = {image_key: tfds.decode.SkipDecoding()}
  decoders = tfds.decode.PartialDecoding(
    dict.fromkeys(wanted, True), decoders=skipped
  )
  try:
    stream = builder.as_dataset(
      split=split,
      shuffle_files=False,
      decoders=decoders,
      read_config=tfds.ReadConfig(
        interleave_cycle_length=1, try_autocache=False
      ),
    )
  except (ValueError, KeyError, AssertionError) as error:
    raise errors.UsageError(
      f"{flag} must be a split of {name}: "
      f"{', '.join(builder.info.splits)} ({_line(error)[:200]}). Received: "
      f"{flag}={split}"
    ) from error
  index = 0
  try:
    for index, example in enumerate(stream.as_numpy_iterator()):
      yield example
      index += 1
  except (tf.errors.OpError, OSError) as error:
    raise unreadable(name, split, index, error) from error


def unreadable(
  name: str, split: str, index: int, error: Exception
) -> errors.UsageError:
  """The error for an example that cannot be read."""
  return errors.UsageError(
    f"example {index} of {name}, split {split}, cannot be read "
    f"({_line(error)[:300]}). Repair or remove it"
  )


def _read_split(
  builder,
  name: str,
  split: str,
  config: settings_lib.DataConfig,
  flag: str,
  with_images: bool,
) -> Split:
  """All examples of a split, in the data set's own order if that is known."""
  image_key, label_key, naming = tfds_features.keys(builder, name, config)
  wanted = (label_key, *naming)
  if with_images:
    wanted = (image_key, *wanted)
  images, labels, names = [], [], []
  for example in examples(
    builder, name, split, wanted, flag, None if with_images else image_key
  ):
    if with_images:
      images.append(_image(example[image_key], config.image_size))
    labels.append(int(example[label_key]))
    for key in naming:
      text = example[key]
      names.append(text.decode() if isinstance(text, bytes) else str(text))
  if not labels:
    raise errors.UsageError(
      f"the split {split} of {name} is empty. Received: {flag}={split}"
    )
  shapes = {image.shape for image in images}
  if len({shape[:2] for shape in shapes}) > 1:
    sizes = sorted(shape[:2] for shape in shapes)
    raise differing_sizes(name, sizes[0], sizes[-1])
  if len(shapes) > 1:  # grey images among images in colour
    images = [coloured(image) for image in images]
  order = tfds_features.original_order(names) if naming == ["id"] else None
  meaning = "the order of the data set's own `id`"
  if order is None:
    order = np.arange(len(labels))
    meaning = "its index in the files that TensorFlow Datasets reads"
  is_unique = bool(names) and len(set(names)) == len(names)
  return Split(
    np.stack([images[index] for index in order]) if images else np.empty(0),
    np.array(labels, np.int32)[order],
    np.array(names)[order] if is_unique else None,
    meaning,
    split,
    order,
  )


def differing_sizes(
  name: str, one: tuple[int, ...], other: tuple[int, ...]
) -> errors.UsageError:
  """The error for images of different sizes, `(H, W, …)` of two of them."""
  return errors.UsageError(
    f"--image_size must be given: the images of {name} have differing sizes, "
    f"{one[0]}x{one[1]} to {other[0]}x{other[1]}. Received: --image_size=0"
  )


def _image(pixels: np.ndarray, size: int) -> np.ndarray:
  return resizing.resize(pixels, size) if size else pixels


def coloured(image: np.ndarray) -> np.ndarray:
  """An image of 1, 3 or 4 channels with three channels."""
  return np.repeat(image, 3, 2) if image.shape[2] == 1 else image[..., :3]


def _line(text: object) -> str:
  """Any text in one line."""
  return " ".join(str(text).split())
