"""Examples with a known truth, planted in a training set.

The memorization scores that are expected, with the subset ratio r:

* a *wrong label* can only be learned by memorizing it: near 1;
* an *image of noise* likewise: its accuracy in the subset minus 1 / C;
* a *duplicate* replaces its twin whenever one of them is held out, so k equal
  images with one label have (1 - r)^(k - 1) times the score of a single one,
  whether the label is right or wrong;
* of two equal images with *conflicting* labels a model can get one right.

Copies and noise images are appended, with new ids, after the N original
training examples. In `examples.parquet`, `plant` says what an example is:

    ""                       as it was published
    wrong_label              an original whose label was replaced
    labels_file              an original whose label in --labels_file differs
    exact_duplicate          of a correctly labelled image
    near_duplicate           of one, shifted and with noise
    wrong_label_duplicate    of an image with a wrong label, and that label
    conflicting_duplicate    of a correctly labelled image, with another label
    noise_image              no original; its clean label is the given one

`origin_id` is the original's id (for an original its own, for a noise image
-1), and `is_noisy` is whether the given label differs from the clean one.
"""

import dataclasses

import numpy as np

from memo_tf.data import planted_images
from memo_tf.data.sources import image_source
from memo_tf.data.stored import images as images_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import random_streams
from memo_tf.experiment import settings as settings_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSet:
  """The training examples of a study, planted ones included.

  Attributes:
    images: uint8 or uint16 `[N, H, W, channels]`; a `StoredImages` where they
      are on disk.
    labels: int32 `[N]`, the given labels.
    clean_labels: int32 `[N]`, before wrong ones were planted.
    plant: `[N]` str, see the module.
    origin_ids: int64 `[N]`, in [-1, N).
  """

  images: np.ndarray | images_lib.StoredImages
  labels: np.ndarray
  clean_labels: np.ndarray
  plant: np.ndarray
  origin_ids: np.ndarray

  @property
  def is_noisy(self) -> np.ndarray:
    """bool `[N]`: whether the given label is wrong."""
    return self.labels != self.clean_labels


def training_set(
  data: image_source.ImageDataset, config: config_lib.StudyConfig
) -> TrainingSet:
  """The training examples that a study's settings make of a data set.

  Raises:
    UsageError: if there are too few images for what is to be planted.
  """
  return append_planted(
    originals(data, data.train_images, config),
    config.data,
    len(data.class_names),
    data.max_pixel,
    config.running.seed,
  )


def originals(
  data: image_source.ImageSource,
  images: np.ndarray,
  config: config_lib.StudyConfig,
) -> TrainingSet:
  """The original training examples, some with wrong labels.

  Args:
    data: the data set.
    images: `[N, H, W, channels]`, of the training examples, or an array that
      is broadcast to N rows where only labels matter.
    config: of the study.
  """
  seed, num_classes = config.running.seed, len(data.class_names)
  labels, is_wrong = plant_wrong_labels(
    data.train_labels, num_classes, config.data.label_noise, seed
  )
  clean, kind = data.train_labels, "wrong_label"
  if data.clean_labels is not None:
    clean, kind = data.clean_labels, "labels_file"
    is_wrong = labels != clean
  return TrainingSet(
    images=images,
    labels=labels,
    clean_labels=clean,
    plant=np.where(is_wrong, kind, ""),
    origin_ids=np.arange(len(labels)),
  )


