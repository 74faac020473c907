"""Which features of a TFDS data set are the image, the label and a name.

All of it comes from the builder; no data set is known here by name.
"""

import re

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib

# Features that may name an example, best first; only `id` orders examples.
NAMING_FEATURES = ("id", "image_id", "file_name", "filename", "image/filename")


def keys(
  builder, name: str, config: settings_lib.DataConfig
) -> tuple[str, str, list[str]]:
  """The features that are the image, the label, and a name (one or none).

  Args:
    builder: of TFDS.
    name: of the data set, as the user wrote it.
    config: its `image_key` and `label_key` override the builder.

  Raises:
    UsageError: if there is no image or label, or more than one candidate.
  """
  features = builder.info.features
  naming = [
    key
    for key in NAMING_FEATURES
    if key in features and not features[key].shape
  ][:1]
  return (
    _image_key(features, builder.info, name, config.image_key),
    _label_key(features, builder.info, name, config.label_key),
    naming,
  )


def class_names(feature, *labels: np.ndarray) -> tuple[str, ...]:
  """The names of the classes, or their numbers up to the highest label."""
  if _is_class_label(feature) and feature.num_classes:
    names = feature.names
    return tuple(names or map(str, range(feature.num_classes)))
  highest = max(int(part.max()) for part in labels if len(part))
  return tuple(str(label) for label in range(highest + 1))


def _image_key(features, info, name: str, given: str) -> str:
  """The feature that holds the image."""
  if given:
    if given not in features or not _is_image(features[given]):
      known = [key for key in features if _is_image(features[key])]
      raise errors.UsageError(
        f"--image_key must be an image of 8 or 16 bit of {name}: "
        f"{', '.join(known) or 'it has none'}. Received: --image_key={given}"
      )
    return given
  supervised = _supervised(info, 0)
  if supervised in features and _is_image(features[supervised]):
    return supervised
  found = [key for key in features if _is_image(features[key])]
  if len(found) != 1:
    raise errors.UsageError(
      f"--image_key must say which feature of {name} is the image: it has "
      f"{', '.join(found) or 'none of 8 or 16 bit'} (features: "
      f"{', '.join(features)}). Received: --image_key="
    )
  return found[0]


def _label_key(features, info, name: str, given: str) -> str:
  """The feature that holds the label."""
  if given:
    if given not in features or not _is_label(features[given]):
      known = [key for key in features if _is_label(features[key])]
      raise errors.UsageError(
        f"--label_key must be a whole-number feature of {name}: "
        f"{', '.join(known) or 'it has none'}. Received: --label_key={given}"
      )
    return given
  supervised = _supervised(info, 1)
  if supervised in features and _is_label(features[supervised]):
    return supervised
  found = [key for key in features if _is_class_label(features[key])]
  found = found or [key for key in features if _is_label(features[key])]
  if len(found) > 1 and "label" in found:
    return "label"
  if len(found) != 1:
    raise errors.UsageError(
      f"--label_key must say which feature of {name} is the label: "
      f"{', '.join(found) or 'it has no class label'} (features: "
      f"{', '.join(features)}). Received: --label_key="
    )
  return found[0]


def _supervised(info, index: int) -> str:
  """The image (0) or label (1) as the builder declares it, or \"\"."""
  keys = info.supervised_keys
  if isinstance(keys, tuple) and len(keys) > index:
    return keys[index] if isinstance(keys[index], str) else ""
  return ""


def _is_image(feature) -> bool:
  """An image, or an array of its shape and type."""
  shape = feature.shape
  return (
    isinstance(shape, tuple)
    and len(shape) == 3
    and feature.np_dtype in (np.uint8, np.uint16)
  )


def _is_class_label(feature) -> bool:
  return hasattr(feature, "int2str") and feature.shape == ()


def _is_label(feature) -> bool:
  return feature.shape == () and np.dtype(feature.np_dtype).kind in "iub"


def original_order(ids: list[str]) -> np.ndarray | None:
  """The indices of examples in the order of their ids.

  Args:
    ids: `[n]`. If all begin alike and end in a number (`train_00012`), they are
      ordered by the number, else as text.

  Returns:
    int64 `[n]`; None if there are no ids or these are not unique.
  """
  if not ids or len(set(ids)) != len(ids):
    return None
  parts = [re.fullmatch(r"(.*?)(\d+)", text) for text in ids]
  numbered = [part for part in parts if part is not None]
  beginnings = {part.group(1) for part in numbered}
  if len(numbered) == len(ids) and len(beginnings) == 1:
    return np.argsort([int(part.group(2)) for part in numbered], kind="stable")
  return np.argsort(np.array(ids), kind="stable")
