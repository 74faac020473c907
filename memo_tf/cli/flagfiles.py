"""Finds the flagfiles that a command line names.

A bare name such as `cifar10.flags` is looked up in the working directory first
and then among the flagfiles that memo_tf ships: `flags/` in a checkout,
`memo_tf/flagfiles/` in an installed package.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib
import re

from memo_tf.store import sealed

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def shipped_dir() -> pathlib.Path:
  """The folder of the flagfiles that memo_tf ships."""
  # Next to an installed package, `flags` may belong to another project.
  installed = _PACKAGE / "flagfiles"
  return installed if installed.is_dir() else _PACKAGE.parent / "flags"


def resolve(arguments: Sequence[str]) -> list[str]:
  """Replaces the name of each flagfile by its path.

  Args:
    arguments: a command line without the program's name.

  Raises:
    ValueError: if a flagfile does not exist or cannot be read, or one of its
      lines has a trailing `# comment`, which absl would add to the value.
  """
  resolved = list(arguments)
  for index, prefix, name in _named(arguments):
    resolved[index] = prefix + str(_find(name))
  return resolved


def first_name(arguments: Sequence[str]) -> str | None:
  """The name, without folder and suffix, of the first flagfile; None if none.

  Flagfiles after the first one are overlays: they change a study's settings,
  not its name.
  """
  for _, _, name in _named(arguments):
    return pathlib.PurePath(name).stem
  return None


def _named(arguments: Sequence[str]) -> Iterator[tuple[int, str, str]]:
  """Yields each flagfile's argument index, prefix before the name, and name."""
  expects_name = False
  for index, argument in enumerate(arguments):
    head, equals, tail = argument.partition("=")
    if expects_name:
      yield index, "", argument
      expects_name = False
    elif head in ("--flagfile", "-flagfile"):
      expects_name = not equals
      if equals:
        yield index, f"{head}=", tail


def _find(name: str) -> pathlib.Path:
  path = pathlib.Path(name)
  if not path.exists() and path.name == name:
    path = shipped_dir() / name
  if not path.is_file():
    known = ", ".join(sorted(p.name for p in shipped_dir().glob("*.flags")))
    raise ValueError(
      "--flagfile: no such file in the working directory or among those of "
      f"memo_tf (which has: {known}). Received: --flagfile={name}"
    )
  try:
    content = path.read_bytes()
    lines = content.decode().splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise ValueError(f"--flagfile: {path} cannot be read ({error})") from error
  if sealed.is_sealed_text(content) and sealed.text_problem(content):
    raise ValueError(
      f"--flagfile: {path} was changed since memo_tf wrote it. If you changed "
      "it, delete its first line, which has the digest of the others. "
      f"Received: --flagfile={name}"
    )
  for number, line in enumerate(lines, 1):
    if re.match(r"\s*-.*\s#", line):
      raise ValueError(
        f"--flagfile: line {number} of {path} has a trailing comment, which "
        f"would become part of the value. Received: {line!r}"
      )
  return path
