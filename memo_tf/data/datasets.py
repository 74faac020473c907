"""Where images and labels come from, as arrays in their original order.

An example's id is its place in the arrays given here. A data set is a line in
`LOADERS` and a name in `experiment.config.DATASETS`.
"""

from collections.abc import Callable
import dataclasses

import numpy as np

from memo_tf.experiment import config as config_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageDataset:
  """An image-classification data set.

  Attributes:
    name, version, licence, citation: as on the page.
    class_names: C names.
    train_images: uint8 `[N, H, W, channels]`.
    train_labels: int32 `[N]`, in [0, C).
    test_images: uint8 `[T, H, W, channels]`.
    test_labels: int32 `[T]`.
    max_pixel: the value of a white pixel, to show images with.
    order: in words, what an id means.
  """

  name: str
  version: str
  licence: str
  citation: str
  class_names: tuple[str, ...]
  train_images: np.ndarray
  train_labels: np.ndarray
  test_images: np.ndarray
  test_labels: np.ndarray
  max_pixel: int
  order: str


def load(config: config_lib.DataConfig) -> ImageDataset:
  """Loads the data set that a config names, as it was published."""
  return LOADERS[config.dataset]()


def _digits() -> ImageDataset:
  """scikit-learn's digits: the test set of UCI's optical digits, 8x8."""
  import sklearn
  from sklearn import datasets as sklearn_datasets

  content = sklearn_datasets.load_digits()
  images = content.images.astype(np.uint8)[..., None]
  labels = content.target.astype(np.int32)
  return ImageDataset(
    name="digits",
    version=f"scikit-learn {sklearn.__version__}",
    licence="CC BY 4.0 (UCI Machine Learning Repository)",
    citation=(
      "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, "
      "UCI Machine Learning Repository, 1998, doi:10.24432/C50P49"
    ),
    class_names=tuple(str(name) for name in content.target_names),
    train_images=images[:1500],
    train_labels=labels[:1500],
    test_images=images[1500:],
    test_labels=labels[1500:],
    max_pixel=16,
    order=(
      "the order of sklearn.datasets.load_digits(): training id i is its row "
      "i, test id j its row 1500 + j"
    ),
  )


LOADERS: dict[str, Callable[[], ImageDataset]] = {"digits": _digits}