def plant_wrong_labels(
  labels: np.ndarray, num_classes: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Replaces a random fraction of the labels by another class.

  Args:
    labels: `[N]` int in [0, num_classes).
    num_classes: C, at least 2.
    fraction: of the examples, in [0, 1); `round(fraction * N)` are changed.
    seed: of the study; the stream is `planted/wrong_labels`.

  Returns:
    `[N]` labels, and bool `[N]`, which of them are wrong. A wrong label is
    uniform over the C - 1 other classes.
  """
  rng = random_streams.generator(seed, "planted", "wrong_labels")
  count = round(fraction * len(labels))
  chosen = rng.permutation(len(labels))[:count]
  noisy = labels.copy()
  shift = rng.integers(1, num_classes, size=count, dtype=labels.dtype)
  noisy[chosen] = (labels[chosen] + shift) % num_classes
  is_noisy = np.zeros(len(labels), bool)
  is_noisy[chosen] = True
  return noisy, is_noisy


def append_planted(
  originals: TrainingSet,
  config: settings_lib.DataConfig,
  num_classes: int,
  max_pixel: int,
  seed: int,
) -> TrainingSet:
  """Appends copies and noise images, in the order of the module's table.

  Args:
    originals, config, num_classes, max_pixel, seed: as `appended`.

  Returns:
    All of them; `originals` itself if nothing is to be appended.

  Raises:
    UsageError: if too few images are left for a kind.
  """
  further = appended(originals, config, num_classes, max_pixel, seed)
  if further is None:
    return originals
  return joined([originals, further])


def appended(
  originals: TrainingSet,
  config: settings_lib.DataConfig,
  num_classes: int,
  max_pixel: int,
  seed: int,
) -> TrainingSet | None:
  """The copies and noise images that come after the originals.

  No image is the origin of two kinds, so that each kind's truth stays simple.

  Args:
    originals: the N original examples; only images to be copied are read.
    config: its `planted_*` fields say how many of each kind.
    num_classes: C, at least 2.
    max_pixel: the value of a white pixel.
    seed: of the study; the streams are `planted/<kind>`.

  Returns:
    The appended examples, or None if there are none.

  Raises:
    UsageError: if too few images are left for a kind.
  """
  origins = _Origins(originals, seed)
  parts = [
    _exact_duplicates(originals, origins, config),
    _near_duplicates(originals, origins, config, max_pixel),
    _wrong_label_duplicates(originals, origins, config),
    _conflicting_duplicates(originals, origins, config, num_classes),
    _noise_images(originals, config, num_classes, max_pixel, seed),
  ]
  parts = [part for part in parts if len(part.labels)]
  return joined(parts) if parts else None


def _exact_duplicates(
  originals: TrainingSet,
  origins: "_Origins",
  config: settings_lib.DataConfig,
) -> TrainingSet:
  ids, _ = origins.take(
    "exact_duplicate",
    config.planted_exact_duplicates,
    "planted_exact_duplicates",
  )
  return _copies(originals, "exact_duplicate", ids)


def _near_duplicates(
  originals: TrainingSet,
  origins: "_Origins",
  config: settings_lib.DataConfig,
  max_pixel: int,
) -> TrainingSet:
  ids, rng = origins.take(
    "near_duplicate", config.planted_near_duplicates, "planted_near_duplicates"
  )
  images = planted_images.near_copies(
    originals.images[ids],
    shift=config.planted_near_shift,
    noise=config.planted_near_noise,
    max_pixel=max_pixel,
    rng=rng,
  )
  return _copies(originals, "near_duplicate", ids, images=images)


def _wrong_label_duplicates(
  originals: TrainingSet,
  origins: "_Origins",
  config: settings_lib.DataConfig,
) -> TrainingSet:
  ids, _ = origins.take(
    "wrong_label_duplicate",
    config.planted_copied_labels * len(config.planted_copies),
    "planted_copied_labels",
    wrong=True,
  )
  further = np.repeat(config.planted_copies, config.planted_copied_labels) - 1
  ids = np.repeat(ids, further.astype(np.int64))
  return _copies(originals, "wrong_label_duplicate", ids)


def _conflicting_duplicates(
  originals: TrainingSet,
  origins: "_Origins",
  config: settings_lib.DataConfig,
  num_classes: int,
) -> TrainingSet:
  ids, rng = origins.take(
    "conflicting_duplicate", config.planted_conflicts, "planted_conflicts"
  )
  labels = originals.clean_labels[ids]
  labels = (labels + rng.integers(1, num_classes, len(ids))) % num_classes
  return _copies(originals, "conflicting_duplicate", ids, labels=labels)


def _noise_images(
  originals: TrainingSet,
  config: settings_lib.DataConfig,
  num_classes: int,
  max_pixel: int,
  seed: int,
) -> TrainingSet:
  images, labels = planted_images.noise_images(
    config.planted_noise_images,
    originals.images.shape[1:],
    num_classes,
    max_pixel,
    seed,
  )
  labels = labels.astype(originals.labels.dtype)
  return TrainingSet(
    images=images.astype(originals.images.dtype),
    labels=labels,
    clean_labels=labels,
    plant=np.full(len(labels), "noise_image"),
    origin_ids=np.full(len(labels), -1),
  )


def _copies(
  originals: TrainingSet,
  kind: str,
  ids: np.ndarray,
  *,
  labels: np.ndarray | None = None,
  images: np.ndarray | None = None,
) -> TrainingSet:
  """Copies of the originals with these ids, with other labels or images."""
  labels = originals.labels[ids] if labels is None else labels
  images = originals.images[ids] if images is None else images
  return TrainingSet(
    images=images.astype(originals.images.dtype),
    labels=labels.astype(originals.labels.dtype),
    clean_labels=originals.clean_labels[ids],
    plant=np.full(len(ids), kind),
    origin_ids=ids,
  )


def joined(parts: list[TrainingSet]) -> TrainingSet:
  """Training sets one after the other, with their images in memory."""
  return TrainingSet(
    **{
      field.name: np.concatenate([getattr(part, field.name) for part in parts])
      for field in dataclasses.fields(TrainingSet)
    }
  )


class _Origins:
  """Draws originals to copy, each for at most one kind."""

  def __init__(self, originals: TrainingSet, seed: int):
    self._is_wrong = originals.is_noisy
    self._is_free = np.ones(len(originals.labels), bool)
    self._seed = seed

  def take(
    self, kind: str, count: int, flag: str, wrong: bool = False
  ) -> tuple[np.ndarray, np.random.Generator]:
    """`count` free ids in random order, and the rest of the kind's stream."""
    rng = random_streams.generator(self._seed, "planted", kind)
    order = rng.permutation(len(self._is_free))
    fits = self._is_free & (self._is_wrong == wrong)
    ids = order[fits[order]][:count]
    if len(ids) < count:
      sort = "wrongly labelled" if wrong else "correctly labelled"
      source = " (--label_noise makes them)" if wrong else ""
      raise errors.UsageError(
        f"--{flag} needs {count} {sort} training images{source} that are not "
        f"the origin of another kind. Received: {len(ids)} such images"
      )
    self._is_free[ids] = False
    return ids, rng
