"""Checks what a user gives of runs that were trained elsewhere.

All but the predictions themselves, which may be large: `Given.outcomes` checks
those as it goes through them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from memo_tf.data.sources import labels as labels_lib
from memo_tf.data.sources import npz_images
from memo_tf.experiment import errors
from memo_tf.running.elsewhere import given as given_lib

_SOURCE = "predictions"


def checked(values: Mapping[str, Any]) -> given_lib.Given:
  """Checks all but the predictions themselves, which `Given.outcomes` does.

  Args:
    values: what was given, by the names of `memo_tf.study_from_predictions`;
      predictions and `parameters` by model.

  Raises:
    UsageError: that names what breaks a rule, the rule and what came.
  """
  values = {name: v for name, v in values.items() if v is not None}
  kinds = [kind for kind in given_lib.KINDS if kind in values]
  if len(kinds) != 1:
    raise errors.UsageError(
      "one of `logits`, `margin` and `correct` must be given. Received: "
      f"{' and '.join(kinds) or 'none'}"
    )
  for name in ("in_mask", "labels"):
    if name not in values:
      raise errors.UsageError(f"`{name}` must be given. Received: none")
  kind = kinds[0]
  in_mask = _in_mask(values["in_mask"])
  labels = _labels(values["labels"], "labels", in_mask.shape[1])
  tests = values.get(f"test_{kind}")
  if (tests is None) != ("test_labels" not in values):
    raise errors.UsageError(
      f"`test_{kind}` and `test_labels` go together. Received: one of them"
    )
  test_labels = _labels(values.get("test_labels", []), "test_labels")
  runs = {
    model: (train, None if tests is None else tests.get(model))
    for model, train in values[kind].items()
  }
  for name, rows in ((kind, values[kind]), (f"test_{kind}", tests or {})):
    for model, found in rows.items():
      if not hasattr(found, "__len__") or len(found) != len(in_mask):
        raise errors.UsageError(
          f"`{name}` must have a row for each of the {len(in_mask)} runs of "
          f"`in_mask`. Received: {_shown_length(found)} for {model}"
        )
  parameters = values.get("parameters", {})
  for name, found in ((f"test_{kind}", tests), ("parameters", parameters)):
    if found and set(found) != set(runs):
      raise errors.UsageError(
        f"`{name}` must have the models of `{kind}`: {', '.join(runs)}. "
        f"Received: {', '.join(found)}"
      )
  return given_lib.Given(
    kind=kind,
    runs=runs,
    in_mask=in_mask,
    labels=labels,
    test_labels=test_labels,
    class_names=_class_names(values, kind, labels, test_labels),
    images=_images(values, len(labels), len(test_labels)),
    file_names=_file_names(values, len(labels), len(test_labels)),
    parameters={m: int(parameters.get(m, 0)) for m in runs},
  )


def _shown_length(values: Any) -> str:
  return str(len(values)) if hasattr(values, "__len__") else repr(values)[:80]


def _in_mask(values: Any) -> np.ndarray:
  """bool `[M, N]` in which every example is in some runs and not in others."""
  found = np.asarray(values)
  if found.dtype != bool or found.ndim != 2 or min(found.shape) < 2:
    raise errors.UsageError(
      "`in_mask` must be bool [M, N], whether run m trained on example n, of "
      f"two runs and examples or more. Received: {found.dtype} "
      f"{list(found.shape)}"
    )
  if not found.any(axis=1).all():
    raise errors.UsageError(
      "every run must have trained on an example at least. Received: run "
      f"{found.any(axis=1).argmin()} of `in_mask` on none"
    )
  counts = found.sum(axis=0)
  for text, wrong in (
    ("no run", counts == 0),
    ("every run", counts == len(found)),
  ):
    if wrong.any():
      raise errors.UsageError(
        "every example must be in one run at least and held out of one, or it "
        f"has no score. Received: example {wrong.argmax()} in {text} "
        f"({wrong.sum()} such)"
      )
  return found


def _labels(values: Any, name: str, count: int | None = None) -> np.ndarray:
  """int32 `[n]`, 0 or more."""
  found = np.asarray(values)
  if not found.size:
    found = found.astype(np.int32)
  found = labels_lib.whole_numbers(found, name, _SOURCE)
  if count is not None and len(found) != count:
    raise errors.UsageError(
      f"`{name}` must be one per example of `in_mask`, {count}. Received: "
      f"{len(found)}"
    )
  return found


def _class_names(
  values: Mapping[str, Any],
  kind: str,
  labels: np.ndarray,
  test_labels: np.ndarray,
) -> tuple[str, ...]:
  """Names of the C classes, and `given.ANOTHER` where a prediction may be that.

  Raises:
    UsageError: if labels are not in [0, C), or there are other than C names.
  """
  both = np.concatenate([labels, test_labels])
  num_classes = int(both.max()) + 1
  given = values.get("class_names")
  names = () if given is None else tuple(str(name) for name in given)
  if kind == "logits":
    num_classes = _width(next(iter(values[kind].values())))
  elif names:
    num_classes = len(names)
  names = names or tuple(map(str, range(num_classes)))
  if len(names) != num_classes or len(names) < 2:
    raise errors.UsageError(
      f"`class_names` must name each of the {num_classes} classes, two or "
      f"more. Received: {len(names)} names"
    )
  wrong = np.flatnonzero((both < 0) | (both >= num_classes))
  if len(wrong):
    index = int(wrong[0])
    split = "training" if index < len(labels) else "test"
    index -= 0 if split == "training" else len(labels)
    raise errors.UsageError(
      f"labels must be in [0, {num_classes}), the number of classes. Received: "
      f"{both[wrong[0]]} for {split} example {index} ({len(wrong)} such)"
    )
  return (
    names
    if kind == "logits" or len(names) == 2
    else (*names, given_lib.ANOTHER)
  )


def _width(logits: Any) -> int:
  """C, the last part of the shape of logits."""
  shape = tuple(getattr(logits, "shape", None) or np.shape(logits))
  if len(shape) != 3:
    raise errors.UsageError(
      f"`logits` must be [M, N, C]. Received: {list(shape)}"
    )
  return int(shape[2])


def _images(
  values: Mapping[str, Any], num_train: int, num_test: int
) -> np.ndarray | None:
  """uint8 or uint16 `[N + T, H, W, channels]`; None if there are none.

  Raises:
    UsageError: if they are no images, or not one for each example.
  """
  parts = [
    (name, np.asarray(values[name]), count)
    for name, count in (("images", num_train), ("test_images", num_test))
    if name in values
  ]
  if not parts:
    return None
  if len(parts) < 1 + (num_test > 0) or parts[0][0] != "images":
    raise errors.UsageError(
      "`images` and `test_images` must both be given, or neither, where there "
      f"are test examples. Received: {parts[0][0]} alone"
    )
  for name, found, count in parts:
    last = found.shape[-1] if found.ndim == 4 else 1
    is_image = found.ndim in (3, 4) and last in (1, 3, 4)
    if not is_image or len(found) != count:
      raise errors.UsageError(
        f"`{name}` must be [{count}, height, width] or [{count}, height, "
        "width, channels] with 1, 3 or 4 channels (of PyTorch's, "
        f"np.moveaxis(images, 1, -1)). Received: {list(found.shape)}"
      )
  images = [x if x.ndim == 4 else x[..., None] for _, x, _ in parts]
  if len({x.shape[1:] for x in images}) > 1:
    raise errors.UsageError(
      "`images` and `test_images` must be of one shape. Received: "
      + " and ".join(str(list(x.shape[1:])) for x in images)
    )
  splits = {
    "train": images[0],
    "test": images[-1] if num_test else images[0][:0],
  }
  names = {"train": "images", "test": "test_images"}
  splits = npz_images.on_one_scale(splits, names, _SOURCE)
  return np.concatenate([splits["train"], splits["test"]])


def _file_names(
  values: Mapping[str, Any], num_train: int, num_test: int
) -> np.ndarray | None:
  """Text `[N + T]`: names of the examples' files, "" of those without."""
  if "file_names" not in values and "test_file_names" not in values:
    return None
  found = []
  for name, count in (("file_names", num_train), ("test_file_names", num_test)):
    names = np.asarray(values.get(name, [""] * count)).astype(str)
    if names.shape != (count,):
      raise errors.UsageError(
        f"`{name}` must name each of {count} examples. Received: an array of "
        f"shape {list(names.shape)}"
      )
    found.append(names)
  return np.concatenate(found)
