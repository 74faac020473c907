"""What `dataset/info.json` says, and whether the files beside it are whole."""

import dataclasses
import json
import pathlib

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import directory as directory_lib

ADVICE = (
  "move the folder {folder} away and give the launch command again: it is "
  "written anew from the same data"
)


def read_info(directory: directory_lib.ExperimentDirectory) -> dict:
  """The content of `dataset/info.json`."""
  path = directory.dataset_dir / "info.json"
  try:
    info = json.loads(path.read_text())
    version = info["format_version"]
    is_newer = version > config_lib.FORMAT_VERSION
    for name, entry in info.get("files", {}).items():
      if not directory_lib.is_inside(name):
        raise ValueError(f"it names a file {name!r}")
      int(entry["bytes"]), str(entry["digest"])
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise directory_lib.ExperimentError(
      f"{path} cannot be read ({error}); " + ADVICE.format(folder=path.parent)
    ) from error
  if is_newer:
    raise directory_lib.ExperimentError(
      f"{path} was written by a newer memo_tf (format_version {version})."
    )
  return info


def made_from(config: config_lib.ExperimentConfig) -> dict:
  """The settings that the content of `dataset/` depends on."""
  return {
    **{
      field.name: config_lib.portable(field, getattr(config.data, field.name))
      for field in dataclasses.fields(config.data)
      if field.metadata["policy"] == "fixed"
    },
    "seed": config.running.seed,
  }


def is_made_from(info: dict, config: config_lib.ExperimentConfig) -> bool:
  """Whether `dataset/` was made with these settings.

  A setting that is younger than the record had its default value then.
  """
  recorded = info.get("made_from")
  if not isinstance(recorded, dict):
    return False
  before = {**made_from(config_lib.ExperimentConfig()), **recorded}
  # JSON has lists where the settings have tuples.
  return json.loads(json.dumps(before)) == json.loads(
    json.dumps(made_from(config))
  )


def damaged_files(
  folder: pathlib.Path,
  info: dict,
  *,
  check_digests: bool = True,
) -> dict[str, str]:
  """Files of `dataset/` that differ from info.json, each with what is wrong.

  Args:
    folder: `dataset/`, or a copy of it.
    info: `read_info`.
    check_digests: compare digests, not only sizes.
  """
  problems = {}
  for name, entry in info["files"].items():
    try:
      problem = directory_lib.difference(folder / name, entry, check_digests)
    except OSError as error:
      problem = f"cannot be read ({error.strerror})"
    if problem:
      problems[name] = problem
  return problems


def check_files(
  directory: directory_lib.ExperimentDirectory,
  info: dict,
  *,
  check_digests: bool = True,
) -> None:
  """Compares the files of `dataset/` with what info.json says of them.

  Raises:
    ExperimentError: that names the first one that differs.
  """
  folder = directory.dataset_dir
  for name, problem in damaged_files(
    folder, info, check_digests=check_digests
  ).items():
    raise directory_lib.ExperimentError(
      f"{folder / name} is damaged: it {problem}; "
      + ADVICE.format(folder=folder)
    )
