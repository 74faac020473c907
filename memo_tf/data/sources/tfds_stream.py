"""A data set of TensorFlow Datasets, or a folder, read one image at a time.

It is read twice: first labels and names, without decoding an image, which
decides what every id means; then the images, each as the file that it is.
"""

from collections.abc import Iterator
import dataclasses

import numpy as np

from memo_tf.data import encoding
from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.data.sources import tfds
from memo_tf.data.sources import tfds_features
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib


def decoded_bytes(
  builder, name: str, config: settings_lib.DataConfig, num_examples: int = 0
) -> int:
  """How much memory the images of a study take, once decoded.

  If the data set does not declare the size of its images, that of the first one
  is taken.

  Args:
    builder: prepared.
    name: of the data set.
    config: of the data.
    num_examples: the number of training examples to be kept; 0: all.
  """
  image_key, _, _ = tfds_features.keys(builder, name, config)
  feature = builder.info.features[image_key]
  height, width, channels = feature.shape
  if config.image_size:
    height = width = config.image_size
  if None in (height, width, channels):
    image = _first_image(builder, name, config, image_key)
    height, width, channels = height or image.shape[0], *image.shape[1:]
  splits = builder.info.splits
  test_split = config.test_split
  if not test_split and not config.test_fraction:
    test_split = next((s for s in tfds.TEST_SPLITS if s in splits), "")
  num_train = _num_examples(splits, config.train_split)
  num_test = _num_examples(splits, test_split)
  if config.test_fraction:
    num_test = round(config.test_fraction * num_train)
    num_train -= num_test
  if num_examples:
    num_train = min(num_train, num_examples)
  count = num_train + num_test
  size = np.dtype(feature.np_dtype).itemsize
  return count * height * width * channels * size


def _num_examples(splits, split: str) -> int:
  try:
    return splits[split].num_examples if split else 0
  except (KeyError, ValueError):
    return 0  # reading it raises the error


def read(
  builder, name: str, config: settings_lib.DataConfig
) -> image_stream.ImageStream:
  """A prepared data set, whose images are read when they are written.

  Raises:
    UsageError: as `tfds.read`.
  """
  image_key, _, _ = tfds_features.keys(builder, name, config)
  feature = builder.info.features[image_key]
  if feature.shape[-1] is None:
    raise errors.UsageError(
      f"{name} does not declare how many channels its images have, so it "
      "cannot be streamed; --storage=memory holds it in memory. Received: "
      "--storage=stream, or a set larger than --memory_budget_gb"
    )
  train, test, about = tfds.read_splits(
    builder, name, config, with_images=False
  )
  image_type = np.dtype(feature.np_dtype).name
  parts = []
  for split, is_train in ((train, True), (test, False)):
    if not len(split.labels):
      continue
    ids = np.empty(len(split.order), np.int64)
    ids[split.order] = np.arange(len(split.order))
    nothing = np.full(len(ids), -1)
    reader = _Reader(builder, name, split.split, image_key)
    both = (ids, nothing) if is_train else (nothing, ids)
    parts.append(image_stream.Part(reader, *both))
  return image_stream.ImageStream(
    **about,
    image_type=image_type,
    max_pixel=int(np.iinfo(image_type).max),
    channels=feature.shape[-1],
    parts=tuple(parts),
  )


@dataclasses.dataclass(frozen=True)
class _Reader:
  """Reads the images of a split, without decoding them."""

  builder: object
  name: str
  split: str
  image_key: str

  def __call__(self) -> Iterator[image_source.Image]:
    for example in tfds.examples(
      self.builder,
      self.name,
      self.split,
      (self.image_key,),
      "--train_split",
      self.image_key,
    ):
      yield example[self.image_key]


def _first_image(builder, name, config, image_key) -> np.ndarray:
  """The first training image, decoded."""
  feature = builder.info.features[image_key]
  reader = _Reader(builder, name, config.train_split, image_key)
  for image in reader():
    if isinstance(image, np.ndarray):
      return image
    shape = (None, None, feature.shape[-1])
    return encoding.decode(
      image, "png", shape, np.dtype(feature.np_dtype).name
    ).numpy()
  return np.zeros((1, 1, 1), np.uint8)  # reading it raises the error
