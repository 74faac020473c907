"""The lock of whoever sets up a study or changes its settings.

A launch holds `work/settings.lock` from before it looks for config.json until
it has written it, so that of two launches on one new folder the later one
finds the settings of the earlier and compares its own. The system releases the
lock when its holder ends, however it ends, and keeps it while the holder is
paused.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import errno
import os
import time

from absl import logging

from memo_tf.store import directory as directory_lib

try:
  import fcntl
except ImportError:  # not POSIX
  fcntl = None  # type: ignore[assignment]

NAME = "settings.lock"
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0
# Some network file systems have no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def held(
  directory: directory_lib.StudyDirectory,
  on_wait: Callable[[float], None] = lambda seconds: None,
) -> Iterator[bool]:
  """Holds the lock for the block, once nobody else does.

  Args:
    directory: of the study; `work/` is made if it is missing.
    on_wait: told, again and again, how many seconds it has waited.

  Yields:
    Whether it is held; False on a file system that has no locks.

  Raises:
    OSError: if the file cannot be written.
  """
  number = _acquire(directory, on_wait)
  try:
    yield number is not None
  finally:
    if number is not None:
      os.close(number)  # releases the lock


def _acquire(directory, on_wait) -> int | None:
  """The open file of the lock, locked; None without locks."""
  path = directory.root / "work" / NAME
  started, is_told = time.monotonic(), False
  while fcntl:
    path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
      if _lock(number) and _is_file(number, path):
        return number
    except OSError as error:
      os.close(number)
      if error.errno in _NO_LOCKS:
        return None
      raise
    os.close(number)
    waited = time.monotonic() - started
    if waited > _PATIENCE_SECONDS and not is_told:
      is_told = True
      logging.warning(
        "another launch is setting up %s: waiting for it", directory.root
      )
    on_wait(waited)
    time.sleep(_POLL_SECONDS)
  return None


def _lock(number: int) -> bool:
  """Takes the lock of an open file; False if another process has it."""
  try:
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  return True


def _is_file(number: int, path) -> bool:
  """Whether `path` is still the open file; a set-up that fails removes it."""
  try:
    return os.path.samestat(os.fstat(number), os.stat(path))
  except FileNotFoundError:
    return False
