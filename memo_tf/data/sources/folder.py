"""A user's folder of images: `folder:DIR`.

It holds a folder for each split (`train`, and `test` or `validation`), in that
one for each class, and in that the images (.jpg, .jpeg, .png). TensorFlow
Datasets reads it, so `tfds.read` and `tfds_stream.read` take its builder. The
folder may come from someone else: before an image is decoded, what is no plain
file below the folder, and what would decode to too many pixels, is refused.
"""

import os
import pathlib
import stat

from memo_tf.experiment import errors

SUFFIXES = (".jpg", ".jpeg", ".png")


def builder(path: pathlib.Path, max_pixels: int):
  """TensorFlow Datasets' `ImageFolder` of a folder.

  Args:
    path: of the folder.
    max_pixels: height times width that no image may exceed.

  Raises:
    UsageError: if it has another layout, or holds what is refused.
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
  found = image_files(path)
  with_images = {file.parent for file in found}
  for folder in sorted(classes):
    if folder not in with_images:
      raise errors.UsageError(
        f"every class needs images (.jpg, .jpeg, .png). Received: {folder}, "
        "which has none"
      )
  for file in found:
    _check_pixels(file, max_pixels)
  return tfds.ImageFolder(str(path))


def image_files(path: pathlib.Path) -> list[pathlib.Path]:
  """The images that TensorFlow Datasets finds in a folder, by path.

  Raises:
    UsageError: that names the first one that is no plain file, or a link that
      leads out of the folder.
  """
  root = os.path.realpath(path)
  found = []
  for folder in sorted(p for p in path.glob("*/*") if p.is_dir()):
    _check_inside(folder, root, path)
    with os.scandir(folder) as entries:
      for entry in entries:
        if not entry.name.lower().endswith(SUFFIXES):
          continue
        file = pathlib.Path(entry.path)
        if entry.is_symlink():  # looked up for links alone: it takes long
          _check_inside(file, root, path)
        if not entry.is_file():
          raise errors.UsageError(
            f"every image must be a plain file. Received: {file}, which is "
            f"{_kind(file)}"
          )
        found.append(file)
  return sorted(found)


def _check_inside(file: pathlib.Path, root: str, path: pathlib.Path) -> None:
  real = os.path.realpath(file)
  if os.path.commonpath([root, real]) != root:
    raise errors.UsageError(
      f"{path} may hold no link that leads out of it; copy what it leads to "
      f"there instead. Received: {file}, which leads to {real}"
    )


def _kind(file: pathlib.Path) -> str:
  """What a path that is no plain file is, in words."""
  try:
    mode = os.stat(file).st_mode
  except OSError as error:
    return f"a link that leads nowhere ({error.strerror})"
  if stat.S_ISDIR(mode):
    return "a folder"
  return "a FIFO" if stat.S_ISFIFO(mode) else "a device or socket"


def _check_pixels(file: pathlib.Path, most: int) -> None:
  """Reads the size that an image's header states.

  A file that Pillow does not know is left to the decoder, which says where it
  stands.
  """
  import PIL
  from PIL import Image

  before = Image.MAX_IMAGE_PIXELS
  Image.MAX_IMAGE_PIXELS = None  # our own limit holds, not Pillow's
  try:
    with Image.open(file) as image:
      width, height = image.size
  except (PIL.UnidentifiedImageError, ValueError, SyntaxError):
    return
  finally:
    Image.MAX_IMAGE_PIXELS = before
  if width * height > most:
    raise errors.UsageError(
      f"--max_image_pixels must be at least the pixels of every image. "
      f"Received: --max_image_pixels={most}, and {file} of {width}x{height}"
    )
