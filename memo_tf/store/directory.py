"""The experiment directory: paths, atomic writes, digests, what is pending.

    config.json  resolved.flags  environment.json  digests.json
    dataset/  subsets/  runs/<unit>/  work/<unit>/  scores/  report/

Rules that hold everything together and may not be changed:

* A file or folder appears whole or not at all: written under a private name on
  the same file system, then renamed.
* A run's `run.json` names its outputs with their digests. A unit is done when
  every output that somebody wants is named there and on disk.
* Nothing is ever deleted that was finished: what is damaged is moved to
  `damaged/`; a run repeated for one more output must reproduce the others and
  then only adds to them.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import uuid

import xxhash

from memo_tf.experiment import work_units

PREDICTIONS = "predictions.parquet"
# What run.json names lies beside it: a name, never a path.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


class ExperimentError(RuntimeError):
  """What lies on disk is not what is needed; the message says what to do."""


class UsageError(ValueError):
  """The command does not fit the study; the message names flag and value."""


class UnitError(ExperimentError):
  """One unit cannot be run as things are; the others can."""


class DamagedRunError(UnitError):
  """A finished run cannot be used; moved aside, it can be run again.

  Args:
    unit: whose run.
    problem: what is wrong with it, as in "x has 3 bytes instead of 5".
  """

  def __init__(self, unit: work_units.WorkUnit, problem: str):
    super().__init__(
      f"the run {unit.name} cannot be used: {problem}; give the launch command "
      "again: it moves the run aside and repeats it."
    )
    self.unit, self.problem = unit, problem


def describe_os_error(error: OSError, default: str = "") -> str:
  """One line: what the disk refused, where, and that nothing is lost."""
  place = error.filename or default
  return (
    f"{error.strerror or error}"
    + (f": {place}" if place else "")
    + ". What is finished is kept; when this is mended, the same command goes on."
  )


def digest_bytes(content) -> str:
  """The digest of a buffer: 128-bit xxHash, in hex."""
  return xxhash.xxh3_128_hexdigest(content)


def digest_file(path: str | os.PathLike) -> str:
  """`digest_bytes` of a file's content."""
  hasher = xxhash.xxh3_128()
  with open(path, "rb") as file:
    while block := file.read(1 << 20):
      hasher.update(block)
  return hasher.hexdigest()


def private_name(path: pathlib.Path) -> pathlib.Path:
  """A sibling of `path` that no other process uses."""
  return path.with_name(
    f".{path.name}~{host_name()}~{os.getpid()}~{uuid.uuid4().hex[:8]}"
  )


def host_name() -> str:
  """This host's name for the names of files, telling containers apart.

  Containers may share a host's name and each count processes on its own.
  """
  name = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"
  try:
    return f"{name}{os.stat('/proc/self/ns/pid').st_ino % 100_000}"
  except OSError:  # not Linux
    return name


