"""A user's own data: an .npz of arrays, a folder of images, a file of labels.

`npz:FILE` holds `train_images` `[N, H, W]` or `[N, H, W, channels]`,
`train_labels` `[N]`, and the same of `test_…` (or only the training arrays, with
`--test_fraction`); as well, if wanted, `class_names` `[C]` and `train_ids`,
`test_ids`, what the examples are called. Pixels are uint8 or uint16, or floats
that are either whole numbers in [0, 255] or fractions in [0, 1].

`folder:DIR` holds a folder for each split (`train`, and `test` or
`validation`), in it one for each class, in it the images.
"""

import pathlib
import zipfile

import numpy as np

from memo_tf.data.sources import load
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib

# Characters of a class's name: it stands in tables, pages and file names.
MAX_NAME = 200


def load_npz(path: pathlib.Path) -> load.ImageDataset:
  """Reads an .npz file; never unpickles.

  Raises:
    UsageError: that names the array and example that break a rule.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
    raise errors.UsageError(
      f"--dataset=npz:FILE must name a readable .npz file of plain arrays "
      f"({error}). Received: {path}"
    ) from error
  for name in ("train_images", "train_labels"):
    if name not in arrays:
      raise errors.UsageError(
        f"{path} must hold train_images and train_labels (and test_images and "
        f"test_labels). Received: {', '.join(sorted(arrays)) or 'nothing'}"
      )
  images, labels, sources = {}, {}, {}
  for split in ("train", "test"):
    found = arrays.get(f"{split}_images")
    if found is None:
      like = images["train"]
      found = np.empty((0, *like.shape[1:]), like.dtype)
    images[split] = _pixels(found, f"{split}_images", path)
    labels[split] = _labels(
      arrays.get(f"{split}_labels", np.empty(0, np.int32)),
      f"{split}_labels",
      path,
    )
    sources[split] = _ids(arrays.get(f"{split}_ids"), f"{split}_ids", path)
    if sources[split] is not None and len(sources[split]) != len(found):
      raise errors.UsageError(
        f"{path}: {split}_ids must name each image. Received: "
        f"{len(sources[split])} ids, {len(found)} images"
      )
  highest = max(
    (part.max() for part in labels.values() if len(part)), default=1
  )
  if highest > max(len(labels["train"]), 1000):
    # Before as many names are made: one label could ask for a billion.
    raise errors.UsageError(
      f"{path}: every class needs training examples. Received: label {highest} "
      f"and {len(labels['train'])} training examples"
    )
  names = arrays.get("class_names", np.arange(int(highest) + 1))
  data = load.ImageDataset(
    name=path.name,
    version="own file",
    licence="the owner's",
    citation="none given",
    class_names=tuple(str(name) for name in names),
    train_images=images["train"],
    train_labels=labels["train"],
    test_images=images["test"],
    test_labels=labels["test"],
    max_pixel=int(np.iinfo(images["train"].dtype).max),
    order="the order of the arrays in the file",
    train_sources=sources["train"],
    test_sources=sources["test"],
  )
  check_classes(data)
  return data


def load_folder(
  path: pathlib.Path, config: settings_lib.DataConfig
) -> load.ImageDataset:
  """Reads a folder of images through TensorFlow Datasets' ImageFolder.

  Raises:
    UsageError: if it has another layout.
  """
  from memo_tf.data.sources import tfds as tfds_lib

  builder = folder_builder(path)
  data = tfds_lib.read(builder, path.name, config)
  check_classes(data)
  return data


def folder_builder(path: pathlib.Path):
  """TensorFlow Datasets' ImageFolder of a folder.

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
      f"{path} must hold train/CLASS/IMAGE and test/CLASS/IMAGE (or validation/"
      "…, or only train/ with --test_fraction). Received: no folder two levels "
      "down"
    )
  for folder in sorted(classes):
    if not any(_is_image(file) for file in folder.iterdir()):
      raise errors.UsageError(
        f"every class needs images (.jpg, .jpeg, .png). Received: {folder}, "
        "which has none"
      )
  return tfds.ImageFolder(str(path))


