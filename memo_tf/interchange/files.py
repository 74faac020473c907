"""Reads, checks and writes .npz and .npy files of other programs."""

from collections.abc import Iterable
import os
import pathlib
from typing import IO
import zipfile

import numpy as np


class InterchangeError(ValueError):
  """A file is malformed or in another order; one line that names it."""


def load_npz(
  path: str | os.PathLike | IO[bytes], keys: Iterable[str]
) -> dict[str, np.ndarray]:
  """Arrays of an .npz file, which must hold `keys`.

  Raises:
    InterchangeError: if it is no .npz file, lacks a key or has pickled objects.
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
  """Array of an .npy file.

  Raises:
    InterchangeError: if it is no .npy file or has pickled objects.
  """
  try:
    content = np.load(path, allow_pickle=False)
  except (OSError, ValueError, EOFError) as error:
    raise InterchangeError(_reason(path, error)) from error
  except zipfile.BadZipFile as error:
    raise InterchangeError(f"{path} is not an .npy file.") from error
  if not isinstance(content, np.ndarray):
    raise InterchangeError(f"{path} is not an .npy file.")
  return content


def _reason(path, error: Exception) -> str:
  if isinstance(error, FileNotFoundError):
    return f"{path} does not exist."
  text = str(error).splitlines()[0] if str(error) else type(error).__name__
  if text.startswith("This file contains pickled"):  # said of any other file
    return f"{path} cannot be read as NumPy arrays."
  if "pickle" in text.lower():
    return f"{path} holds pickled objects, which are never loaded."
  return f"{path} cannot be read: {text}"


def check_length(path: str | os.PathLike, **arrays: np.ndarray) -> None:
  """Raises `InterchangeError` unless all arrays are 1-D and of equal length."""
  shapes = {name: array.shape for name, array in arrays.items()}
  if len(set(shapes.values())) > 1 or any(len(s) != 1 for s in shapes.values()):
    raise InterchangeError(
      f"{path} must hold 1-D arrays of equal length. Received: {shapes}"
    )


def check_labels(
  path: str | os.PathLike, found: np.ndarray, wanted: np.ndarray | None
) -> None:
  """Raises `InterchangeError` if labels differ from those wanted, if any."""
  if wanted is None:
    return
  wanted = np.asarray(wanted)
  if found.shape != wanted.shape:
    raise InterchangeError(
      f"{path} has {len(found)} examples, but the labels given have the shape "
      f"{wanted.shape}."
    )
  different = np.flatnonzero(found != wanted)
  if len(different):
    order = np.array_equal(np.sort(found), np.sort(wanted))
    what = "in another order" if order else "with other labels"
    raise InterchangeError(
      f"{path} is {what}: {len(different)} labels differ, the first of example "
      f"{different[0]}."
    )


def check_ids(
  path: str | os.PathLike, name: str, ids: np.ndarray, length: int | None
) -> None:
  """Raises `InterchangeError` unless ids are integers in [0, length)."""
  if ids.dtype.kind not in "iu":
    raise InterchangeError(
      f"{path}: {name} must be integers. Received: {ids.dtype}"
    )
  if len(ids) and (
    ids.min() < 0 or (length is not None and ids.max() >= length)
  ):
    raise InterchangeError(
      f"{path}: {name} must be in [0, {length}). Received: from {ids.min()} to "
      f"{ids.max()}"
    )


def write_npz(path: str | os.PathLike, **arrays: np.ndarray) -> None:
  """Writes an .npz file atomically, under another name and then renamed."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  for name, array in arrays.items():
    if np.asarray(array).dtype.hasobject:
      raise InterchangeError(f"{name} holds objects, which are never pickled.")
  private = path.with_name(f".{path.name}~{os.getpid()}")
  with open(private, "wb") as file:
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
  os.replace(private, path)
