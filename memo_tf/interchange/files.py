"""Opening .npz and .npy files that others wrote, and checking their order."""

from collections.abc import Iterable
import os
import pathlib
import zipfile

import numpy as np


class InterchangeError(ValueError):
  """A file is not what it should be; one line that names it."""


def load_npz(path: str | os.PathLike, keys: Iterable[str]) -> dict:
  """The arrays of an .npz file, which must hold `keys`; no pickled objects.

  Raises:
    InterchangeError: if it is no such file, lacks a key or has an object array.
  """
  try:
    with np.load(path, allow_pickle=False) as content:
      missing = [key for key in keys if key not in content.files]
      if missing:
        raise InterchangeError(
          f"{path} lacks {', '.join(missing)}. It has: "
          f"{', '.join(content.files[:8])}"
        )
      return {name: content[name] for name in content.files}
  except InterchangeError:
    raise
  except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
    raise InterchangeError(_reason(path, error)) from error
  except zipfile.BadZipFile as error:
    raise InterchangeError(f"{path} is not an .npz file.") from error


def load_npy(path: str | os.PathLike) -> np.ndarray:
  """The array of an .npy file.

  Raises:
    InterchangeError: if it is no such file or holds pickled objects.
  """
  try:
    content = np.load(path, allow_pickle=False)
  except (OSError, ValueError, EOFError) as error:
    raise InterchangeError(_reason(path, error)) from error
  if not isinstance(content, np.ndarray):
    raise InterchangeError(f"{path} is not an .npy file.")
  return content


def _reason(path, error: Exception) -> str:
  if isinstance(error, FileNotFoundError):
    return f"{path} does not exist."
  text = str(error).splitlines()[0] if str(error) else type(error).__name__
  if "pickle" in text.lower():
    return f"{path} holds pickled objects, which are never loaded."
  return f"{path} cannot be read: {text}"


def check_length(path, **arrays: np.ndarray) -> None:
  """Refuses arrays that are not all 1-D and of one length."""
  shapes = {name: array.shape for name, array in arrays.items()}
  if len(set(shapes.values())) > 1 or any(len(s) != 1 for s in shapes.values()):
    raise InterchangeError(
      f"{path} must hold 1-D arrays of one length. Received: {shapes}"
    )


def check_labels(path, found: np.ndarray, wanted) -> None:
  """Refuses labels that are not `wanted`; None wants nothing."""
  if wanted is None:
    return
  wanted = np.asarray(wanted)
  if found.shape != wanted.shape:
    raise InterchangeError(
      f"{path} is of {len(found)} examples; the labels given are "
      f"{wanted.shape}."
    )
  different = np.flatnonzero(found != wanted)
  if len(different):
    order = np.array_equal(np.sort(found), np.sort(wanted))
    what = "in another order" if order else "with other labels"
    raise InterchangeError(
      f"{path} is {what}: {len(different)} labels differ, first of example "
      f"{different[0]}."
    )


def check_ids(path, name: str, ids: np.ndarray, length: int | None) -> None:
  """Refuses ids that are not whole numbers in [0, length)."""
  if ids.dtype.kind not in "iu":
    raise InterchangeError(
      f"{path}: {name} must be whole numbers. Received: {ids.dtype}"
    )
  if len(ids) and (
    ids.min() < 0 or (length is not None and ids.max() >= length)
  ):
    raise InterchangeError(
      f"{path}: {name} must be in [0, {length}). Received: from {ids.min()} to "
      f"{ids.max()}"
    )


def write_npz(path: str | os.PathLike, **arrays: np.ndarray) -> None:
  """Writes an .npz file whole: under another name first, then renamed."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  for name, array in arrays.items():
    if np.asarray(array).dtype.hasobject:
      raise InterchangeError(f"{name} holds objects, which are never pickled.")
  private = path.with_name(f".{path.name}~{os.getpid()}")
  with open(private, "wb") as file:
    np.savez_compressed(file, **arrays)
  os.replace(private, path)
