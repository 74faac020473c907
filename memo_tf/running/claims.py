"""Claims on units, for launches that share a directory.

    work/launches/<token>.json    one launch: host, process, and a beat that it
                                  counts up while it lives
    work/<unit>/claim             the token of the launch that runs the unit

A claim is advisory: other launches run other units first, but it never blocks
a unit for ever, since two workers on one unit waste time but corrupt nothing.
No clock is compared with another's, nor with a time on disk: a launch counts as
gone when its beat has not changed for `SILENCE_SECONDS` of the observer's own
monotonic clock, or at once if it ran here and its process has ended.
"""

import contextlib
import json
import os
import time
import uuid

from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files

BEAT_SECONDS = 2.0
SILENCE_SECONDS = 30.0
# How long to wait for a unit that a live launch has claimed: this long, or this
# many times a run of its group, whichever is more; then it is run here, too.
LONGEST_WAIT_SECONDS = 900.0
LONGEST_WAIT_RUNS = 4.0


class Claims:
  """The claims of one launch; use as a context manager, which gives them up.

  Args:
    directory: of the study; it must exist.
  """

  def __init__(self, directory: directory_lib.StudyDirectory):
    self._directory = directory
    self._folder = directory.root / "work" / "launches"
    self._token = uuid.uuid4().hex
    self._mine: set[work_units.WorkUnit] = set()
    self._beat, self._next = 0, 0.0
    # The latest beats of other launches, and when each was first seen.
    self._seen: dict[str, tuple[int, float]] = {}
    self._first_seen: dict[tuple[work_units.WorkUnit, str], float] = {}

  def __enter__(self) -> "Claims":
    self._remove_ended()
    self.beat()
    return self

  def __exit__(self, *unused) -> None:
    for unit in list(self._mine):
      self.release(unit)
    with contextlib.suppress(OSError):
      (self._folder / f"{self._token}.json").unlink(missing_ok=True)

  def beat(self) -> None:
    """Signals that this launch is alive; call it often, it rarely writes."""
    if time.monotonic() < self._next:
      return
    self._next = time.monotonic() + BEAT_SECONDS
    self._beat += 1
    content = {
      "host": files.host_name(),
      "pid": os.getpid(),
      "beat": self._beat,
    }
    # Without a beat, others merely take this launch for gone.
    with contextlib.suppress(OSError):
      self._folder.mkdir(parents=True, exist_ok=True)
      _write(self._folder / f"{self._token}.json", json.dumps(content))

  def take(self, unit: work_units.WorkUnit, usual_seconds: float = 0.0) -> bool:
    """Claims a unit.

    Args:
      unit: to claim.
      usual_seconds: the time that a run of its group takes; 0 if unknown.

    Returns:
      False if another launch that seems alive has claimed it.
    """
    path = self._path(unit)
    holder = self._holder(path)
    if holder == self._token:
      return True
    if holder and self._lives(holder):
      now = time.monotonic()
      since = self._first_seen.setdefault((unit, holder), now)
      patience = max(LONGEST_WAIT_SECONDS, LONGEST_WAIT_RUNS * usual_seconds)
      if now - since < patience:
        return False
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      if holder:
        _write(path, self._token)
      else:
        with open(path, "x") as file:
          file.write(self._token)
    except FileExistsError:
      if path.exists() and path.stat().st_size:  # another launch was faster
        return False
      with contextlib.suppress(OSError):  # empty: its writer was interrupted
        _write(path, self._token)
    except OSError:
      pass  # the unit itself will report a disk that cannot be written
    self._mine.add(unit)
    return True

  def release(self, unit: work_units.WorkUnit) -> None:
    """Releases a claim, after the unit is done or has failed."""
    self._mine.discard(unit)
    path = self._path(unit)
    with contextlib.suppress(OSError):
      if self._holder(path) == self._token:
        path.unlink()

  def _path(self, unit):
    return self._directory.work_dir(unit) / "claim"

  def _holder(self, path) -> str:
    """The token in a claim; "" if there is none or it cannot be read."""
    try:
      token = path.read_text()
    except (OSError, UnicodeDecodeError):
      return ""
    return token if token.isalnum() and len(token) <= 64 else "?"

  def _lives(self, token: str) -> bool:
    """Whether a launch seems to be alive."""
    try:
      content = json.loads((self._folder / f"{token}.json").read_text())
      host, pid = content["host"], int(content["pid"])
      beat = int(content["beat"])
    except FileNotFoundError:
      return False
    except (OSError, ValueError, KeyError, TypeError):
      host, pid, beat = "", 0, -1  # being written, or damaged: wait and see
    if host == files.host_name() and not files.is_alive(pid):
      return False
    now = time.monotonic()
    if self._seen.get(token, (None, 0.0))[0] != beat:
      self._seen[token] = (beat, now)
    return now - self._seen[token][1] < SILENCE_SECONDS

  def _remove_ended(self) -> None:
    """Removes the beats of launches of this host that have ended."""
    for path in self._folder.glob("*.json"):
      if not self._lives(path.stem):
        with contextlib.suppress(OSError):
          path.unlink()


def _write(path, content: str) -> None:
  """Replaces a small file; without fsync, as a power cut makes it obsolete."""
  private = files.private_name(path)
  private.write_text(content)
  os.replace(private, path)
