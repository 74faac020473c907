"""The images of an earlier study with other labels (`--update_labels`).

Who has found wrong labels corrects them and studies the same images again. An
image keeps its id and its split, whatever file it is in now, so that the
subsets are the same and the two studies can be compared by id. Images are known
by their pixels, and copies of one another by their names.
"""

from collections.abc import Sequence
import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd

from memo_tf.data.sources import image_source
from memo_tf.data.sources import image_stream
from memo_tf.data.stored import conversion
from memo_tf.data.stored import digests
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions

LISTED = 5
# Where and in what form the images are: what may differ from the old study.
_MAY_DIFFER = {
  "dataset",
  "labels_file",
  "update_labels",
  "skip_unreadable",
  "channels_first",
}
# Images read at a time from the old study.
_BLOCK = 256

Source = image_source.ImageDataset | image_stream.ImageStream


@dataclasses.dataclass(frozen=True)
class _Examples:
  """Some examples, in order.

  Attributes:
    pixels: the digest of each image.
    names: of each example.
    labels: the name of each one's class.
  """

  pixels: list[str]
  names: list[str]
  labels: list[str]

  def __add__(self, other: "_Examples") -> "_Examples":
    return _Examples(
      self.pixels + other.pixels,
      self.names + other.names,
      self.labels + other.labels,
    )


def check(config: config_lib.StudyConfig) -> None:
  """Checks that a config asks for the old study's images and nothing else.

  Raises:
    UsageError: that names the settings that differ, or what is planted.
    StudyError: if there is no old study.
  """
  data = config.data
  planted = [
    f"--{field.name}={getattr(data, field.name)}"
    for field in dataclasses.fields(data)
    if (field.name.startswith("planted_") or field.name == "label_noise")
    and field.name
    not in ("planted_copies", "planted_near_shift", "planted_near_noise")
    and getattr(data, field.name)
  ]
  if planted:
    raise errors.UsageError(
      "--update_labels is for a data set's own labels: nothing may be planted. "
      f"Received: {', '.join(planted)}"
    )
  directory = directory_lib.StudyDirectory(data.update_labels)
  if not directory.dataset_dir.is_dir():
    raise errors.UsageError(
      "--update_labels must name the folder of an earlier study. Received: "
      f"--update_labels={data.update_labels}, which has no dataset"
    )
  info = dataset_info.read_info(directory)
  now = json.loads(json.dumps(dataset_info.made_from(config)))
  default = dataset_info.made_from(config_lib.StudyConfig())
  before = {**json.loads(json.dumps(default)), **info["made_from"]}
  differing = [
    f"--{name}: {before[name]} there, {value} here"
    for name, value in now.items()
    if name not in _MAY_DIFFER and before[name] != value
  ]
  if differing:
    raise errors.UsageError(
      "--update_labels must have the old study's settings of the data. "
      f"Received: {'; '.join(differing)}"
    )


def relabelled(new: Source, config: config_lib.StudyConfig) -> Source:
  """A data set in the order of an earlier study.

  Args:
    new: the data set as it is now: whole, without a drawn test set; or, with
      `--labels_file`, which has the old ids, as the study takes it.
    config: of the new study; `check` has passed.

  Returns:
    `new` with the old study's examples, ids and test set, and notes on the
    labels that differ.

  Raises:
    UsageError: if an image of the old study is missing, there are others, or
      no label differs.
    StudyError: if the old study is damaged.
  """
  directory = directory_lib.StudyDirectory(config.data.update_labels)
  info = dataset_info.read_info(directory)
  table = predictions.read_examples(directory)
  old = _old_examples(directory, info, table)
  title = directory.root.name
  is_drawn = config.data.test_fraction > 0 and not config.data.labels_file
  if is_drawn and new.train_sources is None:  # as `load` names them
    names = np.arange(len(new.train_labels)).astype(str)
    new = dataclasses.replace(new, train_sources=names)
  found = _new_examples(new, config)
  if is_drawn:
    both = _matched(old["train"] + old["test"], found["train"], title, table)
    count = len(old["train"].pixels)
    data = new.selected(both[:count], both[count:])
  else:
    train = _matched(old["train"], found["train"], title, table)
    test = _matched(old["test"], found["test"], title, table)
    data = new.selected(train).with_test(test)
  indices: dict[str, np.ndarray | None] = {"train": None, "test": None}
  if "source_index" in table:
    indices = {s: _of_split(table, s)["source_index"].to_numpy() for s in old}
  return dataclasses.replace(
    data,
    order=info["order"],
    source_indices=indices["train"],
    test_source_indices=indices["test"],
    notes=(*new.notes, *_notes(old, data, title)),
  )


