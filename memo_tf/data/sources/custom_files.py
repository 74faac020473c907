"""What the user's own files held when a study was made from them.

A study knows its own files by their last name only, so that it can be moved:
another `data.npz`, or the same one changed, would pass for the first. So
`info.json` keeps digests of the .npz file or the folder of `--dataset` and of
`--labels_file`; another content is an error. Files that are not there (any
more) are not compared: the study has its own copy of the data.
"""

import os
import pathlib

from memo_tf.data.sources import folder_files
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import files


def digests(config: settings_lib.DataConfig) -> dict[str, dict]:
  """What the files of a study hold now, by the flag that names them.

  Returns:
    Of each of them that is there, its size and digest, and what changes when
    it is changed: the time of change of a file, a digest of names, sizes and
    times of change of a folder. Empty for a published data set.

  Raises:
    UsageError: if a folder holds what `folder_files.listing` refuses.
  """
  return {
    flag: _folder_entry(_images(path, config))
    if path.is_dir()
    else files.file_entry(path)
    for flag, path in _paths(config).items()
  }


def difference(config: settings_lib.DataConfig, info: dict) -> str | None:
  """How the files that are there differ from what a study was made from.

  What has the recorded size and time of change is not read again.

  Args:
    config: of the data.
    info: the content of `dataset/info.json`.

  Returns:
    In words, or None.

  Raises:
    UsageError: as `digests`.
    OSError: if a file cannot be read.
  """
  recorded = info.get("custom_files", {})
  for flag, path in _paths(config).items():
    entry = recorded.get(flag)
    if not entry:
      continue
    if path.is_dir():
      images = _images(path, config)
      same = _folder_listing(images) == entry.get("listing") or (
        _folder_entry(images)["digest"] == entry["digest"]
      )
    else:
      same = files.difference(path, entry, check_digest=False) is None
    if not same:
      return (
        f"--{flag}: {path} holds other content than the study was made from"
      )
  return None


def check(config: settings_lib.DataConfig, info: dict, root: object) -> None:
  """Refuses files of another content than those a study was made from.

  Args:
    config: of the data.
    info: the content of `dataset/info.json`.
    root: folder of the study, for the message.

  Raises:
    UsageError: that names the file and says what to do.
  """
  problem = difference(config, info)
  if problem:
    raise errors.UsageError(
      f"{problem}, {root}. Restore it (or move it away: the study has its own "
      "copy), or give another --experiment_dir. If only labels were corrected, "
      f"add --update_labels={root} --experiment_dir={root}-labels2 to study "
      "the same images with the new ones."
    )


def _paths(config: settings_lib.DataConfig) -> dict[str, pathlib.Path]:
  """The user's own files that are there, by the flag that names them.

  What is of another kind (a folder named as an .npz file) is left to its
  reader, whose error says so.
  """
  found = {}
  kind, _, name = config.dataset.partition(":")
  path = pathlib.Path(config.data_dir, name)
  is_of_kind = {"npz": path.is_file, "folder": path.is_dir}.get(kind)
  if name and is_of_kind and is_of_kind():
    found["dataset"] = path
  labels_path = pathlib.Path(config.labels_file)
  if labels_path.is_file():
    found["labels_file"] = labels_path
  return found


def _images(
  path: pathlib.Path, config: settings_lib.DataConfig
) -> list[folder_files.ImageFile]:
  """The images of a folder, by path."""
  found = folder_files.listing(path, config.train_split).images
  return sorted(found, key=lambda image: image.path)


def _folder_entry(images: list[folder_files.ImageFile]) -> dict:
  """Of a folder of images: how many, their bytes, and digests."""
  lines = [f"{i.name}\t{files.digest_file(i.path)}" for i in images]
  return {
    "files": len(images),
    "bytes": sum(os.stat(image.path).st_size for image in images),
    "digest": files.digest_bytes("\n".join(lines).encode()),
    "listing": _folder_listing(images),
  }


def _folder_listing(images: list[folder_files.ImageFile]) -> str:
  """A digest of the names, sizes and times of change of a folder's images."""
  lines = []
  for image in images:
    found = os.stat(image.path)
    lines.append(f"{image.name}\t{found.st_size}\t{found.st_mtime_ns}")
  return files.digest_bytes("\n".join(lines).encode())
