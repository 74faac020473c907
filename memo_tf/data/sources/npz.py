"""A user's own arrays: `npz:FILE`.

The file holds `train_images` `[N, H, W]` or `[N, H, W, channels]`,
`train_labels` `[N]`, and likewise `test_images` and `test_labels` (or only the
training arrays, with `--test_fraction`). Optional are `class_names` `[C]`, and
`train_ids` and `test_ids`, what the examples are called. Pixels are uint8 or
uint16, or floats that are either whole numbers in [0, 255] or fractions in
[0, 1].
"""

import pathlib
import zipfile

import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.data.sources import labels as labels_lib
from memo_tf.experiment import errors


def load(path: pathlib.Path) -> image_source.ImageDataset:
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
  images: dict[str, np.ndarray] = {}
  labels: dict[str, np.ndarray] = {}
  sources: dict[str, np.ndarray | None] = {}
  for split in ("train", "test"):
    found = arrays.get(f"{split}_images")
    if found is None:
      like = images["train"]
      found = np.empty((0, *like.shape[1:]), like.dtype)
    images[split] = _pixels(found, f"{split}_images", path)
    labels[split] = labels_lib.whole_numbers(
      arrays.get(f"{split}_labels", np.empty(0, np.int32)),
      f"{split}_labels",
      path,
    )
    names = _ids(arrays.get(f"{split}_ids"), f"{split}_ids", path)
    if names is not None and len(names) != len(found):
      raise errors.UsageError(
        f"{path}: {split}_ids must name each image. Received: {len(names)} "
        f"ids, {len(found)} images"
      )
    sources[split] = names
  highest = max(
    (part.max() for part in labels.values() if len(part)), default=1
  )
  if highest > max(len(labels["train"]), 1000):
    # Or one label could make a billion class names.
    raise errors.UsageError(
      f"{path}: every class needs training examples. Received: label {highest} "
      f"and {len(labels['train'])} training examples"
    )
  class_names = arrays.get("class_names", np.arange(int(highest) + 1))
  data = image_source.ImageDataset(
    name=path.name,
    version="own file",
    licence="the owner's",
    citation="none given",
    class_names=tuple(str(name) for name in class_names),
    train_images=images["train"],
    train_labels=labels["train"],
    test_images=images["test"],
    test_labels=labels["test"],
    max_pixel=int(np.iinfo(images["train"].dtype).max),
    order="the order of the arrays in the file",
    train_sources=sources["train"],
    test_sources=sources["test"],
  )
  data.check_classes()
  return data


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


def _ids(
  values: np.ndarray | None, name: str, path: pathlib.Path
) -> np.ndarray | None:
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
