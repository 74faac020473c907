"""A child process that dies with its parent and answers in JSON lines.

Its standard input is a pipe that only the parent holds, so that it ends when
the parent does, however the parent dies; it answers through a second pipe.
"""

import json
import os
import pathlib
import subprocess
import sys
from typing import cast
from typing import IO


class Child:
  """A Python program that takes and answers messages, one JSON line each.

  Args:
    module: the program, as after `python -m`; its arguments are the descriptor
      that it answers on and the id of this process.
    setup: the first message that it gets.
    variables: its environment.
    log_path: file that its output is appended to; None discards it.
    index: its number among its siblings, from 0.
  """

  def __init__(
    self,
    module: str,
    setup: dict,
    variables: dict[str, str],
    log_path: pathlib.Path | None,
    index: int = 0,
  ):
    self.index = index
    self.results, write_end = os.pipe()
    os.set_blocking(self.results, False)
    self.task: dict | None = None
    self.setting_up = True
    self.ended = False
    self._buffer = b""
    log = subprocess.DEVNULL
    if log_path:
      log_path.parent.mkdir(parents=True, exist_ok=True)
      log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    self.process = subprocess.Popen(
      [
        sys.executable,
        "-m",
        module,
        str(write_end),
        str(os.getpid()),
      ],
      stdin=subprocess.PIPE,
      stdout=log,
      stderr=log,
      pass_fds=[write_end],
      env=variables,
      # Ctrl-C in a terminal must reach the parent only, which ends the workers.
      start_new_session=True,
    )
    self._stdin = cast(IO[bytes], self.process.stdin)  # a pipe, see above
    os.close(write_end)
    if log_path:
      os.close(log)
    self._write(setup)

  def give(self, task: dict) -> None:
    """Sends a task, which stays in `task` until the caller clears it."""
    self.task = task
    self._write(task)

  def read(self) -> list[dict]:
    """The messages received; sets `ended` when the child is gone."""
    while True:
      try:
        block = os.read(self.results, 1 << 16)
      except BlockingIOError:
        break
      if not block:
        self.ended = True
        break
      self._buffer += block
    *lines, self._buffer = self._buffer.split(b"\n")
    return [json.loads(line) for line in lines]

  def wait(self) -> int:
    """Waits for a child that has ended; returns its exit status."""
    os.close(self.results)
    self._stdin.close()
    return self.process.wait()

  def close(self) -> None:
    """Ends the child now, whatever it is doing."""
    try:
      self._stdin.close()
    except OSError:
      pass
    self.process.kill()
    self.process.wait()
    os.close(self.results)

  def _write(self, message: dict) -> None:
    try:
      self._stdin.write((json.dumps(message) + "\n").encode())
      self._stdin.flush()
    except BrokenPipeError:
      pass  # it died; `read` notices that the other pipe has closed


def death(code: int) -> str:
  """How a child ended, in words, from its exit status."""
  if code < 0:
    return f"its worker was killed by signal {-code}" + (
      " (out of memory?)" if code == -9 else ""
    )
  return f"its worker ended with exit status {code}"