def write_atomic(path: pathlib.Path, content: bytes | str) -> None:
  """Writes a file so that readers see the old one or the whole new one."""
  if isinstance(content, str):
    content = content.encode()
  path.parent.mkdir(parents=True, exist_ok=True)
  private = private_name(path)
  try:
    with open(private, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(private, path)
  except BaseException as error:
    with contextlib.suppress(OSError):
      private.unlink(missing_ok=True)
    if isinstance(error, OSError) and not error.filename:
      error.filename = str(path)
    raise


@dataclasses.dataclass(frozen=True, slots=True)
class RunState:
  """What is known of one unit's run without reading its arrays.

  Attributes:
    record: the content of `run.json`, or None if there is none. Its `outputs`
      are those that are there.
    problem: why the run cannot be used, or None.
    missing: outputs that it recorded and that are lost. The run is of use
      without them, and pending if somebody wants one.
  """

  record: dict | None
  problem: str | None = None
  missing: tuple[str, ...] = ()

  def has(self, outputs: frozenset[str]) -> bool:
    return self.record is not None and outputs <= set(self.record["outputs"])


class ExperimentDirectory:
  """Paths of one study and what is done in it."""

  def __init__(self, root: str | os.PathLike):
    self.root = pathlib.Path(root)

  @property
  def config_path(self) -> pathlib.Path:
    return self.root / "config.json"

  @property
  def dataset_dir(self) -> pathlib.Path:
    return self.root / "dataset"

  def in_mask_path(self, family: str) -> pathlib.Path:
    return self.root / "subsets" / f"{family}.npy"

  def subset_shard_dir(self, family: str, index: int) -> pathlib.Path:
    return self.root / "subsets" / family / f"{index:05d}"

  def run_dir(self, unit: work_units.WorkUnit) -> pathlib.Path:
    return self.root / "runs" / unit.name

  def work_dir(self, unit: work_units.WorkUnit) -> pathlib.Path:
    return self.root / "work" / unit.name

  def scores_dir(self, group: tuple[str, str, str]) -> pathlib.Path:
    return self.root.joinpath("scores", *group)

  @property
  def report_path(self) -> pathlib.Path:
    return self.root / "report" / "index.html"

  def run_state(
    self, unit: work_units.WorkUnit, *, check_digests: bool
  ) -> RunState:
    """Looks at a unit's run: nothing there, usable, or what is wrong with it.

    Args:
      unit: whose run.
      check_digests: read every output and compare its digest. Otherwise only
        those whose time of change is not the recorded one are read; what
        changed on the disk by itself is found when the file is used.
    """
    # Plain strings: with pathlib, 100,000 runs would take twice as long.
    folder = f"{self.root}/runs/{unit.name}"
    try:
      with open(f"{folder}/run.json", "rb") as file:
        text = file.read()
    except FileNotFoundError:
      if os.path.lexists(folder):
        return RunState(None, "it has no run.json")
      return RunState(None)
    except OSError as error:
      return RunState(None, f"run.json cannot be read ({error})")
    try:
      record = json.loads(text.decode())
      outputs = record["outputs"]
      for name, entry in outputs.items():
        if not _FILE_NAME.fullmatch(name):
          return RunState(None, f"run.json names an output {name!r}")
        int(entry["bytes"]), str(entry["digest"])
      if record["unit"] != unit.name:
        return RunState(None, f"run.json is that of {record['unit']}")
      is_newer = record["format_version"] > work_units.config_lib.FORMAT_VERSION
    except UnicodeDecodeError as error:
      return RunState(None, f"run.json cannot be read ({error})")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
      return RunState(None, "run.json is damaged")
    if is_newer:
      version = record["format_version"]
      raise ExperimentError(
        f"{folder} was written by a newer memo_tf (format_version {version})."
      )
    missing = []
    for name, entry in outputs.items():
      try:
        problem = difference(f"{folder}/{name}", entry, check_digests)
      except FileNotFoundError:
        missing.append(name)
        continue
      except OSError as error:
        problem = f"cannot be read ({error.strerror})"
      if problem:
        return RunState(None, f"{name} {problem}")
    if PREDICTIONS in missing:  # nothing could be compared with a repeated run
      return RunState(None, f"{PREDICTIONS} is missing")
    for name in missing:
      del outputs[name]
    return RunState(record, None, tuple(missing))

  def move_aside(self, unit: work_units.WorkUnit) -> pathlib.Path | None:
    """Moves a damaged run to `damaged/`, never deletes it.

    Returns:
      Where it is now; None if there was nothing to move (any more).
    """
    return self.move_to_damaged(self.run_dir(unit), unit.name)

  def move_to_damaged(
    self, path: pathlib.Path, name: str
  ) -> pathlib.Path | None:
    """Moves a file or folder to `damaged/<name>-<number>`; None: not there."""
    for attempt in range(10_000):
      target = self.root / "damaged" / f"{name}-{attempt}"
      if not os.path.lexists(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
          os.rename(path, target)
        except FileNotFoundError:  # another process was faster
          return None
        return target
    raise ExperimentError(f"{self.root / 'damaged'} is full of {name}")

  def private_leftovers(self) -> list[pathlib.Path]:
    """What dead processes of this host left half-written."""
    found = []
    for top in (
      "runs",
      "subsets",
      "scores",
      "trajectories",
      "proxies",
      "comparison",
      "report",
      "work",
    ):
      for folder, folders, files in os.walk(self.root / top):
        found += _left_by_the_dead(folder, folders, files)
        folders[:] = [name for name in folders if not name.startswith(".")]
    if self.root.is_dir():
      found += _left_by_the_dead(self.root, os.listdir(self.root))
    return found

  def clean_private(self) -> None:
    """Removes `private_leftovers`."""
    for path in self.private_leftovers():
      with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _left_by_the_dead(folder, *entries: list[str]) -> list[pathlib.Path]:
  """Those of a folder's entries that a process of this host had as its own."""
  found = []
  for name in itertools.chain(*entries):
    parts = name.rsplit("~", 3)
    if (
      len(parts) == 4
      and name.startswith(".")
      and parts[1] == host_name()
      and parts[2].isdigit()
      and not is_alive(int(parts[2]))
    ):
      found.append(pathlib.Path(folder, name))
  return found


def publish(private: pathlib.Path, target: pathlib.Path) -> bool:
  """Renames a finished private folder into place.

  Returns:
    Whether it is now there; False if another process's was there first, in
    which case the private one is removed.
  """
  target.parent.mkdir(parents=True, exist_ok=True)
  try:
    os.rename(private, target)
    return True
  except OSError:
    if not target.is_dir():
      raise
    shutil.rmtree(private)
    return False


def extend(private: pathlib.Path, target: pathlib.Path, record: dict) -> None:
  """Adds the outputs of a repeated run to the run that it reproduced.

  Files that `target` has already are left as they are; its `run.json` names
  the new ones only once they are there.
  """
  named = json.loads((target / "run.json").read_text())["outputs"]
  for path in private.iterdir():
    # A file that run.json does not name was left by an attempt that broke off.
    lost = path.name not in named or not (target / path.name).exists()
    if path.name != "run.json" and lost:
      os.replace(path, target / path.name)
  write_atomic(target / "run.json", json.dumps(record, indent=2) + "\n")
  shutil.rmtree(private)


def is_inside(name: str) -> bool:
  """Whether a recorded name is that of a file below the folder it is under."""
  parts = pathlib.PurePosixPath(name).parts
  return bool(parts) and ".." not in parts and not name.startswith("/")


def file_entry(path: pathlib.Path, content: bytes | None = None) -> dict:
  """A file's size, digest and time of change, as records hold them.

  The time is compared for being the same, never for being later.
  """
  digest = digest_file(path) if content is None else digest_bytes(content)
  found = os.stat(path)
  return {
    "bytes": found.st_size,
    "digest": digest,
    "mtime_ns": found.st_mtime_ns,
  }


def difference(
  path: str | os.PathLike, entry: dict, check_digest: bool
) -> str | None:
  """How a file differs from its `file_entry`, in words; None if it does not.

  Args:
    path: of the file.
    entry: its size, digest and, if known, time of change.
    check_digest: read it even if it was not changed since.

  Raises:
    OSError: if it is not there or cannot be read.
  """
  found = os.stat(path)
  if not stat.S_ISREG(found.st_mode):
    return "is no file"
  if found.st_size != entry["bytes"]:
    return f"has {found.st_size} bytes instead of {entry['bytes']}"
  changed = found.st_mtime_ns != entry.get("mtime_ns", found.st_mtime_ns)
  if (check_digest or changed) and digest_file(path) != entry["digest"]:
    return "does not have the recorded digest"
  return None


def is_alive(pid: int) -> bool:
  """Whether a process of this host is there and has not ended.

  One that has ended and that nobody has waited for keeps its number; where the
  first process of a container waits for nobody, for ever.
  """
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:  # another user's
    return True
  try:
    state = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except FileNotFoundError:
    return not pathlib.Path("/proc/self").exists()  # ended, or no Linux
  except (OSError, UnicodeDecodeError):
    return True
  return state.rpartition(")")[2].split()[0] not in ("Z", "X")
