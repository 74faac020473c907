"""The experiment directory: paths, atomic writes, digests, what is pending.

    config.json  resolved.flags  environment.json
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
import json
import os
import pathlib
import re
import shutil
import socket
import uuid

import xxhash

from memo_tf.experiment import work_units


class ExperimentError(RuntimeError):
  """What lies on disk is not what is needed; the message says what to do."""


class UsageError(ValueError):
  """The command does not fit the study; the message names flag and value."""


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


def digest_file(path: pathlib.Path) -> str:
  hasher = xxhash.xxh3_128()
  with open(path, "rb") as file:
    while block := file.read(1 << 20):
      hasher.update(block)
  return hasher.hexdigest()


def private_name(path: pathlib.Path) -> pathlib.Path:
  """A sibling of `path` that no other process uses."""
  host = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname()) or "host"
  return path.with_name(
    f".{path.name}~{host}~{os.getpid()}~{uuid.uuid4().hex[:8]}"
  )


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


@dataclasses.dataclass(frozen=True)
class RunState:
  """What is known of one unit's run without reading its arrays.

  Attributes:
    record: the content of `run.json`, or None if there is none.
    problem: why the run cannot be used, or None.
  """

  record: dict | None
  problem: str | None = None

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
      check_digests: read every output and compare its digest, instead of only
        its size.
    """
    folder = self.run_dir(unit)
    try:
      text = (folder / "run.json").read_text()
    except FileNotFoundError:
      if folder.exists():
        return RunState(None, "it has no run.json")
      return RunState(None)
    except (OSError, UnicodeDecodeError) as error:
      return RunState(None, f"run.json cannot be read ({error})")
    try:
      record = json.loads(text)
      outputs = {
        name: (entry["bytes"], entry["digest"])
        for name, entry in record["outputs"].items()
      }
      if record["unit"] != unit.name:
        return RunState(None, f"run.json is that of {record['unit']}")
      is_newer = record["format_version"] > work_units.config_lib.FORMAT_VERSION
    except (ValueError, KeyError, TypeError, AttributeError):
      return RunState(None, "run.json is damaged")
    if is_newer:
      version = record["format_version"]
      raise ExperimentError(
        f"{folder} was written by a newer memo_tf (format_version {version})."
      )
    for name, (size, digest) in outputs.items():
      try:
        found = os.stat(folder / name).st_size
      except OSError:
        return RunState(None, f"{name} is missing")
      if found != size:
        return RunState(None, f"{name} has {found} bytes instead of {size}")
      if check_digests and digest_file(folder / name) != digest:
        return RunState(None, f"{name} does not have the recorded digest")
    return RunState(record)

  def move_aside(self, unit: work_units.WorkUnit) -> pathlib.Path:
    """Moves a damaged run to `damaged/`, never deletes it; returns where."""
    for attempt in range(10_000):
      target = self.root / "damaged" / f"{unit.name}-{attempt}"
      if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(self.run_dir(unit), target)
        return target
    raise ExperimentError(f"{self.root / 'damaged'} is full of {unit.name}")

  def clean_private(self) -> None:
    """Removes what dead processes of this host left half-written."""
    mine = private_name(pathlib.Path("x")).name.split("~")[1]
    for top in (
      "runs",
      "subsets",
      "scores",
      "proxies",
      "comparison",
      "report",
      "work",
      ".",
    ):
      folder = self.root / top
      entries = (
        folder.glob(".*~*~*~*") if top == "." else folder.rglob(".*~*~*~*")
      )
      for path in list(entries):
        parts = path.name.rsplit("~", 3)
        if parts[1] != mine or not parts[2].isdigit():
          continue
        if not _alive(int(parts[2])):
          with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


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
    if path.name != "run.json" and path.name not in named:
      os.replace(path, target / path.name)
  write_atomic(target / "run.json", json.dumps(record, indent=2) + "\n")
  shutil.rmtree(private)


def _alive(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    pass
  return True
