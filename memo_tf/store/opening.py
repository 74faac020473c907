"""Opens a study directory, and checks a new config against the recorded one."""

from collections.abc import Collection
import dataclasses
import pathlib

from absl import logging

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import flagfile
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import lost_config
from memo_tf.store import own_sources
from memo_tf.store import sealed

# What setting up a study writes before config.json; `input` has the arrays and
# models of a Python program (`memo_tf.study`).
SET_UP = {
  "dataset",
  "environment.json",
  "input",
  "models",
  "resolved.flags",
  "subsets",
  "work",
}
# What else may be in the folder of a study that has lost its config.json.
_RESULTS = {
  "runs",
  "scores",
  "proxies",
  "trajectories",
  "comparison",
  "report",
  "damaged",
  "digests.json",
  "logs",
}
_OLD_FORMAT = (
  "was made by an older memo_tf (format_version {version}): it can be read and "
  "scored, but not extended"
)


def open_directory(
  directory: directory_lib.StudyDirectory, tidy: bool = True
) -> None:
  """Opens a study's directory, or makes a new one; checks that it is writable.

  Args:
    directory: of the study.
    tidy: remove what dead processes left behind, which visits every run.

  Raises:
    UsageError: if it holds something that is not a study.
    OSError: if it cannot be written.
  """
  if not directory.config_path.exists() and directory.root.is_dir():
    names = {p.name for p in directory.root.iterdir()} - SET_UP
    if any(directory.run_paths()):
      names -= _RESULTS
    foreign = sorted(n for n in names if "~" not in n)
    if foreign:
      raise errors.UsageError(
        "--experiment_dir must name a new or empty folder, or that of a study. "
        f"Received: {directory.root}, which holds {foreign[0]!r} and no "
        "config.json"
      )
  directory.root.mkdir(parents=True, exist_ok=True)
  # Writing any file shows whether the disk is writable.
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

  Logs a warning if the study is of an older format, which is not extended
  (`check_extensible`).

  Raises:
    UsageError: if they contradict each other, if `config` contradicts the
      runs of a study that has lost its config.json, or if an own model has no
      source.
    StudyError: if config.json is missing (without `config`) or damaged.
  """
  try:
    text = directory.config_path.read_bytes()
  except FileNotFoundError:
    if config is None:
      raise errors.StudyError(
        f"{directory.root} holds no study: it has no config.json."
      ) from None
    _check_trainable(directory, config)
    own_sources.check_known(config)
    lost_config.check_runs(directory, config)
    return config
  try:
    recorded = read_config(text)
  except (ValueError, TypeError, AttributeError, RecursionError) as error:
    raise errors.StudyError(
      f"{directory.config_path} cannot be read ({errors.brief(error)}). The "
      f"settings are also in {directory.flags_path}: move config.json away and "
      "rerun the launch command with them; it is written again if they fit the "
      "runs."
    ) from error
  version = config_lib.format_version(text.decode())
  if version < config_lib.FORMAT_VERSION:
    logging.warning(
      "%s %s.", directory.root, _OLD_FORMAT.format(version=version)
    )
  if config is None:
    return recorded
  _check_trainable(directory, recorded, config)
  return own_sources.check_known(_united(recorded, config))


def _check_trainable(
  directory: directory_lib.StudyDirectory, *configs: config_lib.StudyConfig
) -> None:
  """Refuses to train what was made from predictions.

  Raises:
    UsageError: if one of the configs is of such a study.
  """
  if any(config.is_made_elsewhere for config in configs):
    raise errors.UsageError(
      f"{directory.root} is made from predictions of runs that were trained "
      "elsewhere: it cannot be extended by training. Make a study of more "
      "predictions with memo_tf.score and another --experiment_dir"
    )


def read_config(text: bytes) -> config_lib.StudyConfig:
  """The settings in a config.json, checked.

  Raises:
    ValueError, TypeError, AttributeError, RecursionError: if it is damaged.
  """
  return config_rules.validated(config_lib.from_json(sealed.unsealed(text)))


def write_settings(
  directory: directory_lib.StudyDirectory, config: config_lib.StudyConfig
) -> None:
  """Writes config.json, and the flags that give it again.

  A new config.json is created, never replaced: if another launch was faster,
  its settings are united with these.

  Raises:
    UsageError: if they contradict each other.
  """
  text = sealed.seal_json(config.to_json())
  if not directory.config_path.exists():
    try:
      files.create(directory.config_path, text)
    except FileExistsError:
      config = recorded_config(directory, config)
      text = sealed.seal_json(config.to_json())
  flags = sealed.seal_text(flagfile.resolved_flags(config))
  for path, wanted in (
    (directory.config_path, text),
    (directory.flags_path, flags),
  ):
    if _content(path) != wanted.encode():
      files.write_atomic(path, wanted)


def _content(path: pathlib.Path) -> bytes | None:
  try:
    return path.read_bytes()
  except OSError:
    return None


def _united(recorded, config) -> config_lib.StudyConfig:
  try:
    return config_lib.merge(recorded, config)
  except ValueError as error:
    raise errors.UsageError(str(error)) from error


def is_old(directory: directory_lib.StudyDirectory) -> bool:
  """Whether the study's config.json is of an older format."""
  try:
    text = directory.config_path.read_text()
    return config_lib.format_version(text) < config_lib.FORMAT_VERSION
  except (OSError, ValueError):
    return False  # new, or reported as damaged elsewhere


def check_extensible(
  directory: directory_lib.StudyDirectory,
  pending: Collection[work_units.WorkUnit],
) -> None:
  """Refuses to train units in a study of an older format.

  Raises:
    UsageError: if there are any.
  """
  if pending and is_old(directory):
    version = config_lib.format_version(directory.config_path.read_text())
    raise errors.UsageError(
      f"{directory.root} {_OLD_FORMAT.format(version=version)}, and "
      f"{len(pending)} of its runs are pending, such as "
      f"{next(iter(pending)).name}: start a new --experiment_dir."
    )


def is_recorded(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
) -> bool:
  """Whether config.json equals `config`, apart from `free` settings."""
  try:
    recorded = read_config(directory.config_path.read_bytes())
  except (OSError, ValueError, TypeError, AttributeError, RecursionError):
    return False
  return all(
    config_lib.portable(field, getattr(getattr(recorded, group), field.name))
    == config_lib.portable(field, getattr(getattr(config, group), field.name))
    for group, kind in config_lib.groups().items()
    for field in dataclasses.fields(kind)
    if field.metadata["policy"] != "free"
  )
