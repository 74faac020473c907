"""Every flag of the main job, and the config that they make.

The flags are the fields of `experiment.config`, one for one: name, default,
meaning and group. A few more say what to do with it. absl applies flags in
order: what stands before a `--flagfile` is overridden by it.
"""

from collections.abc import Callable
import dataclasses
import pathlib
import re
import sys
import types
import typing

from absl import app
from absl import flags

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import flagfile

FLAGFILE_DIR = pathlib.Path(__file__).resolve().parents[1] / "flags"


def flag_parser(program: str, define: Callable[[flags.FlagValues, str], None]):
  """A parser for `app.run` that answers wrong use with one line and exit 2.

  Args:
    program: as after `python -m`.
    define: defines the program's flags in `flags.FLAGS`.
  """

  def parse(argv: list[str]) -> list[str]:
    app.define_help_flags()
    define(flags.FLAGS, argv[0])
    try:
      rest = flags.FLAGS([argv[0], *resolve_flagfiles(argv[1:])])
      if len(rest) > 1:
        raise ValueError(f"flags start with --. Received: {rest[1]!r}")
    except (flags.Error, ValueError) as error:
      message = " ".join(str(error).split())
      print(
        f"{program}: {message} (python -m {program} --helpshort lists the flags)",
        file=sys.stderr,
      )
      sys.exit(2)
    return rest

  return parse


def define_flags(values: flags.FlagValues, program: str) -> None:
  """Defines the flags; the few that matter first are `program`'s own."""
  actions = f"{program}"
  flags.DEFINE_string(
    "experiment_dir",
    None,
    "Folder of the study. The same command given again goes on in it.",
    flag_values=values,
  )
  _place(values, "experiment_dir", actions)
  flags.DEFINE_bool(
    "dry_run",
    False,
    "Print what would run and what it costs, and write nothing.",
    flag_values=values,
  )
  _place(values, "dry_run", actions)
  flags.DEFINE_list(
    "work_units",
    [],
    "Run these units (MODEL/RECIPE/SUBSETS/INDEX) and nothing after them.",
    flag_values=values,
  )
  _place(values, "work_units", f"{program}: {flagfile.GROUPS['running']}")
  for group, kind in config_lib.groups().items():
    types_of = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
      _define(values, field, types_of[field.name])
      short = field.metadata.get("short", False)
      place = actions if short else f"{program}: {flagfile.GROUPS[group]}"
      _place(values, field.name, place)


def study_config(values: flags.FlagValues) -> config_lib.StudyConfig:
  """The validated config of parsed flags.

  Raises:
    ValueError: that names a flag, its rule and the value given.
  """
  parts = {}
  for group, kind in config_lib.groups().items():
    content = {f.name: values[f.name].value for f in dataclasses.fields(kind)}
    types_of = typing.get_type_hints(kind)
    for name, value in content.items():
      if isinstance(value, list):
        content[name] = _tuple(name, value, types_of[name])
    parts[group] = kind(**content)
  return config_rules.validated(config_lib.StudyConfig(**parts))


def resolve_flagfiles(arguments: list[str]) -> list[str]:
  """Lets `--flagfile=cifar10.flags` name a file in `flags/`.

  absl looks in the working directory only. A name without a folder that is no
  file here is looked up among the project's own.

  Raises:
    ValueError: if there is no such file, or a line of it has a trailing
      `# comment`, which absl would take as part of the value.
  """
  resolved, expects_name = [], False
  for argument in arguments:
    name = argument
    prefix = ""
    if not expects_name:
      head, equals, tail = argument.partition("=")
      if head not in ("--flagfile", "-flagfile"):
        resolved.append(argument)
        continue
      if not equals:
        expects_name = True
        resolved.append(argument)
        continue
      prefix, name = f"{head}=", tail
    expects_name = False
    resolved.append(prefix + str(_find_flagfile(name)))
  return resolved


def _find_flagfile(name: str) -> pathlib.Path:
  path = pathlib.Path(name)
  if not path.exists() and path.name == name:
    path = FLAGFILE_DIR / name
  if not path.is_file():
    known = ", ".join(sorted(p.name for p in FLAGFILE_DIR.glob("*.flags")))
    raise ValueError(
      f"--flagfile: no such file, here or in flags/ (which has: {known}). "
      f"Received: --flagfile={name}"
    )
  try:
    lines = path.read_text().splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise ValueError(f"--flagfile: {path} cannot be read ({error})") from error
  for number, line in enumerate(lines, 1):
    if re.match(r"\s*-.*\s#", line):
      raise ValueError(
        f"--flagfile: line {number} of {path} has a trailing comment, which "
        f"would become part of the value. Received: {line!r}"
      )
  return path


def _define(values: flags.FlagValues, field, kind) -> None:
  name, default = field.name, field.default
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


def _place(values: flags.FlagValues, name: str, module: str) -> None:
  """Moves a flag to the group under which `--help` shows it."""
  flag = values[name]
  for registered in values.flags_by_module_dict().values():
    if flag in registered:
      registered.remove(flag)
  values.register_flag_by_module(module, flag)


def _tuple(name: str, items: list[str], kind) -> tuple:
  item_type = typing.get_args(kind)[0]
  try:
    return tuple(item_type(item) for item in items if item != "")
  except ValueError as error:
    raise ValueError(
      f"--{name} takes comma-separated numbers. "
      f"Received: --{name}={','.join(items)}"
    ) from error
