"""What the shards of a materialized subset say of themselves (`info.json`).

Shards outlive the data set that they were cut from: each folder names the
digest of its data set and of its subset, and those of its files.
"""

import pathlib

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import files
from memo_tf.store import record_rules
from memo_tf.store import sealed

NAME = "info.json"


def write(
  folder: pathlib.Path, dataset_digest: str, in_mask: np.ndarray
) -> None:
  """Writes the info.json of a folder that has all its shards.

  Args:
    folder: of the shards.
    dataset_digest: of the data set that they were cut from.
    in_mask: bool `[N]`, the subset.

  Raises:
    OSError: if it cannot be written.
  """
  content = {
    "format_version": config_lib.FORMAT_VERSION,
    **_origin(dataset_digest, in_mask),
    "files": {
      path.name: files.file_entry(path) for path in sorted(folder.iterdir())
    },
  }
  files.write_atomic(folder / NAME, sealed.dumps(content))


def problem(
  folder: pathlib.Path,
  dataset_digest: str | None,
  in_mask: np.ndarray | None,
  *,
  check_digests: bool = True,
) -> str | None:
  """What is wrong with the shards of a subset, in words; None if nothing is.

  Args:
    folder: of the shards.
    dataset_digest: of the study's data set; None: not compared.
    in_mask: bool `[N]`, the subset; None: not compared.
    check_digests: read every shard. Otherwise only those whose time of change
      is not the recorded one.
  """
  try:
    info = sealed.loads((folder / NAME).read_bytes())
    version = record_rules.format_version(info)
    if version > config_lib.FORMAT_VERSION:
      return f"{NAME} was written by a newer memo_tf ({version})"
    entries = info["files"]
    record_rules.check_entries(entries)
    for name, value in _origin(dataset_digest, in_mask).items():
      if value is not None and info[name] != value:
        return f"its {name} is {info[name]!r} instead of {value!r}"
    there = {path.name for path in folder.iterdir()} - {NAME}
    if there != set(entries):
      return f"it must hold {sorted(entries)}. Received: {sorted(there)}"
    for name, entry in entries.items():
      if found := files.difference(folder / name, entry, check_digests):
        return f"{name} {found}"
  except FileNotFoundError as error:
    return f"{pathlib.Path(error.filename).name} is missing"
  except OSError as error:
    return f"it cannot be read ({error.strerror})"
  except (ValueError, KeyError, TypeError, RecursionError) as error:
    return f"{NAME} cannot be read ({errors.brief(error)})"
  return None


def _origin(dataset_digest, in_mask) -> dict[str, str | None]:
  subset = None
  if in_mask is not None:
    subset = files.digest_bytes(np.packbits(in_mask))
  return {"dataset_digest": dataset_digest, "subset_digest": subset}
