"""The child's side of `child.Child`: takes tasks and answers in JSON lines.

A child exits as soon as its standard input ends, whatever it is doing, and so
dies with its parent, however the parent dies.
"""

from collections.abc import Callable
import ctypes
import json
import os
import queue
import signal
import sys
import threading


def start() -> tuple[queue.Queue, Callable[[dict], None]]:
  """Starts reading tasks; call it once, first.

  The program's arguments are the descriptor to answer on and the id of its
  parent, as `child.Child` gives them.

  Returns:
    The tasks as they come, and the function that sends a message.
  """
  results, parent = int(sys.argv[1]), int(sys.argv[2])
  _die_with(parent)
  tasks: queue.Queue = queue.Queue()
  threading.Thread(target=_read_tasks, args=(tasks,), daemon=True).start()

  def send(message: dict) -> None:
    line = (json.dumps(message) + "\n").encode()
    while line:
      line = line[os.write(results, line) :]

  return tasks, send


def _read_tasks(tasks: queue.Queue) -> None:
  for line in sys.stdin:
    tasks.put(json.loads(line))
  os._exit(0)


def _die_with(parent: int) -> None:
  """Asks Linux for a SIGKILL when the parent dies, in addition to the pipe."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
  if os.getppid() != parent:
    os._exit(1)
