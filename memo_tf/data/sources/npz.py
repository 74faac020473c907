"""A user's own arrays: `npz:FILE`.

The file holds `train_images` `[N, H, W]` or `[N, H, W, channels]`,
`train_labels` `[N]` or `[N, 1]`, and likewise `test_images` and `test_labels`
(or only the training arrays, with `--test_fraction`); or Keras's names,
`x_train`, `y_train`, `x_test`, `y_test`. Labels are whole numbers or text: the
names of the classes, in sorted order. Optional are `class_names` `[C]`,
`train_ids` and `test_ids`, what the examples are called, and in their place
`train_file_names` and `test_file_names`. Pixels are uint8 or uint16, or floats
that are either whole numbers in [0, 255] or fractions in [0, 1] or [-1, 1];
both splits have one dtype and one scale (`npz_images`).
"""

import pathlib

import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.data.sources import labels as labels_lib
from memo_tf.data.sources import npz_images
from memo_tf.experiment import errors

# Other names of arrays.
_ALIASES = {
  "train_images": ("x_train", "X_train"),
  "train_labels": ("y_train", "Y_train"),
  "test_images": ("x_test", "X_test"),
  "test_labels": ("y_test", "Y_test"),
}


def load(
  path: pathlib.Path, *, channels_first: bool = False
) -> image_source.ImageDataset:
  """Reads an .npz file; never unpickles.

  Args:
    path: of the file.
    channels_first: images are `[N, channels, H, W]`.

  Raises:
    UsageError: that names the array and example that break a rule.
  """
  arrays = _by_name(_arrays(path), path)
  images = npz_images.images(arrays, path, channels_first)
  labels, class_names = _labels(arrays, path)
  sources: dict[str, np.ndarray | None] = {}
  for split, found in images.items():
    sources[split] = _sources(arrays, split, len(found), path)
  data = image_source.ImageDataset(
    name=path.name,
    version="own file",
    licence="the owner's",
    citation="none given",
    class_names=class_names,
    train_images=images["train"],
    train_labels=labels["train"],
    test_images=images["test"],
    test_labels=labels["test"],
    max_pixel=int(np.iinfo(images["train"].dtype).max),
    order="the order of the arrays in the file",
    train_sources=sources["train"],
    test_sources=sources["test"],
    sources_are_files="train_file_names" in arrays,
  )
  data.check_classes()
  return data


def _by_name(
  arrays: dict[str, np.ndarray], path: pathlib.Path
) -> dict[str, np.ndarray]:
  """The arrays under our own names.

  Raises:
    UsageError: if one is there under two names, or a training array is missing,
      or of the test arrays one.
  """
  found = dict(arrays)
  for name, aliases in _ALIASES.items():
    given = [n for n in (name, *aliases) if n in arrays]
    if len(given) > 1:
      raise errors.UsageError(
        f"{path} must hold {name} once. Received: {' and '.join(given)}"
      )
    if given:
      found[name] = found.pop(given[0])
  missing = [n for n in ("train_images", "train_labels") if n not in found]
  if ("test_images" in found) != ("test_labels" in found):
    missing += [n for n in ("test_images", "test_labels") if n not in found]
  if missing:
    raise errors.UsageError(
      f"{path} must hold train_images and train_labels (and test_images and "
      "test_labels), or x_train, y_train, x_test and y_test. Received: "
      f"{', '.join(sorted(arrays)) or 'nothing'}"
    )
  return found


