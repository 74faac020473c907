"""Data that a Python program holds, kept as the arrays of an .npz file.

    (x, y)                                  arrays: all for training
    (x_train, y_train), (x_test, y_test)    as Keras's `load_data` gives them
    dataset, or (train, test)               tf.data.Dataset of (image, label)
    Dataset, DatasetDict                    of Hugging Face, by their features

Workers are processes of their own, so the arrays go to a file of the study,
which the reader of .npz files then checks. The file's bytes depend on the
arrays alone, so that the study knows its data again by their content. Imports
neither TensorFlow nor `datasets`: their objects are known by what they offer.
"""

from collections.abc import Mapping
import pathlib
from typing import Any
import zipfile

import numpy as np

from memo_tf.data.sources import npz_images
from memo_tf.experiment import errors
from memo_tf.store import files

_FORMS = (
  "`data` must be (x, y), ((x_train, y_train), (x_test, y_test)), a "
  "tf.data.Dataset or a pair of them, a Hugging Face Dataset or DatasetDict, "
  "or a name as --dataset takes it"
)


def arrays_of(
  data: Any, *, image_key: str = "", label_key: str = ""
) -> dict[str, np.ndarray]:
  """The arrays of some data, under the names that .npz files have for them.

  Args:
    data: in one of the forms above.
    image_key, label_key: names of image and label, where examples have named
      parts; by default what the features say, or `image` and `label`.

  Returns:
    `train_images` and `train_labels`; where given also `test_images`,
    `test_labels` and `class_names`.

  Raises:
    UsageError: if the data have none of the forms.
  """
  if _is_hugging_face(data):
    return _hugging_face(data, image_key, label_key)
  if _is_tf_data(data):
    return _named("train", *_tf_data(data, image_key, label_key))
  if not isinstance(data, (tuple, list)) or len(data) != 2:
    raise errors.UsageError(f"{_FORMS}. Received: {_described(data)}")
  first, second = data
  if _is_tf_data(first) and _is_tf_data(second):
    first, second = (_tf_data(d, image_key, label_key) for d in data)
  if _is_pair(first) and _is_pair(second):
    return _named("train", *first) | _named("test", *second)
  return _named("train", first, second)


def keep(
  path: pathlib.Path, arrays: Mapping[str, np.ndarray], *, may_replace: bool
) -> None:
  """Writes arrays as an .npz file, unless it holds exactly these.

  Args:
    path: of the file.
    arrays: by name.
    may_replace: whether a file of other arrays is replaced: nothing was made
      from it yet.

  Raises:
    UsageError: if it must not be.
    OSError: if it cannot be written.
  """
  if path.exists():
    if _holds(path, arrays):
      return
    if not may_replace:
      raise errors.UsageError(
        "`data` must be what the study was made from: other arrays are in "
        f"{path}. Give those, or another directory"
      )
  path.parent.mkdir(parents=True, exist_ok=True)
  private = files.private_name(path)
  try:
    with zipfile.ZipFile(private, "w", allowZip64=True) as archive:
      for name, array in arrays.items():
        # Without a time of its own, unlike np.savez.
        member = zipfile.ZipInfo(f"{name}.npy")
        with archive.open(member, "w", force_zip64=True) as file:
          np.lib.format.write_array(file, array, allow_pickle=False)
    private.replace(path)
  finally:
    private.unlink(missing_ok=True)


