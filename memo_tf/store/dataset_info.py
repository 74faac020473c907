"""Reads `dataset/info.json` and checks the files that it describes."""

import dataclasses
import json
import math
import pathlib

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import record_rules
from memo_tf.store import sealed

ADVICE = (
  "move the folder {folder} away and rerun the launch command, which "
  "writes it again from the same data"
)


def read_info(directory: directory_lib.StudyDirectory) -> dict:
  """The content of `dataset/info.json`."""
  path = directory.dataset_dir / "info.json"
  try:
    info = sealed.loads(path.read_bytes())
    version = record_rules.format_version(info)
    if version > config_lib.FORMAT_VERSION:
      raise errors.StudyError(
        f"{path} was written by a newer memo_tf (format_version {version})."
      )
    record_rules.check_info(info)
  except (OSError, ValueError, RecursionError) as error:
    raise errors.StudyError(
      f"{path} cannot be read ({errors.brief(error)}); "
      + ADVICE.format(folder=path.parent)
    ) from error
  return info


def made_from(config: config_lib.StudyConfig) -> dict:
  """The settings that the content of `dataset/` depends on."""
  return {
    **{
      field.name: config_lib.portable(field, getattr(config.data, field.name))
      for field in dataclasses.fields(config.data)
      if field.metadata["policy"] == "fixed"
    },
    "seed": config.running.seed,
  }


def is_made_from(info: dict, config: config_lib.StudyConfig) -> bool:
  """Whether `dataset/` was made with these settings.

  A setting added after the record was written counts as its default.
  """
  recorded = info.get("made_from")
  if not isinstance(recorded, dict):
    return False
  before = {**made_from(config_lib.StudyConfig()), **recorded}
  # JSON has lists where the settings have tuples.
  return json.loads(json.dumps(before)) == json.loads(
    json.dumps(made_from(config))
  )


def check_made_from(
  directory: directory_lib.StudyDirectory,
  info: dict,
  config: config_lib.StudyConfig,
) -> None:
  """Refuses a data set that was made with other settings.

  Raises:
    StudyError: that shows both.
  """
  if not is_made_from(info, config):
    raise errors.StudyError(
      f"{directory.dataset_dir} was made with other settings "
      f"({info.get('made_from')}) than the study's ({made_from(config)})."
    )


def in_mask(
  family: str,
  num_examples: int,
  config: config_lib.StudyConfig,
  *,
  least: int = 0,
) -> np.ndarray:
  """bool `[M, N]`: the subsets that the seed gives for so many examples.

  Args:
    family: its name.
    num_examples: N.
    config: of the study, whose `num_subsets` M is.
    least: M is at least this.

  Raises:
    StudyError: if a data set of that size has no such subsets: its info.json
      is wrong.
  """
  try:
    return subsets_lib.parse_family(family).in_mask(
      num_examples,
      max(config.subsets.num_subsets, least),
      config.running.seed,
    )
  except ValueError as error:
    raise errors.StudyError(
      f"the data set is recorded with {num_examples} training examples, of "
      f"which there are no subsets {family} ({errors.brief(error)})"
    ) from error


def given_subset_problem(info: dict | None, path: pathlib.Path) -> str | None:
  """How a file of subsets that were given differs from its record, or None.

  Args:
    info: of the data set of a study made from predictions; None: unknown.
    path: of the .npy file.
  """
  try:
    entry = (info or {})["predictions"]["subsets"][path.name]
    record_rules.check_entries({path.name: entry})
    return files.difference(path, entry, check_digest=True)
  except (KeyError, TypeError, ValueError):
    return "has no digest in dataset/info.json"


def decoded_bytes(info: dict) -> int:
  """Bytes that all training and test images take in memory, decoded."""
  size = 2 if info.get("image_type") == "uint16" else 1
  count = info["num_train"] + info["num_test"]
  return count * math.prod(info["image_shape"]) * size


def is_encoded(info: dict) -> bool:
  """Whether records hold encoded images and are read through an index."""
  return "encoding" in info


def damaged_files(
  folder: pathlib.Path,
  info: dict,
  *,
  check_digests: bool = True,
  images_later: bool = False,
) -> dict[str, str]:
  """The files of `dataset/` that differ from info.json, each with the problem.

  Args:
    folder: `dataset/`, or a copy of it.
    info: `read_info`.
    check_digests: compare digests, not only sizes.
    images_later: compare only the sizes of shards that are read through an
      index, which has a digest of every image: reading all of them at every
      start would take too long.
  """
  problems = {}
  for name, entry in info["files"].items():
    check = check_digests and not (images_later and _has_index(info, name))
    try:
      problem = files.difference(folder / name, entry, check)
    except OSError as error:
      problem = f"cannot be read ({error.strerror})"
    if problem:
      problems[name] = problem
  return problems


def check_files(
  directory: directory_lib.StudyDirectory,
  info: dict,
  *,
  check_digests: bool = True,
) -> None:
  """Compares the files of `dataset/` with their entries in info.json.

  Compares only the sizes of shards that are read through an index, which has a
  digest of every image: reading all of them at every start would take too long.

  Raises:
    StudyError: names the first file that differs.
  """
  folder = directory.dataset_dir
  for name, problem in damaged_files(
    folder, info, check_digests=check_digests, images_later=True
  ).items():
    raise errors.StudyError(
      f"{folder / name} is damaged: it {problem}; "
      + ADVICE.format(folder=folder)
    )


def _has_index(info: dict, name: str) -> bool:
  large = name.endswith(".tfrecord") or name == "thumbnails.npy"
  return is_encoded(info) and large
