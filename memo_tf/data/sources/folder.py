"""A user's folder of images: `folder:DIR`.

It holds a folder for each split (`train`, and `test` or `validation`), in that
one for each class, and in that the images (.jpg, .jpeg, .png). TensorFlow
Datasets reads it, so `tfds.read` and `tfds_stream.read` take its builder.
"""

import pathlib

from memo_tf.experiment import errors


def builder(path: pathlib.Path):
  """TensorFlow Datasets' `ImageFolder` of a folder.

  Raises:
    UsageError: if it has another layout.
  """
  import tensorflow_datasets as tfds

  if not path.is_dir():
    raise errors.UsageError(
      f"--dataset=folder:DIR must name a folder. Received: {path}"
    )
  classes = [p for p in path.glob("*/*") if p.is_dir()]
  if not classes:
    raise errors.UsageError(
      f"{path} must hold train/CLASS/IMAGE and test/CLASS/IMAGE (or "
      "validation/…, or only train/ with --test_fraction). Received: no folder "
      "two levels down"
    )
  for folder in sorted(classes):
    if not any(_is_image(file) for file in folder.iterdir()):
      raise errors.UsageError(
        f"every class needs images (.jpg, .jpeg, .png). Received: {folder}, "
        "which has none"
      )
  return tfds.ImageFolder(str(path))


def _is_image(path: pathlib.Path) -> bool:
  return path.suffix.lower() in (".jpg", ".jpeg", ".png")
