"""Runs a program: what goes wrong becomes one line and an exit code."""

import signal
import sys

# Exit codes: docs/programs.md.
FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


def say(line: str) -> None:
  print(line, file=sys.stderr, flush=True)


class Signalled(BaseException):
  """A signal asks the program to end."""

  def __init__(self, number: int):
    super().__init__(number)
    self.number = number


def on_signal(number, frame):
  # Once: a second Ctrl-C must not interrupt the ending.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  raise Signalled(number)
