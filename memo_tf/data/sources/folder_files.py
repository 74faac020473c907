"""Which files of a user's folder are images, and of which split and class.

Two layouts are known: a folder for each split with one for each class in it
(`train/CLASS/IMAGE`), and Keras's, a folder for each class (`CLASS/IMAGE`).
Everything else is counted with the reason why it is ignored. The folder may
come from someone else: an image that is no plain file below the folder is
refused before anything is read.
"""

import collections
import dataclasses
import os
import pathlib
import stat

from memo_tf.experiment import errors

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
# The split of the layout that has none.
NO_SPLIT = ""
# Names of folders that are hardly classes.
_SPLITS = {"train", "test", "validation", "valid", "val", "dev", "eval"}


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFile:
  """An image of a folder.

  Attributes:
    path: of the file.
    name: its path below the folder, with `/`, as text that any file can hold.
    class_name: of its class.
  """

  path: pathlib.Path
  name: str
  class_name: str


@dataclasses.dataclass(frozen=True)
class Listing:
  """What a folder holds.

  Attributes:
    root: the folder.
    splits: the images of each split by class and name; the only split of
      Keras's layout is `NO_SPLIT`.
    class_names: of all splits, sorted.
    ignored: how many files are ignored, by reason.
  """

  root: pathlib.Path
  splits: dict[str, list[ImageFile]]
  class_names: tuple[str, ...]
  ignored: dict[str, int]

  @property
  def images(self) -> list[ImageFile]:
    """The images of all splits."""
    return [image for images in self.splits.values() for image in images]


def listing(root: pathlib.Path, train_split: str = "train") -> Listing:
  """Lists a folder of images.

  Args:
    root: the folder.
    train_split: the folder that holds classes in the layout with splits.

  Raises:
    UsageError: if it has another layout, a class without images, an image that
      is no plain file, or a link that leads out of the folder.
  """
  if not root.is_dir():
    raise errors.UsageError(
      f"--dataset=folder:DIR must name a folder. Received: {root}"
    )
  lister = _Lister(root)
  top = lister.folders(root)
  inside = {folder.name: lister.folders(folder) for folder in top}
  direct = {f.name: lister.has_images(f) for f in top}
  if _has_splits(inside, direct, train_split):
    for folder in top:
      lister.count_ignored(folder, "beside the class folders")
    splits = {f.name: lister.classes(inside[f.name]) for f in top}
  elif any(direct.values()):
    splits = {NO_SPLIT: lister.classes(top)}
    if set(inside) <= _SPLITS:
      raise _wrong_layout(root, f"images right in {', '.join(sorted(inside))}/")
  else:
    raise _wrong_layout(root, "no folder with images")
  lister.count_ignored(root, "beside the class folders")
  names = {folder.name for folder in lister.class_folders}
  return Listing(
    root,
    {name: images for name, images in splits.items() if images},
    tuple(sorted(names)),
    dict(lister.ignored),
  )


def _has_splits(
  inside: dict[str, list[pathlib.Path]],
  direct: dict[str, bool],
  train_split: str,
) -> bool:
  """Whether the top folders are splits: the training split holds classes.

  Without a training split they are, if any holds folders and none images, so
  that the error is about the split.
  """
  if inside.get(train_split):
    return True
  return any(inside.values()) and not any(direct.values())


def _wrong_layout(root: pathlib.Path, found: str) -> errors.UsageError:
  return errors.UsageError(
    f"{root} must hold train/CLASS/IMAGE and test/CLASS/IMAGE (or "
    "validation/…), or CLASS/IMAGE with --test_fraction. Received: " + found
  )