def _holds(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> bool:
  """Whether a file has exactly these arrays."""
  try:
    with np.load(path, allow_pickle=False) as file:
      return set(file.files) == set(arrays) and all(
        _is_same(file[name], array) for name, array in arrays.items()
      )
  except (OSError, ValueError, zipfile.BadZipFile, EOFError):
    return False  # cut off, or something else


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
  is_float = one.dtype.kind == "f" and other.dtype.kind == "f"
  return one.dtype == other.dtype and np.array_equal(
    one, other, equal_nan=is_float
  )


def _named(split: str, images: Any, labels: Any) -> dict[str, np.ndarray]:
  """The arrays of a split; the reader of .npz files checks what they hold."""
  found = {}
  for part, values in (("images", images), ("labels", labels)):
    try:
      array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
      raise errors.UsageError(
        f"{_FORMS}. Received: {split} {part} that are no array "
        f"({errors.brief(error)})"
      ) from error
    if array.dtype.hasobject:
      raise errors.UsageError(
        f"{_FORMS}. Received: {split} {part} of Python objects, not of numbers "
        "or text; images must be of one size"
      )
    found[f"{split}_{part}"] = array
  return found


def _is_pair(value: Any) -> bool:
  """Whether it is (images, labels)."""
  if not isinstance(value, (tuple, list)) or len(value) != 2:
    return False
  try:
    return np.ndim(value[0]) >= 3 and np.ndim(value[1]) >= 1
  except ValueError:  # nested lists of different lengths
    return False


def _described(data: Any) -> str:
  kind = type(data)
  return f"{kind.__module__}.{kind.__qualname__}"


def _is_tf_data(data: Any) -> bool:
  return hasattr(data, "as_numpy_iterator") and hasattr(data, "element_spec")


def _tf_data(
  data: Any, image_key: str, label_key: str
) -> tuple[np.ndarray, np.ndarray]:
  """Images and labels of a tf.data.Dataset, batched or not."""
  spec = data.element_spec
  if isinstance(spec, dict):
    keys: tuple = (image_key or "image", label_key or "label")
    missing = [key for key in keys if key not in spec]
    if missing:
      raise errors.UsageError(
        "examples of `data` must have the parts image and label, or those of "
        f"image_key and label_key. Received: {', '.join(map(str, spec))}"
      )
  elif isinstance(spec, tuple) and len(spec) == 2:
    keys = (0, 1)
  else:
    raise errors.UsageError(
      f"elements of `data` must be (image, label). Received: {spec}"
    )
  if int(data.cardinality()) == -1:
    raise errors.UsageError(
      "`data` must end. Received: a tf.data.Dataset that repeats for ever"
    )
  images, labels = [], []
  for element in data.as_numpy_iterator():
    image, label = (np.asarray(element[key]) for key in keys)
    # An image tells one example from a batch; a label may be one-hot or `[1]`.
    is_image = image.ndim < 3 or (
      image.ndim == 3 and image.shape[2] in npz_images.CHANNELS
    )
    if is_image or not label.ndim:
      image, label = image[None], label[None]
    images.append(image)
    labels.append(label)
  if not images:
    raise errors.UsageError("`data` must have examples. Received: none")
  try:
    return np.concatenate(images), np.concatenate(labels)
  except ValueError as error:
    raise errors.UsageError(
      f"images of `data` must be of one size ({errors.brief(error)})"
    ) from error


def _is_hugging_face(data: Any) -> bool:
  return type(data).__module__.partition(".")[0] == "datasets"


def _hugging_face(
  data: Any, image_key: str, label_key: str
) -> dict[str, np.ndarray]:
  """The arrays of a Dataset, or of the splits of a DatasetDict."""
  splits = dict(data) if isinstance(data, dict) else {"train": data}
  tests = [name for name in ("test", "validation") if name in splits]
  if "train" not in splits or not hasattr(splits["train"], "__len__"):
    raise errors.UsageError(
      "a Hugging Face data set must have a split train, in memory or on disk. "
      f"Received: {', '.join(splits)} of {_described(data)}"
    )
  features = splits["train"].features
  image_key = _feature(features, "Image", "image_key", image_key)
  label_key = _feature(features, "ClassLabel", "label_key", label_key)
  found: dict[str, np.ndarray] = {}
  for split, name in [("train", "train"), *(("test", t) for t in tests[:1])]:
    rows = splits[name]
    found |= _named(
      split, _pictures(rows[image_key], name), np.asarray(rows[label_key])
    )
  names = getattr(features[label_key], "names", None)
  return found | ({"class_names": np.array(names)} if names else {})


def _feature(
  features: Mapping[str, Any], kind: str, setting: str, given: str
) -> str:
  """The feature of the given name, or the only one of a kind."""
  found = [n for n, f in features.items() if type(f).__name__ == kind]
  if given in features:
    return given
  if given or len(found) != 1:
    raise errors.UsageError(
      f"a Hugging Face data set must have one {kind} feature, or {setting} "
      "must name the one to use. Received: "
      f"{given or ', '.join(found) or 'none'} among {', '.join(features)}"
    )
  return found[0]


def _pictures(images: Any, split: str) -> np.ndarray:
  """uint8 or uint16 `[n, H, W]` or `[n, H, W, 3]` of Pillow's images.

  Raises:
    UsageError: that names the first image of another kind or size.
  """
  found = []
  for index, image in enumerate(images):
    mode = getattr(image, "mode", type(image).__name__)
    if not hasattr(image, "mode") or mode in ("I", "F"):  # RGB would clip these
      raise errors.UsageError(
        "images of `data` must be Pillow images of 8 or 16 bits per channel. "
        f"Received: {mode} for {split} example {index}"
      )
    if image.mode == "1":
      image = image.convert("L")
    elif image.mode != "L" and not image.mode.startswith("I;16"):
      image = image.convert("RGB")
    found.append(image)
  if not found:
    raise errors.UsageError(
      f"`data` must have examples. Received: none in split {split}"
    )
  modes = sorted({image.mode for image in found})
  if len(modes) > 1:
    if any(mode.startswith("I;16") for mode in modes):
      raise errors.UsageError(
        "images of `data` must have one depth, 8 or 16 bits. Received: modes "
        f"{', '.join(modes)} in split {split}"
      )
    # Some are grey, some in colour.
    found = [image.convert("RGB") for image in found]
  for index, image in enumerate(found):
    if image.size != found[0].size:
      raise errors.UsageError(
        "images of `data` must be of one size: resize them with `map` first. "
        f"Received: {image.size[0]}x{image.size[1]} for {split} example "
        f"{index}, {found[0].size[0]}x{found[0].size[1]} for example 0"
      )
  return np.stack([np.asarray(image) for image in found])
