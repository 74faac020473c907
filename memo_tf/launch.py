"""Trains the runs of a study, scores them, and writes a page of results.

    python -m memo_tf.launch --flagfile=digits.flags

Rerun the same command to resume. Other flags:
"""

import pathlib
import platform
import sys
import time
import webbrowser

from absl import flags

from memo_tf.cli import flags as flags_lib
from memo_tf.cli import program
from memo_tf.running import conductor
from memo_tf.running import planning
from memo_tf.store import directory as directory_lib

PROGRAM = "memo_tf.launch"


def launch(values: flags.FlagValues) -> int:
  """Runs the study, or the dry run, of parsed flags; returns the exit code.

  Raises:
    UsageError: if flags and study do not fit together.
    StudyError, OSError: if the study's folder cannot be used.
  """
  started = time.monotonic()
  asked = flags_lib.request(values, sys.argv[1:])
  directory = directory_lib.StudyDirectory(asked.root)
  program.say(f"Study: {asked.root}")
  if values.dry_run:
    planning.dry_run(asked.config, directory, asked.units)
    return 0
  code = conductor.launch(asked.config, directory, asked.units or None)
  if values.open and not asked.units:
    _open(directory.report_path)
  program.say(f"Took {time.monotonic() - started:.0f} s.")
  return code


def _define_flags(values: flags.FlagValues, program_name: str) -> None:
  flags_lib.define_flags(values, program_name)
  flags.DEFINE_bool(
    "open", False, "Open the page in a browser at the end.", flag_values=values
  )
  flags_lib.show_under(values, "open", program_name)


def _open(path: pathlib.Path) -> None:
  """Opens a page in the user's browser, or says that there is none."""
  if not path.exists():
    return
  try:
    opened = webbrowser.open(path.resolve().as_uri())
  except webbrowser.Error:
    opened = False
  if not opened:
    program.say("--open: no browser was found on this machine.")


def main() -> None:
  """The program."""
  if platform.python_version_tuple()[:2] not in (("3", "11"), ("3", "12")):
    program.say(
      "memo_tf is tested on Python 3.11 and 3.12; this is "
      f"{platform.python_version()}."
    )
  program.run_program(PROGRAM, _define_flags, launch)


if __name__ == "__main__":
  main()
