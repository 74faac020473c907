"""Runs a program; turns an error into one line and an exit code.

Every program of the project is run by `run_program`, so that all of them treat
flags, errors and signals alike. docs/programs.md lists the exit codes.
"""

from collections.abc import Callable
import contextlib
import os
import pathlib
import signal
import sys
from types import FrameType
from typing import TextIO

from absl import app
from absl import flags

from memo_tf.cli import flagfiles
from memo_tf.cli import flags as flags_lib
from memo_tf.experiment import errors

FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
# In a study's folder: why a program failed that had no standard error.
LOG = "work/launch.log"
# In place of a standard stream that is closed or takes nothing.
_nowhere: TextIO | None = None


class Signalled(BaseException):
  """A signal asks the program to end.

  Attributes:
    number: of the signal.
  """

  def __init__(self, number: int):
    super().__init__(number)
    self.number = number


def run_program(
  name: str,
  define: Callable[[flags.FlagValues, str], None],
  body: Callable[[flags.FlagValues], int],
  *,
  output: str = "experiment_dir",
) -> None:
  """Parses the command line, runs a program and exits with its code.

  Args:
    name: of the program's module, as after `python -m`; error messages start
      with it.
    define: defines the program's flags. It is given the flag values and the
      name under which `--helpshort` shows flags.
    body: takes the parsed flags and returns the exit code; `answer` says which
      errors it may raise.
    output: the flag that names the folder the program writes to; errors from
      the disk for which the system names no file show it.
  """

  def parse(argv: list[str]) -> list[str]:
    app.define_help_flags()
    _define(define, flags.FLAGS, argv[0])
    _document(name)
    try:
      rest = flags.FLAGS([argv[0], *flagfiles.resolve(argv[1:])])
      if len(rest) > 1:
        raise ValueError(f"flags start with --. Received: {rest[1]!r}")
    except (flags.Error, ValueError) as error:
      message = " ".join(str(error).split())
      say(f"{name}: {message} (python -m {name} --helpshort lists the flags)")
      sys.exit(WRONG_USE)
    return rest

  _open_closed_streams()

  def main(unused_argv: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
      signal.signal(number, on_signal)
    return answer(name, body, flags.FLAGS, output=output)

  app.run(main, flags_parser=parse)


def answer(
  name: str,
  body: Callable[[flags.FlagValues], int],
  values: flags.FlagValues,
  *,
  output: str = "experiment_dir",
) -> int:
  """Returns the exit code of `body(values)`; prints one line for an error.

  Args:
    name: of the program; the line starts with it.
    body: returns the exit code. A `UsageError` gives `WRONG_USE`, a
      `StudyError` or `OSError` gives `FAILED`, and a signal `INTERRUPTED` or
      `TERMINATED`. Any other exception is a bug and passes through.
    values: the parsed flags.
    output: as for `run_program`.
  """
  try:
    return body(values)
  except errors.UsageError as error:
    _say_error(f"{name}: {error}", values, output)
    return WRONG_USE
  except errors.StudyError as error:
    _say_error(f"{name}: {error}", values, output)
    return FAILED
  except OSError as error:
    place = values[output].value or ""
    text = errors.describe_os_error(error, place)
    _say_error(f"{name}: {text}", values, output)
    return FAILED
  except (Signalled, SystemError) as error:
    # A signal that arrives in compiled code is the cause of a SystemError.
    signalled = error.__cause__ if isinstance(error, SystemError) else error
    if not isinstance(signalled, Signalled):
      raise
    _say_error(
      f"{name}: interrupted. Finished runs are kept. Rerun the same command "
      "to resume.",
      values,
      output,
    )
    interrupted = signalled.number == signal.SIGINT
    return INTERRUPTED if interrupted else TERMINATED


def _define(
  define: Callable[[flags.FlagValues, str], None],
  values: flags.FlagValues,
  program: str,
) -> None:
  """Calls `define`; `--helpshort` then shows the flags it left ungrouped."""
  before = set(values)
  define(values, program)
  for module, members in list(values.flags_by_module_dict().items()):
    if not module.startswith(program):
      for flag in [f for f in members if f.name not in before]:
        flags_lib.show_under(values, flag.name, program)


def _document(name: str) -> None:
  """Makes a console script's help start with the module's docstring."""
  main = sys.modules["__main__"]
  if not main.__doc__ and name in sys.modules:
    main.__doc__ = f"{sys.modules[name].__doc__}\n"


def say(line: str) -> None:
  """Prints a line to standard error at once, or else to standard output.

  Where both are closed or full nothing is said: a launch goes on without them.
  """
  _is_said(line)


def _is_said(line: str) -> bool:
  """Does what `say` does; returns whether standard error took the line."""
  for name in ("stderr", "stdout"):
    stream = getattr(sys, name)
    if stream is None or stream is _nowhere:
      continue
    try:
      print(line, file=stream, flush=True)
      return name == "stderr"
    except (OSError, ValueError):
      # What its buffer holds would fail again and change the exit code.
      setattr(sys, name, _open_nowhere())
  return False


def _open_nowhere() -> TextIO:
  """A stream that takes everything, in place of one that cannot."""
  global _nowhere
  if _nowhere is None:
    _nowhere = open(os.devnull, "w")
  return _nowhere


def _open_closed_streams() -> None:
  """Opens what of input, output and error is closed (`2>&-`), to nowhere.

  Else the next file that is opened would get their number, and what libraries
  print would be written into it.
  """
  for number, name in enumerate(("stdin", "stdout", "stderr")):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if getattr(sys, name) is None and number:
      setattr(sys, name, _open_nowhere())


def _say_error(line: str, values: flags.FlagValues, output: str) -> None:
  """Says why a program fails; without standard error, in a file as well."""
  root = values[output].value
  if _is_said(line) or not root or not os.path.isdir(root):
    return
  path = pathlib.Path(root, LOG)
  with contextlib.suppress(OSError):
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
      file.write(f"{line}\n")


def on_signal(number: int, frame: FrameType | None) -> None:
  """A signal handler that raises `Signalled` for the first signal only."""
  # A second Ctrl-C must not interrupt the clean-up.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  raise Signalled(number)