def _labels(
  arrays: dict[str, np.ndarray], path: pathlib.Path
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """int32 labels `[n]` by split, and the names of the classes.

  Raises:
    UsageError: if they are neither whole numbers nor text, or text that is not
      in `class_names`.
  """
  given: dict[str, np.ndarray] = {}
  for split in npz_images.SPLITS:
    values = arrays.get(f"{split}_labels", np.zeros(0, np.int32))
    if values.ndim != 1 and values.shape[1:] != (1,):
      raise errors.UsageError(
        f"{path}: {split}_labels must be one label per example, [N] or [N, 1]. "
        f"Received: an array of shape {list(values.shape)}; of one-hot labels "
        "give labels.argmax(axis=1)"
      )
    given[split] = values[:, 0] if values.ndim == 2 else values
  names = arrays.get("class_names")
  kinds = {values.dtype.kind for values in given.values() if values.size}
  if kinds and kinds <= set("US"):
    return _of_text(given, names, path)
  labels = {
    split: labels_lib.whole_numbers(values, f"{split}_labels", path)
    for split, values in given.items()
  }
  highest = max(
    (part.max() for part in labels.values() if len(part)), default=1
  )
  if highest > max(len(labels["train"]), 1000):
    # Or one label could make a billion class names.
    raise errors.UsageError(
      f"{path}: every class needs training examples. Received: label {highest} "
      f"and {len(labels['train'])} training examples"
    )
  numbers = np.arange(int(highest) + 1) if names is None else np.ravel(names)
  return labels, tuple(str(name) for name in _text(numbers))


def _of_text(
  given: dict[str, np.ndarray], names: np.ndarray | None, path: pathlib.Path
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """Labels that are the names of classes; see `_labels`."""
  texts = {split: np.ravel(_text(values)) for split, values in given.items()}
  if names is None:
    known = np.unique(np.concatenate(list(texts.values())))
  else:
    known = np.ravel(_text(names))
  index = {str(name): label for label, name in enumerate(known)}
  if len(index) < len(known):
    raise errors.UsageError(
      f"{path}: class_names must differ. Received: {len(known)} names, of "
      f"which {len(index)} differ"
    )
  labels = {}
  for split, values in texts.items():
    unknown = np.flatnonzero(~np.isin(values, known))
    if len(unknown):
      raise errors.UsageError(
        f"{path}: {split}_labels must be in class_names. Received: "
        f"{str(values[unknown[0]])!r} for example {unknown[0]}"
      )
    labels[split] = np.array([index[str(v)] for v in values], np.int32)
  return labels, tuple(index)


def _text(values: np.ndarray) -> np.ndarray:
  """Names as text: bytes are UTF-8, or else Latin-1."""
  if values.dtype.kind != "S":
    return values.astype(str)
  try:
    return np.char.decode(values, "utf-8")
  except UnicodeDecodeError:
    return np.char.decode(values, "latin-1")


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The arrays of an .npz file, by name.

  Raises:
    UsageError: if the file is not one, or is damaged, encrypted or compressed
      in a way that cannot be read.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    for name, array in arrays.items():
      if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is not an array")
      if array.size > array.nbytes:
        raise ValueError(f"{name} has {array.size} elements of no size")
  # zipfile, its codecs and NumPy raise a dozen kinds, MemoryError for a header
  # with an absurd shape and NotImplementedError for a compression among them.
  except Exception as error:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    raise errors.UsageError(
      f"--dataset=npz:FILE must name a readable .npz file of plain arrays "
      f"({reason}). Received: {path}"
    ) from error
  return arrays


def _sources(
  arrays: dict[str, np.ndarray], split: str, count: int, path: pathlib.Path
) -> np.ndarray | None:
  """What the examples of a split are called, text `[n]`, if they have names.

  Raises:
    UsageError: if the names do not fit the images.
  """
  name = f"{split}_ids"
  if "train_file_names" in arrays:
    name = f"{split}_file_names"
    if name not in arrays:
      return np.full(count, "")
  names = _ids(arrays.get(name), name, path)
  if names is not None and len(names) != count:
    raise errors.UsageError(
      f"{path}: {name} must name each image. Received: {len(names)} "
      f"{name.rpartition('_')[2]}, {count} images"
    )
  return names


def _ids(
  values: np.ndarray | None, name: str, path: pathlib.Path
) -> np.ndarray | None:
  """What the examples are called, text `[n]`."""
  if values is None:
    return None
  if values.ndim != 1:
    raise errors.UsageError(
      f"{path}: {name} must be one name per example. Received: an array of "
      f"shape {list(values.shape)}"
    )
  names = _text(values)
  unique, counts = np.unique(names, return_counts=True)
  if (counts > 1).any():
    raise errors.UsageError(
      f"{path}: {name} must name each example once. Received: "
      f"{str(unique[counts > 1][0])!r} {counts.max()} times"
    )
  return names
