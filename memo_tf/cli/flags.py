"""The flags of the main job, and the request that a command line makes.

The flags are the fields of the settings, one for one: name, default, meaning
and group. A few more say what to do with the study. absl applies flags in
order: a flag that precedes a `--flagfile` is overridden by it.
"""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
import os
import pathlib
import re
import types
import typing

from absl import flags

from memo_tf.cli import flagfiles
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import flagfile
from memo_tf.experiment import smoke
from memo_tf.experiment import work_units

# Where studies go by default, relative to the working directory.
STUDIES = "studies"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
  """What a command line asks for.

  Attributes:
    config: the study's validated settings; with `--smoke`, reduced ones.
    root: the study's folder, relative to the working directory if it was given
      so or by default.
    units: the units of `--work_units`; empty for the whole study.
  """

  config: config_lib.StudyConfig
  root: str
  units: list[work_units.WorkUnit]


def define_flags(values: flags.FlagValues, program: str) -> None:
  """Defines the flags of the main job.

  Args:
    values: to define them in.
    program: the name under which `--helpshort` shows flags: only the most
      important ones.
  """
  flags.DEFINE_string(
    "experiment_dir",
    None,
    f"Folder of the study; default: {STUDIES}/<name of the first flagfile, or "
    "else of the data set>. Rerun the same command to resume.",
    flag_values=values,
  )
  show_under(values, "experiment_dir", program)
  flags.DEFINE_bool(
    "dry_run",
    False,
    "Estimate time and disk space of what would run; run and write nothing.",
    flag_values=values,
  )
  show_under(values, "dry_run", program)
  flags.DEFINE_bool(
    "smoke",
    False,
    f"Try the set-up in about a minute: {smoke.NUM_SUBSETS} subsets, 1 epoch, "
    f"{smoke.NUM_EXAMPLES} training examples. The study goes to a separate "
    f"folder, {STUDIES}/<name>-smoke by default.",
    flag_values=values,
  )
  show_under(values, "smoke", program)
  flags.DEFINE_list(
    "work_units",
    [],
    "Run only these units (MODEL/RECIPE/SUBSETS/INDEX); score nothing.",
    flag_values=values,
  )
  show_under(values, "work_units", f"{program}: {flagfile.GROUPS['running']}")
  for group, kind in config_lib.groups().items():
    more = f"{program}: {flagfile.GROUPS[group]}"
    define_group(values, kind, program, more)
  # `import` cannot be the name of a field.
  flags.DEFINE_alias("import", "imports", flag_values=values)
  show_under(values, "import", f"{program}: {flagfile.GROUPS['models']}")


def define_group(
  values: flags.FlagValues,
  kind: type,
  program: str,
  more: str,
  without: Collection[str] = (),
) -> None:
  """Defines a flag for each field of a group of settings.

  Args:
    values: to define them in.
    kind: the dataclass of the group.
    program: the name under which `--helpshort` shows the most important ones.
    more: the name under which `--help` shows the others.
    without: fields that get no flag.
  """
  types_of = typing.get_type_hints(kind)
  for field in dataclasses.fields(kind):
    if field.name not in without:
      _define(values, field, types_of[field.name])
      is_short = field.metadata.get("short", False)
      show_under(values, field.name, program if is_short else more)


def request(values: flags.FlagValues, arguments: Sequence[str]) -> Request:
  """Returns the request that parsed flags make.

  Sets `--experiment_dir` if it was not given.

  Args:
    values: the parsed flags.
    arguments: the command line without the program's name; its first flagfile
      gives the study its default name.

  Raises:
    UsageError: names the flag, its rule and the value given.
  """
  try:
    config = study_config(values)
    units = [work_units.parse_unit(name) for name in values["work_units"].value]
    if values["smoke"].value:
      config = smoke.smoke(config)
  except ValueError as error:
    raise errors.UsageError(str(error)) from error
  if values["experiment_dir"].value is None:
    name = flagfiles.first_name(arguments) or _plain(config.data.dataset)
    name += "-smoke" if values["smoke"].value else ""
    root = f"{STUDIES}/{name}"
    if config.data.update_labels:
      root = _next_root(config.data.update_labels)
      root += "-smoke" if values["smoke"].value else ""
    values.set_default("experiment_dir", root)
  root = values["experiment_dir"].value
  if not root:
    raise errors.UsageError(
      "--experiment_dir must name the study's folder. Received: "
      "--experiment_dir="
    )
  old = config.data.update_labels
  if old and os.path.realpath(old) == os.path.realpath(root):
    raise errors.UsageError(
      "--experiment_dir must be another folder than that of --update_labels. "
      f"Received: --experiment_dir={root}"
    )
  return Request(config=config, root=root, units=units)


def study_config(values: flags.FlagValues) -> config_lib.StudyConfig:
  """Returns the validated config of parsed flags.

  Raises:
    ValueError: names the flag, its rule and the value given.
  """
  given = {}
  for kind in config_lib.groups().values():
    types_of = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
      given[field.name] = value_of(values, field.name, types_of[field.name])
  return config_rules.from_settings(given)


def value_of(
  values: flags.FlagValues, name: str, kind: typing.Any
) -> typing.Any:
  """A parsed flag as a setting of a type.

  Raises:
    ValueError: if it is a list of something else.
  """
  value = values[name].value
  return _tuple(name, value, kind) if isinstance(value, list) else value


def _plain(dataset: str) -> str:
  """A folder name for a data set: `npz:a/MINE.npz` gives `MINE`."""
  kind, colon, path = dataset.partition(":")
  if colon and kind in ("npz", "folder"):
    dataset = pathlib.PurePath(path).stem
  return re.sub(r"[^\w.-]+", "-", dataset).strip("-.") or "study"


def _next_root(old: str) -> str:
  """The folder of a study with corrected labels: `pets` gives `pets-labels2`,
  and that `pets-labels3`."""
  old = old.rstrip("/")
  numbered = re.fullmatch(r"(.*)-labels(\d+)", old)
  if numbered:
    return f"{numbered[1]}-labels{int(numbered[2]) + 1}"
  return f"{old}-labels2"


def _define(
  values: flags.FlagValues, field: dataclasses.Field, kind: typing.Any
) -> None:
  name, default = field.name, typing.cast(typing.Any, field.default)
  text = field.metadata["help"]
  choices = field.metadata.get("choices")
  if choices:
    flags.DEFINE_enum(name, default, choices, text, flag_values=values)
  elif kind is bool:
    flags.DEFINE_bool(name, default, text, flag_values=values)
  elif kind is int:
    flags.DEFINE_integer(name, default, text, flag_values=values)
  elif kind is float:
    flags.DEFINE_float(name, default, text, flag_values=values)
  elif isinstance(kind, types.GenericAlias):
    default = [str(item) for item in default]
    flags.DEFINE_list(name, default, text, flag_values=values)
  else:
    flags.DEFINE_string(name, default, text, flag_values=values)


def show_under(values: flags.FlagValues, name: str, module: str) -> None:
  """Moves a flag to a group of `--help`."""
  flag = values[name]
  for registered in values.flags_by_module_dict().values():
    if flag in registered:
      registered.remove(flag)
  values.register_flag_by_module(module, flag)


def _tuple(name: str, items: list[str], kind: typing.Any) -> tuple:
  item_type = typing.get_args(kind)[0]
  try:
    return tuple(item_type(item) for item in items if item != "")
  except ValueError as error:
    raise ValueError(
      f"--{name} takes comma-separated numbers. "
      f"Received: --{name}={','.join(items)}"
    ) from error
