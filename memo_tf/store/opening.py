"""Opens a study directory: its recorded config, and whether a given one fits."""

import dataclasses
import pathlib

from memo_tf.cli import flags
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import files

_OWN = {"dataset", "subsets", "work", "resolved.flags", "environment.json"}


# What further lies in the folder of a study that has lost its config.json.
_RESULTS = {"runs", "scores", "report", "damaged", "digests.json"}


def open_directory(
  directory: directory_lib.StudyDirectory, tidy: bool = True
) -> None:
  """Opens a study's directory, or makes a new one; checks that it is writable.

  Args:
    directory: of the study.
    tidy: remove what dead processes left, which walks over every run.

  Raises:
    UsageError: if it holds something that is not a study.
    OSError: if it cannot be written.
  """
  if not directory.config_path.exists() and directory.root.is_dir():
    names = {p.name for p in directory.root.iterdir()} - _OWN
    if _flagfile(directory).exists():
      names -= _RESULTS
    foreign = sorted(n for n in names if "~" not in n)
    if foreign:
      raise errors.UsageError(
        "--experiment_dir must name a new or empty folder, or that of a study. "
        f"Received: {directory.root}, which holds {foreign[0]!r} and no "
        "config.json"
      )
  directory.root.mkdir(parents=True, exist_ok=True)
  # Any file will do to learn that the disk cannot be written.
  probe = files.private_name(directory.root / "probe")
  try:
    probe.write_bytes(b"")
    probe.unlink()
  except OSError as error:
    raise OSError(error.errno, error.strerror, str(directory.root)) from error
  if tidy:
    directory.clean_private()


def recorded_config(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig | None = None,
) -> config_lib.StudyConfig:
  """The recorded config, united with `config`; `config` if none is recorded.

  Raises:
    UsageError: if they contradict each other.
    StudyError: if config.json is missing (without `config`) or damaged.
  """
  try:
    text = directory.config_path.read_text()
  except FileNotFoundError:
    if config is None:
      raise errors.StudyError(
        f"{directory.root} holds no study: it has no config.json."
      ) from None
    if (directory.root / "runs").exists() and _flagfile(directory).exists():
      # It was lost: the flags beside it say which study the runs are of.
      recorded = flags.config_from_flagfile(_flagfile(directory))
      return _united(recorded, config)
    return config
  except UnicodeDecodeError:
    text = ""
  try:
    recorded = config_rules.validated(config_lib.from_json(text))
  except (ValueError, TypeError, AttributeError, RecursionError) as error:
    raise errors.StudyError(
      f"{directory.config_path} cannot be read ({error}). The settings also "
      f"stand in {directory.root / 'resolved.flags'}: move config.json away and "
      "give the command again."
    ) from error
  return recorded if config is None else _united(recorded, config)


def _united(recorded, config) -> config_lib.StudyConfig:
  try:
    return config_lib.merge(recorded, config)
  except ValueError as error:
    raise errors.UsageError(str(error)) from error


def is_recorded(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
) -> bool:
  """Whether config.json has this, but for where and how the work is done."""
  try:
    recorded = config_lib.from_json(directory.config_path.read_text())
  except (OSError, ValueError, TypeError, AttributeError):
    return False
  return all(
    config_lib.portable(field, getattr(getattr(recorded, group), field.name))
    == config_lib.portable(field, getattr(getattr(config, group), field.name))
    for group, kind in config_lib.groups().items()
    for field in dataclasses.fields(kind)
    if field.metadata["policy"] != "free"
  )


def _flagfile(directory) -> pathlib.Path:
  return directory.root / "resolved.flags"
