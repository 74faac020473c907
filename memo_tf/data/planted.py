"""Known truth, planted in a data set and recorded in `examples.parquet`.

What a good memorization score must say of them, r being the subset ratio:

* a *wrong label* can be learned by memorizing only: near 1;
* an *image of noise* likewise: its accuracy in the subset minus 1 / C;
* a *duplicate* stands in for its twin wherever one of them is held out, so k
  equal images with one label have (1 - r)^(k - 1) times the score of a single
  one, be the label right or wrong;
* of two equal images with *conflicting* labels a model can get one right.

Copies and noise images are appended, with new ids, after the N original
training examples; `plant` says what an example is:

    ""                       as it was published
    wrong_label              an original whose label was replaced
    labels_file              one whose label in --labels_file is another
    exact_duplicate          of a rightly labelled image
    near_duplicate           of one, shifted and with noise
    wrong_label_duplicate    of a wrong-labelled image, with its wrong label
    conflicting_duplicate    of a rightly labelled image, with another label
    noise_image              no original; its label is the only one it has

`origin_id` is the original's id (an original's own; a noise image's -1), and
`is_noisy` says that the given label is not the clean one.
"""

import dataclasses

import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import random_streams
from memo_tf.experiment import settings as settings_lib

_DIRECTIONS = np.array(
  [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSet:
  """The training examples of a study, the planted ones among them.

  Attributes:
    images: uint8 or uint16 `[N, H, W, channels]`.
    labels: int32 `[N]`, the given labels.
    clean_labels: int32 `[N]`, before wrong ones were planted.
    plant: `[N]` str, see the module.
    origin_ids: int64 `[N]`, in [-1, N).
  """

  images: np.ndarray
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
    images: `[N, H, W, channels]`, or what stands for such an array.
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
    `[N]` labels and `[N]` bool, which of them are wrong. A wrong label is
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

  Takes what `appended` takes.

  Returns:
    The originals themselves if nothing is to be appended.

  Raises:
    UsageError: if too few images are left for a kind.
  """
  further = appended(originals, config, num_classes, max_pixel, seed)
  if further is None:
    return originals
  return _joined([originals, further])


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
    originals: the N original examples; of their images those to be copied are
      looked at.
    config: whose `planted_*` fields say how many of what.
    num_classes: C, at least 2.
    max_pixel: the value of a white pixel.
    seed: of the study; each kind has a stream of its own, `planted/<kind>`.

  Returns:
    Them, or None if nothing is to be appended.

  Raises:
    UsageError: if too few images are left for a kind.
  """
  origins = _Origins(originals, seed)
  parts = []

  def add(kind, ids, labels, images):
    if len(ids):
      parts.append(
        TrainingSet(
          images=images.astype(originals.images.dtype),
          labels=labels.astype(originals.labels.dtype),
          clean_labels=(
            originals.clean_labels[ids] if kind != "noise_image" else labels
          ),
          plant=np.full(len(ids), kind),
          origin_ids=ids,
        )
      )

  ids, _ = origins.take(
    "exact_duplicate",
    config.planted_exact_duplicates,
    "planted_exact_duplicates",
  )
  add("exact_duplicate", ids, originals.labels[ids], originals.images[ids])
  ids, rng = origins.take(
    "near_duplicate", config.planted_near_duplicates, "planted_near_duplicates"
  )
  images = near_copies(
    originals.images[ids],
    shift=config.planted_near_shift,
    noise=config.planted_near_noise,
    max_pixel=max_pixel,
    rng=rng,
  )
  add("near_duplicate", ids, originals.labels[ids], images)
  ids, _ = origins.take(
    "wrong_label_duplicate",
    config.planted_copied_labels * len(config.planted_copies),
    "planted_copied_labels",
    wrong=True,
  )
  further = np.repeat(config.planted_copies, config.planted_copied_labels) - 1
  ids = np.repeat(ids, further.astype(np.int64))
  add(
    "wrong_label_duplicate", ids, originals.labels[ids], originals.images[ids]
  )
  ids, rng = origins.take(
    "conflicting_duplicate", config.planted_conflicts, "planted_conflicts"
  )
  labels = originals.clean_labels[ids]
  labels = (labels + rng.integers(1, num_classes, len(ids))) % num_classes
  add("conflicting_duplicate", ids, labels, originals.images[ids])
  images, labels = noise_images(
    config.planted_noise_images,
    originals.images.shape[1:],
    num_classes,
    max_pixel,
    seed,
  )
  add("noise_image", np.full(len(labels), -1), labels, images)
  return _joined(parts) if parts else None


def _joined(parts: list[TrainingSet]) -> TrainingSet:
  return TrainingSet(
    **{
      field.name: np.concatenate([getattr(part, field.name) for part in parts])
      for field in dataclasses.fields(TrainingSet)
    }
  )


def near_copies(
  images: np.ndarray,
  *,
  shift: int,
  noise: float,
  max_pixel: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """Slightly changed copies: shifted, the edge repeated, and with noise.

  Args:
    images: uint8 `[n, H, W, channels]`.
    shift: pixels, in one of eight directions drawn for each image.
    noise: standard deviation of normal noise, in units of `max_pixel`.
    max_pixel: pixels are rounded and kept in [0, max_pixel].
    rng: a stream of its own.

  Returns:
    uint8 `[n, H, W, channels]`.
  """
  height, width = images.shape[1:3]
  offsets = shift * _DIRECTIONS[rng.integers(8, size=len(images))]
  rows = np.clip(np.arange(height) - offsets[:, :1], 0, height - 1)
  columns = np.clip(np.arange(width) - offsets[:, 1:], 0, width - 1)
  which = np.arange(len(images))[:, None, None]
  moved = images[which, rows[:, :, None], columns[:, None, :]]
  moved = moved + rng.normal(0.0, noise * max_pixel, images.shape)
  return np.clip(np.round(moved), 0, max_pixel).astype(images.dtype)


def noise_images(
  count: int,
  image_shape: tuple[int, int, int],
  num_classes: int,
  max_pixel: int,
  seed: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Images of uniform noise; labels in turn over the classes, in random order.

  In turn, because models tend to take all noise for the same class: over equal
  shares of the labels the held-out accuracy is then 1 / C whichever it is.

  Returns:
    uint8 `[count, H, W, channels]` in [0, max_pixel], and int32 `[count]`.
  """
  rng = random_streams.generator(seed, "planted", "noise_image")
  dtype = np.uint8 if max_pixel <= 255 else np.uint16
  images = rng.integers(
    0, max_pixel, (count, *image_shape), dtype, endpoint=True
  )
  labels = rng.permutation(np.arange(count) % num_classes)
  return images, labels.astype(np.int32)


class _Origins:
  """Draws originals to copy, each for one kind only."""

  def __init__(self, originals: TrainingSet, seed: int):
    self._is_wrong = originals.is_noisy
    self._is_free = np.ones(len(originals.labels), bool)
    self._seed = seed

  def take(
    self, kind: str, count: int, flag: str, wrong: bool = False
  ) -> tuple[np.ndarray, np.random.Generator]:
    """`count` free ids in random order, and the kind's stream to go on with."""
    rng = random_streams.generator(self._seed, "planted", kind)
    order = rng.permutation(len(self._is_free))
    fits = self._is_free & (self._is_wrong == wrong)
    ids = order[fits[order]][:count]
    if len(ids) < count:
      sort = "wrong-labelled" if wrong else "rightly labelled"
      source = " (--label_noise makes them)" if wrong else ""
      raise errors.UsageError(
        f"--{flag} needs {count} {sort} training images{source} that nothing "
        f"else was planted on. Received: {len(ids)} such images"
      )
    self._is_free[ids] = False
    return ids, rng