def _old_examples(
  directory: directory_lib.StudyDirectory, info: dict, table: pd.DataFrame
) -> dict[str, _Examples]:
  """The examples of the old study, by split."""
  data = reader.read_dataset(directory)
  images = {"train": data.train_images, "test": data.test_images}
  found = {}
  for split, pixels in images.items():
    rows = _of_split(table, split)
    column = next(
      c for c in ("source", "source_index", "example_id") if c in rows
    )
    found[split] = _Examples(
      [
        digests.of_pixels(image)
        for start in range(0, len(pixels), _BLOCK)
        for image in np.asarray(pixels[start : start + _BLOCK])
      ],
      [str(name) for name in rows[column]],
      [info["class_names"][label] for label in rows["label"]],
    )
  return found


def _new_examples(
  new: Source, config: config_lib.StudyConfig
) -> dict[str, _Examples]:
  """The examples of the data set as it is now, by split."""
  kind = "raw"
  if not isinstance(new, image_source.ImageDataset):
    kind = config.data.image_encoding
    kind = "png" if kind == "auto" else kind
  converter = conversion.Converter(
    new, kind, config.data.image_size, config.data.jpeg_quality
  )
  pixels = {
    "train": [""] * len(new.train_labels),
    "test": [""] * len(new.test_labels),
  }
  for split, index, row in converter.all():
    pixels[split][index] = digests.of_pixels(row.image)
  labels = _label_names(new)
  sources = {"train": new.train_sources, "test": new.test_sources}
  return {
    split: _Examples(keys, _names(sources[split], len(keys)), labels[split])
    for split, keys in pixels.items()
  }


def _names(sources: np.ndarray | None, count: int) -> list[str]:
  """What examples are called, or their indices."""
  return [str(name) for name in (range(count) if sources is None else sources)]


def _label_names(data: Source) -> dict[str, list[str]]:
  """The names of the classes of a data set's examples, by split."""
  names = data.class_names
  return {
    "train": [names[label] for label in data.train_labels],
    "test": [names[label] for label in data.test_labels],
  }


def _of_split(table: pd.DataFrame, split: str) -> pd.DataFrame:
  return table[table["split"] == split]


def _matched(
  old: _Examples, new: _Examples, title: str, table: pd.DataFrame
) -> np.ndarray:
  """The index of each old example among the new ones, int64 `[n]`.

  Raises:
    UsageError: if one is missing, or a new one is none of the old.
  """
  left: dict[str, list[int]] = {}
  for index, key in enumerate(new.pixels):
    left.setdefault(key, []).append(index)
  found = np.full(len(old.pixels), -1)
  # Copies of one image are told apart by their names, then by the last part:
  # a file that moved to another class keeps it.
  for part in (str, _last, None):
    for index, key in enumerate(old.pixels):
      if found[index] >= 0 or not left.get(key):
        continue
      candidates = left[key]
      if part:
        name = part(old.names[index])
        candidates = [c for c in candidates if part(new.names[c]) == name]
      if candidates:
        found[index] = candidates[0]
        left[key].remove(candidates[0])
  missing = [old.names[i] for i in np.flatnonzero(found < 0)]
  others = [new.names[i] for indices in left.values() for i in indices]
  if "source_index" in table:  # the old study drew a part of the examples
    others = []
  if missing or others:
    raise errors.UsageError(
      f"--update_labels needs the images of {title} as they were: "
      f"{len(missing)} are missing{_listed(missing)} and {len(others)} are "
      f"new{_listed(others)}. Restore them, or start a study without "
      "--update_labels"
    )
  return found


def _last(name: str) -> str:
  return pathlib.PurePosixPath(name).name


def _listed(names: Sequence[str]) -> str:
  if not names:
    return ""
  text = ", ".join(image_source.shown(name) for name in names[:LISTED])
  return f" ({text}{', …' if len(names) > LISTED else ''})"


def _notes(old: dict[str, _Examples], new: Source, title: str) -> list[str]:
  """What differs, and what follows from it.

  Raises:
    UsageError: if nothing differs.
  """
  labels, changes, counts = _label_names(new), [], {}
  for split, before in old.items():
    pairs = zip(before.labels, labels[split], strict=True)
    changed = [i for i, (a, b) in enumerate(pairs) if a != b]
    counts[split] = len(changed)
    sources = new.train_sources if split == "train" else new.test_sources
    names = before.names if sources is None else sources
    for i in changed[:LISTED]:
      shown = [names[i], before.labels[i], labels[split][i]]
      name, one, other = (image_source.shown(str(text)) for text in shown)
      changes.append(f"{name}: {one} → {other}")
  if not changes:
    raise errors.UsageError(
      f"--update_labels={title}: no label differs from that study; rerun its "
      "own command to resume it"
    )
  more = sum(counts.values()) - len(changes)
  return [
    f"{counts['train']} of {len(labels['train'])} training labels and "
    f"{counts['test']} of {len(labels['test'])} test labels differ from "
    f"{title}: {'; '.join(changes)}{f'; and {more} more' if more else ''}.",
    f"Ids, subsets and test set are those of {title}, which stays as it is. "
    "Every run is trained again: an old one learned a changed label or was "
    "evaluated on it.",
  ]
