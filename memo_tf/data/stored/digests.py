"""Digests of what a data set holds, whatever the bytes of its files are."""

from collections.abc import Mapping
import json

import numpy as np

from memo_tf.store import files


def of_pixels(image: np.ndarray) -> str:
  """The digest of one image's pixels, 32 hexadecimal digits."""
  return files.digest_bytes(np.ascontiguousarray(image))


def of_arrays(
  train_images: np.ndarray,
  train_labels: np.ndarray,
  test_images: np.ndarray,
  test_labels: np.ndarray,
) -> str:
  """The digest of a data set that is stored as pixels."""
  arrays = (train_images, train_labels, test_images, test_labels)
  parts = [files.digest_bytes(np.ascontiguousarray(array)) for array in arrays]
  return files.digest_bytes("".join(parts).encode())


def of_images(
  pixels: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
) -> str:
  """The digest of a data set whose images are stored encoded.

  Args:
    pixels: for `train` and `test`, uint8 `[n, 16]`, the digests of the decoded
      images (`of_pixels`) in order of id.
    labels: for `train` and `test`, int32 `[n]`.
  """
  digests = {
    split: [
      files.digest_bytes(pixels[split].tobytes()),
      files.digest_bytes(labels[split].tobytes()),
    ]
    for split in ("train", "test")
  }
  return files.digest_bytes(json.dumps(digests).encode())
