"""Images of a user's arrays: their axes, and the scale of their pixels."""

import pathlib

import numpy as np

from memo_tf.experiment import errors

SPLITS = ("train", "test")
# The numbers of channels that images may have.
CHANNELS = (1, 3, 4)
# Pixels are fractions in [-1, 1] only if they go beyond this on both sides:
# smaller ones probably have another scale, and would lose detail in 8 bits.
_HALF = 0.5


def images(
  arrays: dict[str, np.ndarray], path: pathlib.Path, channels_first: bool
) -> dict[str, np.ndarray]:
  """The images of both splits, on one scale.

  Args:
    arrays: by name; those used are `train_images` and, if given, `test_images`,
      each `[n, H, W]` or `[n, H, W, channels]`.
    path: of their file, for messages.
    channels_first: images are `[n, channels, H, W]`.

  Returns:
    uint8 or uint16 `[n, H, W, channels]` by split; without test images `test`
    has none.

  Raises:
    UsageError: if a split is not of images, or the two contradict each other.
  """
  found = {
    split: _image_array(
      arrays[f"{split}_images"], f"{split}_images", path, channels_first
    )
    for split in SPLITS
    if f"{split}_images" in arrays
  }
  found.setdefault("test", found["train"][:0])
  names = {split: f"{split}_images" for split in SPLITS}
  return on_one_scale(found, names, str(path))


def on_one_scale(
  found: dict[str, np.ndarray], names: dict[str, str], where: str
) -> dict[str, np.ndarray]:
  """Images of both splits as uint8 or uint16.

  The scale is decided once, from both splits: decided for each on its own, the
  same picture could get other pixels in the test set.

  Args:
    found: `[n, H, W, channels]` by split, `train` and `test`.
    names: what the user calls each split, for messages.
    where: the images are from, for messages.

  Raises:
    UsageError: if they are no finite numbers, or on no scale that is known, or
      the two splits contradict each other.
  """
  for split, values in found.items():
    _check_numbers(values, names[split], where)
  both = " and ".join(names[split] for split in SPLITS)
  if found["test"].dtype != found["train"].dtype:
    raise errors.UsageError(
      f"{where}: {both} must have one dtype. Received: "
      f"{found['train'].dtype} and {found['test'].dtype}"
    )
  ranges = {s: (x.min(), x.max()) for s, x in found.items() if x.size}
  scales = {_bracket(low, high) for low, high in ranges.values() if high > 0}
  if len(scales) > 1:
    shown = ", ".join(f"{s} in [{a:g}, {b:g}]" for s, (a, b) in ranges.items())
    raise errors.UsageError(
      f"{where}: {both} must have pixels of one scale. Received: {shown}"
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
  if dtype.kind == "f" and -1 <= low < -_HALF and _HALF < high <= 1:
    return {
      s: np.rint((x + 1) * 127.5).astype(np.uint8) for s, x in found.items()
    }
  raise errors.UsageError(
    f"{where}: pixels must be uint8 or uint16, whole numbers in [0, 255] with "
    f"some above 1, fractions in [0, 1], or fractions with some below {-_HALF} "
    f"and some above {_HALF} in [-1, 1]. Received: {dtype} from {low:g} to "
    f"{high:g}"
  )


def _bracket(lowest: float, highest: float) -> int:
  """The scale of pixels, as a number: below 0, up to 1, up to 255, or above."""
  if lowest < 0:
    return -1
  return 0 if highest <= 1 else 1 if highest <= 255 else 2


def _image_array(
  values: np.ndarray, name: str, path: pathlib.Path, channels_first: bool
) -> np.ndarray:
  """`[n, H, W, channels]`.

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
  if channels_first:
    values = _channels_last(values, name, path)
  elif values.shape[3] not in CHANNELS and values.shape[1] in CHANNELS:
    raise errors.UsageError(
      f"{path}: {name} must be [examples, height, width, channels]; for "
      "[examples, channels, height, width] add --channels_first. Received: an "
      f"array of shape {list(values.shape)}"
    )
  if 0 in values.shape[1:]:
    raise errors.UsageError(
      f"{path}: {name} must have pixels. Received: images of "
      f"{'x'.join(map(str, values.shape[1:]))}"
    )
  return values


def _channels_last(
  values: np.ndarray, name: str, path: pathlib.Path
) -> np.ndarray:
  """`[n, channels, H, W]` as `[n, H, W, channels]`.

  Raises:
    UsageError: if the channels are not 1, 3 or 4.
  """
  if values.shape[1] not in CHANNELS:
    raise errors.UsageError(
      f"--channels_first: {name} of {path} must be [examples, channels, "
      "height, width] with 1, 3 or 4 channels. Received: an array of shape "
      f"{list(values.shape)}"
    )
  return np.ascontiguousarray(np.moveaxis(values, 1, 3))


def _check_numbers(values: np.ndarray, name: str, where: str) -> None:
  if values.dtype.kind not in "fiu":
    raise errors.UsageError(
      f"{where}: {name} must be numbers. Received: {values.dtype}"
    )
  finite = np.isfinite(values).all(axis=(1, 2, 3))
  if not finite.all():
    raise errors.UsageError(
      f"{where}: {name} must be finite. Received: NaN or infinity in example "
      f"{np.flatnonzero(~finite)[0]} ({(~finite).sum()} such)"
    )