class _Lister:
  """Lists folders, and counts what is ignored.

  Attributes:
    ignored: how many files, by reason.
    class_folders: those that `classes` has listed.
  """

  def __init__(self, root: pathlib.Path):
    self._root, self._real_root = root, os.path.realpath(root)
    self.ignored: collections.Counter[str] = collections.Counter()
    self.class_folders: list[pathlib.Path] = []

  def folders(self, path: pathlib.Path) -> list[pathlib.Path]:
    """The folders in a folder that are not hidden, by name."""
    found = []
    with os.scandir(path) as entries:
      for entry in entries:
        if not entry.name.startswith(".") and _is_folder(entry):
          found.append(path / entry.name)
    for folder in found:
      self._check_inside(folder)
    return sorted(found)

  def has_images(self, path: pathlib.Path) -> bool:
    """Whether a folder has images itself."""
    with os.scandir(path) as entries:
      return any(
        _is_image(entry) and not _is_folder(entry) for entry in entries
      )

  def classes(self, folders: list[pathlib.Path]) -> list[ImageFile]:
    """The images in the folders of classes, by class and name.

    Raises:
      UsageError: that names the first folder without images.
    """
    images = []
    for folder in folders:
      found = self._class(folder)
      if not found:
        raise errors.UsageError(
          f"every class needs images ({', '.join(SUFFIXES)}). Received: "
          f"{folder}, which has none"
        )
      self.class_folders.append(folder)
      images += found
    return images

  def _class(self, folder: pathlib.Path) -> list[ImageFile]:
    found = []
    with os.scandir(folder) as entries:
      for entry in entries:
        path = folder / entry.name
        if not _is_image(entry):
          self._ignore(entry, "in folders below a class")
          continue
        if entry.is_symlink():  # looked up for links alone: it takes long
          self._check_inside(path)
        if not _is_file(entry):
          raise errors.UsageError(
            f"every image must be a plain file. Received: {path}, which is "
            f"{_kind(path)}"
          )
        name = os.fsencode(path.relative_to(self._root).as_posix())
        text = name.decode("utf-8", "backslashreplace")
        found.append(ImageFile(path, text, folder.name))
    return sorted(found, key=lambda image: str(image.path))

  def count_ignored(self, path: pathlib.Path, where: str) -> None:
    """Counts the files right in a folder that holds folders."""
    with os.scandir(path) as entries:
      for entry in entries:
        if not _is_folder(entry):
          hidden = entry.name.startswith(".")
          self.ignored["hidden" if hidden else where] += 1

  def _ignore(self, entry: os.DirEntry, where: str) -> None:
    """Counts what is no image, or the files of a folder below a class."""
    if entry.name.startswith("."):
      self.ignored["hidden"] += 1
    elif entry.is_dir(follow_symlinks=False):
      for _, _, names in os.walk(entry.path):
        self.ignored[where] += len(names)
    else:
      suffix = pathlib.PurePath(entry.name).suffix.lower()
      is_plain = suffix.isprintable() and 1 < len(suffix) <= 8
      self.ignored[suffix if is_plain else "no image by name"] += 1

  def _check_inside(self, path: pathlib.Path) -> None:
    real = os.path.realpath(path)
    if os.path.commonpath([self._real_root, real]) != self._real_root:
      raise errors.UsageError(
        f"{self._root} may hold no link that leads out of it; copy what it "
        f"leads to there instead. Received: {path}, which leads to {real}"
      )


def _is_image(entry: os.DirEntry) -> bool:
  """Whether an entry is named like an image, whatever it is."""
  name = entry.name.lower()
  return name.endswith(SUFFIXES) and not name.startswith(".")


def _is_folder(entry: os.DirEntry) -> bool:
  """Whether an entry is a folder or leads to one."""
  try:
    return entry.is_dir()
  except OSError:  # a link that leads to itself
    return False


def _is_file(entry: os.DirEntry) -> bool:
  """Whether an entry is a plain file or leads to one."""
  try:
    return entry.is_file()
  except OSError:  # a link that leads to itself
    return False


def _kind(path: pathlib.Path) -> str:
  """What a path that is no plain file is, in words."""
  try:
    mode = os.stat(path).st_mode
  except OSError as error:
    return f"a link that leads nowhere ({error.strerror})"
  if stat.S_ISDIR(mode):
    return "a folder"
  return "a FIFO" if stat.S_ISFIFO(mode) else "a device or socket"