def read_labels(path: str, count: int) -> np.ndarray:
  """int32 `[N]` labels, by id: a .npy array, or text with one a line.

  Raises:
    UsageError: if it cannot be read or has another number of them.
  """
  try:
    if path.endswith(".npy"):
      labels = np.load(path, allow_pickle=False)
    else:
      labels = np.loadtxt(path, dtype=np.float64, ndmin=1)
  except (OSError, ValueError, EOFError) as error:
    raise errors.UsageError(
      "--labels_file must be a .npy array of integers, or text with one label a "
      f"line ({error}). Received: {path}"
    ) from error
  if labels.shape != (count,):
    raise errors.UsageError(
      f"--labels_file must hold a label for each of the {count} training "
      f"examples, by id. Received: an array of shape {list(labels.shape)}"
    )
  return _labels(labels, "labels", path)


def _is_image(path: pathlib.Path) -> bool:
  return path.suffix.lower() in (".jpg", ".jpeg", ".png")


def _pixels(values: np.ndarray, name: str, path: pathlib.Path) -> np.ndarray:
  """uint8 or uint16 `[n, H, W, channels]`."""
  if values.ndim == 3:
    values = values[..., None]
  if values.ndim != 4:
    raise errors.UsageError(
      f"{path}: {name} must be [examples, height, width] or [examples, height, "
      f"width, channels]. Received: an array of shape {list(values.shape)}"
    )
  if values.dtype in (np.uint8, np.uint16):
    return values
  if values.dtype.kind not in "fiu":
    raise errors.UsageError(
      f"{path}: {name} must be numbers. Received: {values.dtype}"
    )
  finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
  if not finite.all():
    raise errors.UsageError(
      f"{path}: {name} must be finite. Received: NaN or infinity in example "
      f"{np.flatnonzero(~finite)[0]} ({(~finite).sum()} such)"
    )
  low, high = (values.min(), values.max()) if values.size else (0, 0)
  whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
  if whole and low >= 0 and 1 < high <= 255:
    return values.astype(np.uint8)
  if values.dtype.kind == "f" and low >= 0 and high <= 1:
    return np.rint(values * 255).astype(np.uint8)
  raise errors.UsageError(
    f"{path}: {name} must be uint8 or uint16, whole numbers in [0, 255], or "
    f"fractions in [0, 1]. Received: {values.dtype} from {low:g} to {high:g}"
  )


def _labels(values: np.ndarray, name: str, path) -> np.ndarray:
  if values.ndim != 1 or values.dtype.kind not in "iufb":
    raise errors.UsageError(
      f"{path}: {name} must be whole numbers, one an example. Received: "
      f"{values.dtype} of shape {list(values.shape)}"
    )
  wrong = np.flatnonzero(
    ~np.isfinite(values)
    | (values != np.rint(values))
    | (np.abs(values) > 2**30)
  )
  if len(wrong):
    raise errors.UsageError(
      f"{path}: {name} must be whole numbers. Received: {values[wrong[0]]} for "
      f"example {wrong[0]}"
    )
  return values.astype(np.int32)


def _ids(values: np.ndarray | None, name: str, path) -> np.ndarray | None:
  if values is None:
    return None
  names = values.astype(str)
  unique, counts = np.unique(names, return_counts=True)
  if (counts > 1).any():
    raise errors.UsageError(
      f"{path}: {name} must name each example once. Received: "
      f"{str(unique[counts > 1][0])!r} {counts.max()} times"
    )
  return names


def check_classes(data) -> None:
  """Every class has a training example and a name that fits on a line."""
  for name in data.class_names:
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
      raise errors.UsageError(
        f"{data.name}: a class's name must be 1 to {MAX_NAME} printable "
        f"characters. Received: {name[: 2 * MAX_NAME]!r}"
      )
  present = np.isin(np.arange(len(data.class_names)), data.train_labels)
  if not present.all():
    missing = int(np.flatnonzero(~present)[0])
    raise errors.UsageError(
      f"{data.name}: every class needs training examples. Received: none of "
      f"class {missing} ({data.class_names[missing]!r})"
    )
