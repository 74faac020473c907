"""Predictions in .npz files: one file per model size.

Their arrays are named as the arguments of `memo_tf.study_from_predictions`.
Predictions are read run by run, out of the file; all else is small.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib
import re
from typing import Any
import zipfile

import numpy as np

from memo_tf.experiment import errors
from memo_tf.running.elsewhere import given as given_lib

# What all sizes share: taken from the first file, and equal in every other
# one that has it.
SHARED = (
  "in_mask",
  "labels",
  "test_labels",
  "class_names",
  "images",
  "test_images",
  "file_names",
  "test_file_names",
)
_BY_RUN = (*given_lib.KINDS, *(f"test_{kind}" for kind in given_lib.KINDS))


class Rows:
  """An array of an .npz file, row by row.

  Attributes:
    shape: of the whole array.
  """

  def __init__(self, path: pathlib.Path, name: str):
    self._path, self._member = path, f"{name}.npy"
    with self._open() as (_, header):
      self.shape, self._is_fortran, self._dtype = header
    if self._dtype.hasobject or not self.shape:
      raise ValueError(f"{name} is no array of runs")

  def __len__(self) -> int:
    return self.shape[0]

  def __iter__(self) -> Iterator[np.ndarray]:
    """Yields the rows.

    Raises:
      UsageError: if the file is damaged.
    """
    rows = self._rows()
    while True:
      try:
        row = next(rows)
      except StopIteration:
        return
      # zipfile, zlib and NumPy raise a dozen kinds for a damaged file.
      except Exception as error:
        raise _unreadable(self._path, error) from error
      yield row

  def _rows(self) -> Iterator[np.ndarray]:
    if self._is_fortran:
      with np.load(self._path, allow_pickle=False) as file:
        yield from file[self._member.removesuffix(".npy")]
      return
    size = int(np.prod(self.shape[1:])) * self._dtype.itemsize
    with self._open() as (file, _):
      for _ in range(len(self)):
        content = file.read(size)
        if len(content) != size:
          raise ValueError(f"{self._path} ends within {self._member}")
        row = np.frombuffer(content, self._dtype)
        yield row.reshape(self.shape[1:])

  def _open(self):
    return _Member(self._path, self._member)


class _Member:
  """An open member of an archive, after its header, and that header."""

  def __init__(self, path: pathlib.Path, member: str):
    self._archive = zipfile.ZipFile(path)
    self._file = self._archive.open(member)

  def __enter__(self) -> tuple[Any, tuple]:
    version = np.lib.format.read_magic(self._file)
    read = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
      raise ValueError(f"its arrays are of version {version}")
    return self._file, read[version](self._file)

  def __exit__(self, *unused) -> None:
    self._file.close()
    self._archive.close()


def read(paths: Sequence[str]) -> dict[str, Any]:
  """What `checks.checked` takes, from one .npz file per model size.

  Args:
    paths: smallest model first; a file's name without suffix is its model's.

  Raises:
    UsageError: if a file cannot be read, has an unknown array, or contradicts
      the first one.
  """
  values: dict[str, Any] = {}
  for path in map(pathlib.Path, paths):
    model = re.sub(r"[^A-Za-z0-9_.\-]+", "_", path.stem)
    model = model if re.match("[A-Za-z]", model) else f"m{model}"
    if any(model in values.get(kind, {}) for kind in given_lib.KINDS):
      raise errors.UsageError(
        "--predictions must name files of different names, which are those of "
        f"the models. Received: {path.name} twice"
      )
    for name, array in _arrays(path).items():
      if name in (*_BY_RUN, "parameters"):
        values.setdefault(name, {})[model] = array
      elif name not in values:
        values[name] = array
      elif not np.array_equal(values[name], array):
        raise errors.UsageError(
          f"--predictions: {name} must be the same for all sizes. Received: "
          f"another one in {path}"
        )
  _check_models(values, [pathlib.Path(path).name for path in paths])
  return values


def _check_models(values: dict[str, Any], names: list[str]) -> None:
  """Refuses files that do not all have the same kind of predictions.

  Raises:
    UsageError: that names the kind.
  """
  for name in given_lib.KINDS:
    if name in values and len(values[name]) != len(names):
      raise errors.UsageError(
        f"--predictions: {name} must be in every file, {', '.join(names)}. "
        f"Received: {', '.join(values[name])}"
      )


def _arrays(path: pathlib.Path) -> dict[str, Any]:
  """The arrays of a file; those with a row per run as `Rows`.

  Raises:
    UsageError: if it cannot be read, or has an unknown array.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("it is not an .npz file")
      names = list(file.files)
      known = (*_BY_RUN, *SHARED, "parameters")
      unknown = [name for name in names if name not in known]
      if not unknown:
        return {
          name: Rows(path, name) if name in _BY_RUN else file[name]
          for name in names
        }
  # zipfile and NumPy raise a dozen kinds for a damaged file.
  except Exception as error:
    raise _unreadable(path, error) from error
  raise errors.UsageError(
    f"--predictions: arrays are named {', '.join(known)}. Received: "
    f"{unknown[0]!r} in {path}"
  )


def _unreadable(path: pathlib.Path, error: Exception) -> errors.UsageError:
  return errors.UsageError(
    "--predictions must name readable .npz files of plain arrays "
    f"({errors.brief(error) or type(error).__name__}). Received: {path}"
  )
