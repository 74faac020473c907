"""Checks a whole study against its digests: finds damage, gaps, leftovers.

Files that a launch derives from runs (scores, page, settings) have digests in
`digests.json`, written last. Damaged files can be moved to `damaged/`, and are
never deleted; the next launch then makes them again.
"""

from collections.abc import Iterator
import dataclasses
import json
import os
import pathlib

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files

DIGESTS = "digests.json"
# Not derived: these have their own digests, or are never read again.
_OTHER = ("dataset", "subsets", "runs", "work", "damaged", "tensorboard")


@dataclasses.dataclass(frozen=True)
class Finding:
  """A problem found in a study's folder.

  Attributes:
    path: of the file or folder, relative to the study's folder.
    problem: what is wrong, in words.
    unit: the unit whose run is affected, or None.
    is_damage: whether the next launch has to redo something; False for mere
      leftovers.
  """

  path: str
  problem: str
  unit: work_units.WorkUnit | None = None
  is_damage: bool = True

  def __str__(self) -> str:
    return f"{self.path}: {self.problem}"


def record_digests(directory: directory_lib.StudyDirectory) -> None:
  """Writes `digests.json`: every file that a launch has derived from runs."""
  entries = {
    name: files.file_entry(directory.root / name)
    for name in _derived(directory)
  }
  content = {"format_version": config_lib.FORMAT_VERSION, "files": entries}
  files.write_atomic(
    directory.root / DIGESTS, json.dumps(content, indent=2) + "\n"
  )


def findings(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
) -> Iterator[Finding]:
  """Reads every file of a study; yields each problem.

  Args:
    directory: of the study.
    plan: of the recorded config.
  """
  info, wrong = None, False
  for finding in _dataset(directory):
    wrong = True
    yield finding
  if not wrong:
    info = dataset_info.read_info(directory)
  yield from _subsets(directory, plan.config, info)
  yield from _runs(directory, plan, info)
  yield from _derived_files(directory)
  yield from _leftovers(directory)


def repair(
  directory: directory_lib.StudyDirectory, found: list[Finding]
) -> list[tuple[str, pathlib.Path]]:
  """Moves damaged files and leftovers to `damaged/`; returns (old, new)."""
  moved = []
  # A damaged data set is moved whole: its files are written together.
  paths = dict.fromkeys(
    "dataset" if finding.path.startswith("dataset/") else finding.path
    for finding in found
  )
  for path in paths:
    place = directory.move_to_damaged(directory.root / path, path)
    if place:
      moved.append((path, place))
  return moved


def _dataset(directory) -> Iterator[Finding]:
  try:
    info = dataset_info.read_info(directory)
    problems = dataset_info.damaged_files(directory.dataset_dir, info)
  except errors.StudyError as error:
    yield Finding("dataset/info.json", str(error))
    return
  for name, problem in problems.items():
    yield Finding(f"dataset/{name}", problem)


def _subsets(directory, config, info) -> Iterator[Finding]:
  """Compares the stored masks with those drawn from the seed."""
  for family in config.family_names():
    path = directory.in_mask_path(family)
    name = str(path.relative_to(directory.root))
    try:
      masks = np.load(path, allow_pickle=False)
    except FileNotFoundError:
      yield Finding(name, "is missing")
      continue
    except (OSError, ValueError, EOFError) as error:
      yield Finding(name, f"cannot be read ({error})")
      continue
    if info is None:
      continue
    expected = subsets_lib.parse_family(family).in_mask(
      info["num_train"], config.subsets.num_subsets, config.running.seed
    )
    rows = len(masks) if masks.ndim else 0
    if not subsets_lib.same_masks(masks, expected[:rows]):
      yield Finding(name, "does not hold the subsets drawn from the seed")


def _runs(directory, plan, info) -> Iterator[Finding]:
  digests = {name: r.digest() for name, r in plan.recipes.items()}
  for unit, wanted in plan.wanted.items():
    state = directory.run_state(unit, check_digests=True)
    name = f"runs/{unit.name}"
    problem = state.problem
    if state.record:
      problem = _foreign(state.record, digests[unit.recipe], info)
    if problem:
      yield Finding(name, problem, unit)
    for lost in state.missing if not problem else ():
      # Nothing to move away: the run is usable without it.
      if lost in wanted:
        yield Finding(f"{name}/{lost}", "is missing", unit)


def _foreign(record, recipe_digest, info) -> str | None:
  """Why an intact run does not belong to this study, or None."""
  if info and record.get("dataset_digest") not in (None, info["digest"]):
    return "it was trained on another data set"
  if record.get("recipe_digest") not in (None, recipe_digest):
    return "it was trained by another recipe of the same name"
  return None


def _derived(directory) -> list[str]:
  """Names of the files on disk that a launch has derived."""
  names = []
  for entry in sorted(os.scandir(directory.root), key=lambda e: e.name):
    if entry.name in (*_OTHER, DIGESTS) or entry.name.startswith("."):
      continue
    path = pathlib.Path(entry.path)
    if path.is_file():
      names.append(entry.name)
    elif path.is_dir():
      names += [
        str(file.relative_to(directory.root))
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
      ]
  return names


def _derived_files(directory) -> Iterator[Finding]:
  path = directory.root / DIGESTS
  try:
    entries = json.loads(path.read_text())["files"].items()
  except FileNotFoundError:
    return  # nothing has been scored yet
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    yield Finding(DIGESTS, f"cannot be read ({error})")
    return
  for name, entry in entries:
    if not files.is_inside(name):
      yield Finding(DIGESTS, f"names a file {name!r} outside the study")
      return
    try:
      problem = files.difference(directory.root / name, entry, True)
    except FileNotFoundError:
      problem = "is missing"
    except (OSError, KeyError, TypeError) as error:
      problem = f"cannot be read ({error})"
    if problem and name not in ("config.json", "resolved.flags"):
      yield Finding(name, problem)


def _leftovers(directory) -> Iterator[Finding]:
  """Private files and folders of processes of this host that have ended."""
  for path in directory.private_leftovers():
    name = str(path.relative_to(directory.root))
    yield Finding(name, "was left half-written", is_damage=False)
