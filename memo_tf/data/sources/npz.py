"""A user's own arrays: `npz:FILE`.

The file holds `train_images` `[N, H, W]` or `[N, H, W, channels]`,
`train_labels` `[N]`, and likewise `test_images` and `test_labels` (or only the
training arrays, with `--test_fraction`). Optional are `class_names` `[C]`, and
`train_ids` and `test_ids`, what the examples are called. Pixels are uint8 or
uint16, or floats that are either whole numbers in [0, 255] or fractions in
[0, 1]; both splits have one dtype and one scale.
"""

import pathlib

import numpy as np

from memo_tf.data.sources import image_source
from memo_tf.data.sources import labels as labels_lib
from memo_tf.experiment import errors


def load(path: pathlib.Path) -> image_source.ImageDataset:
  """Reads an .npz file; never unpickles.

  Raises:
    UsageError: that names the array and example that break a rule.
  """
  arrays = _arrays(path)
  for name in ("train_images", "train_labels"):
    if name not in arrays:
      raise errors.UsageError(
        f"{path} must hold train_images and train_labels (and test_images and "
        f"test_labels). Received: {', '.join(sorted(arrays)) or 'nothing'}"
      )
  images = _images(arrays, path)
  labels: dict[str, np.ndarray] = {}
  sources: dict[str, np.ndarray | None] = {}
  for split, found in images.items():
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
  class_names = np.ravel(arrays.get("class_names", np.arange(int(highest) + 1)))
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


def _images(
  arrays: dict[str, np.ndarray], path: pathlib.Path
) -> dict[str, np.ndarray]:
  """By split, uint8 or uint16 `[n, H, W, channels]`, of one scale.

  The scale is decided once, from both splits: decided for each on its own, the
  same picture could get other pixels in the test set.

  Raises:
    UsageError: if a split is not of images, or the two contradict each other.
  """
  found = {
    split: _image_array(arrays[f"{split}_images"], f"{split}_images", path)
    for split in ("train", "test")
    if f"{split}_images" in arrays
  }
  if "test" in found and found["test"].dtype != found["train"].dtype:
    raise errors.UsageError(
      f"{path}: train_images and test_images must have one dtype. Received: "
      f"{found['train'].dtype} and {found['test'].dtype}"
    )
  found.setdefault("test", found["train"][:0])
  ranges = {s: (x.min(), x.max()) for s, x in found.items() if x.size}
  if len({_bracket(high) for _, high in ranges.values() if high > 0}) > 1:
    shown = ", ".join(f"{s} in [{a:g}, {b:g}]" for s, (a, b) in ranges.items())
    raise errors.UsageError(
      f"{path}: train_images and test_images must have pixels of one scale. "
      f"Received: {shown}"
    )
  dtype = found["train"].dtype
  if dtype in (np.uint8, np.uint16):
    return found
  low = min((low for low, _ in ranges.values()), default=0)
  high = max((high for _, high in ranges.values()), default=0)
  is_whole = dtype.kind in "iu" or all(
    bool((x == np.rint(x)).all()) for x in found.values()
  )
  if is_whole and low >= 0 and 1 < high <= 255:
    return {split: x.astype(np.uint8) for split, x in found.items()}
  if dtype.kind == "f" and low >= 0 and high <= 1:
    return {s: np.rint(x * 255).astype(np.uint8) for s, x in found.items()}
  raise errors.UsageError(
    f"{path}: pixels must be uint8 or uint16, whole numbers in [0, 255], or "
    f"fractions in [0, 1]. Received: {dtype} from {low:g} to {high:g}"
  )


def _bracket(highest: float) -> int:
  """Which of the usual scales a highest pixel is of: 1, 255, or above."""
  return 0 if highest <= 1 else 1 if highest <= 255 else 2


def _image_array(
  values: np.ndarray, name: str, path: pathlib.Path
) -> np.ndarray:
  """`[n, H, W, channels]` of finite numbers.

  Raises:
    UsageError: for anything else.
  """
  if values.ndim == 3:
    values = values[..., None]
  if values.ndim != 4:
    raise errors.UsageError(
      f"{path}: {name} must be [examples, height, width] or [examples, height, "
      f"width, channels]. Received: an array of shape {list(values.shape)}"
    )
  if 0 in values.shape[1:]:
    raise errors.UsageError(
      f"{path}: {name} must have pixels. Received: images of "
      f"{'x'.join(map(str, values.shape[1:]))}"
    )
  if values.dtype.kind not in "fiu":
    raise errors.UsageError(
      f"{path}: {name} must be numbers. Received: {values.dtype}"
    )
  finite = np.isfinite(values).all(axis=(1, 2, 3))
  if not finite.all():
    raise errors.UsageError(
      f"{path}: {name} must be finite. Received: NaN or infinity in example "
      f"{np.flatnonzero(~finite)[0]} ({(~finite).sum()} such)"
    )
  return values


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
  names = values.astype(str)
  unique, counts = np.unique(names, return_counts=True)
  if (counts > 1).any():
    raise errors.UsageError(
      f"{path}: {name} must name each example once. Received: "
      f"{str(unique[counts > 1][0])!r} {counts.max()} times"
    )
  return names
