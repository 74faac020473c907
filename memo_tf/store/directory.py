"""The directory of a study: its paths, and the state of its runs.

    config.json  resolved.flags  environment.json  digests.json
    dataset/  subsets/  models/  runs/<unit>/  work/<unit>/  scores/  report/

Invariants that everything else relies on:

* A file or folder appears whole or not at all: written under a private name on
  the same file system, then renamed.
* A run's `run.json` names its outputs with their digests. A unit is done when
  every output that it must have is named there and on disk.
* Nothing that was finished is ever deleted: damaged files are moved to
  `damaged/`; a run that is repeated because another output is wanted must
  reproduce its predictions, and only adds outputs.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import shutil

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import files as files_lib
from memo_tf.store import record_rules
from memo_tf.store import sealed

PREDICTIONS = "predictions.parquet"


@dataclasses.dataclass(frozen=True, slots=True)
class RunState:
  """The state of one unit's run, found without reading its arrays.

  Attributes:
    record: the content of `run.json`, or None if there is none. Its `outputs`
      are those that exist on disk.
    problem: why the run cannot be used, or None.
    missing: outputs named in `run.json` that no longer exist. The run is usable
      without them, and pending if one of them is wanted.
  """

  record: dict | None
  problem: str | None = None
  missing: tuple[str, ...] = ()

  def has(self, outputs: frozenset[str]) -> bool:
    return self.record is not None and outputs <= set(self.record["outputs"])


class StudyDirectory:
  """The paths of one study, and the state of its runs."""

  def __init__(self, root: str | os.PathLike):
    self.root = pathlib.Path(root)

  @property
  def config_path(self) -> pathlib.Path:
    return self.root / "config.json"

  @property
  def flags_path(self) -> pathlib.Path:
    return self.root / "resolved.flags"

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

  def scores_dir(self, group: work_units.Group) -> pathlib.Path:
    return self.root.joinpath("scores", *group)

  @property
  def report_path(self) -> pathlib.Path:
    return self.root / "report" / "index.html"

  def run_paths(self) -> Iterator[pathlib.Path]:
    """Every `run.json` on disk, planned or not."""
    return self.root.glob("runs/*/*/*/*/run.json")

  def run_state(
    self, unit: work_units.WorkUnit, *, check_digests: bool
  ) -> RunState:
    """The state of a unit's run: absent, usable, or the problem with it.

    Args:
      unit: the unit of the run.
      check_digests: read every output and compare its digest. Otherwise only
        outputs whose modification time differs from the recorded one are
        read; silent corruption is found when a file is used.
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
      return RunState(None, f"run.json cannot be read ({errors.brief(error)})")
    try:
      record = sealed.loads(text)
      version = record_rules.format_version(record)
      if version > config_lib.FORMAT_VERSION:
        raise errors.StudyError(
          f"{folder} was written by a newer memo_tf (format_version {version})."
        )
      record_rules.check_run(record)
    except UnicodeDecodeError as error:
      return RunState(None, f"run.json cannot be read ({errors.brief(error)})")
    except ValueError as error:
      return RunState(None, f"run.json is damaged ({errors.brief(error)})")
    except RecursionError:
      return RunState(None, "run.json is damaged")
    if record["unit"] != unit.name:
      return RunState(None, f"run.json is that of {record['unit']!r}")
    outputs = record["outputs"]
    missing = []
    for name, entry in outputs.items():
      try:
        problem = files_lib.difference(f"{folder}/{name}", entry, check_digests)
      except FileNotFoundError:
        missing.append(name)
        continue
      except OSError as error:
        problem = f"cannot be read ({error.strerror})"
      if problem:
        return RunState(None, f"{name} {problem}")
    if PREDICTIONS in missing:  # a repeated run could not be compared
      return RunState(None, f"{PREDICTIONS} is missing")
    for name in missing:
      del outputs[name]
    return RunState(record, None, tuple(missing))

  def move_aside(self, unit: work_units.WorkUnit) -> pathlib.Path | None:
    """Moves a damaged run to `damaged/`, never deletes it.

    Returns:
      Its new path; None if there was nothing (left) to move.
    """
    return self.move_to_damaged(self.run_dir(unit), unit.name)

  def move_to_damaged(
    self, path: pathlib.Path, name: str
  ) -> pathlib.Path | None:
    """Moves a path to `damaged/<name>-<number>`; None if it does not exist."""
    for attempt in range(10_000):
      target = self.root / "damaged" / f"{name}-{attempt}"
      if not os.path.lexists(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
          os.rename(path, target)
        except FileNotFoundError:  # another process was faster
          return None
        return target
    raise errors.StudyError(f"{self.root / 'damaged'} is full of {name}")

  def private_leftovers(self) -> list[pathlib.Path]:
    """Files and folders that dead processes of this host left half-written."""
    found = []
    for top in (
      "runs",
      "subsets",
      "models",
      "scores",
      "trajectories",
      "proxies",
      "comparison",
      "report",
      "work",
    ):
      for folder, folders, files in os.walk(self.root / top):
        found += files_lib.left_by_the_dead(folder, folders, files)
        folders[:] = [name for name in folders if not name.startswith(".")]
    if self.root.is_dir():
      found += files_lib.left_by_the_dead(self.root, os.listdir(self.root))
    return found

  def clean_private(self) -> None:
    """Removes `private_leftovers`."""
    for path in self.private_leftovers():
      with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
