"""Checks a whole study against its digests: finds damage, gaps, leftovers.

Files that a launch derives from runs (scores, page, settings) have digests in
`digests.json`, written last. Damaged files can be moved to `damaged/`, and are
never deleted; the next launch then makes them again.

Each kind of damage is found by a function of its own: hence the length.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import origins
from memo_tf.store import own_sources
from memo_tf.store import record_rules
from memo_tf.store import sealed
from memo_tf.store import selections
from memo_tf.store import subset_info

DIGESTS = "digests.json"
# Folders of what is derived from runs.
_DERIVED = (
  "comparison",
  "findings",
  "proxies",
  "report",
  "scores",
  "trajectories",
)
# What older digests name as well; these now have digests of their own.
_SETTINGS = ("config.json", "environment.json", "resolved.flags")


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
  files.write_atomic(directory.root / DIGESTS, sealed.dumps(content))


def record_written(
  directory: directory_lib.StudyDirectory, paths: Iterable[pathlib.Path]
) -> None:
  """Brings the digests of some derived files up to date, and of no others.

  Without digests, or where they are damaged, nothing is written: the next
  launch records all of them.
  """
  path = directory.root / DIGESTS
  try:
    content = sealed.loads(path.read_bytes())
    entries = dict(content["files"])
  except (OSError, ValueError, KeyError, TypeError):
    return
  for written in paths:
    name = str(written.relative_to(directory.root))
    entries[name] = files.file_entry(written)
  files.write_atomic(path, sealed.dumps({**content, "files": entries}))


def read_derived(
  directory: directory_lib.StudyDirectory, path: pathlib.Path
) -> bytes:
  """The content of a derived file, compared with its digest if there is one.

  Raises:
    StudyError: if it is missing, or is not what a launch has written.
  """
  try:
    content = path.read_bytes()
    entries = {}
    if (directory.root / DIGESTS).exists():
      record = sealed.loads((directory.root / DIGESTS).read_bytes())
      entries = record["files"]
    entry = entries.get(str(path.relative_to(directory.root)))
    if entry and files.digest_bytes(content) != entry["digest"]:
      raise ValueError("it differs from its recorded digest")
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise errors.StudyError(
      f"{path} cannot be read ({errors.brief(error)}); rerun the study, which "
      "writes its tables again"
    ) from error
  return content


def findings(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
) -> Iterator[Finding]:
  """Reads every file of a study; yields each problem.

  Args:
    directory: of the study.
    plan: of the recorded config.
  """
  info = None
  yield from _settings(directory)
  yield from _dataset(directory)
  # Its other files may be damaged: subsets and runs are checked all the same.
  with contextlib.suppress(errors.StudyError):
    info = dataset_info.read_info(directory)
  for name, problem in own_sources.problems(directory, plan.config):
    yield Finding(name, problem)
  wrong_families = set()
  for family, finding in _subsets(directory, plan, info):
    wrong_families.add(family)
    yield finding
  yield from _subset_shards(directory, plan, info, wrong_families)
  yield from _runs(directory, plan, wrong_families)
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


def repair_all(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  found: list[Finding],
) -> tuple[list[Finding], list[tuple[str, pathlib.Path]]]:
  """Repairs and checks again until there is nothing more to move.

  Args:
    directory: of the study.
    plan: of the recorded config.
    found: the findings of a first check.

  Returns:
    All findings, the later ones at the end, and what was moved.
  """
  found, moved = list(found), []
  new = found
  while step := repair(directory, new):
    moved += step
    new = [
      finding
      for finding in findings(directory, plan)
      if finding not in found and os.path.lexists(directory.root / finding.path)
    ]
    found = found + new
  return found, moved


def _settings(directory) -> Iterator[Finding]:
  """Settings and environment against their own digests.

  config.json is not among them: nothing is checked without it.
  """
  path = directory.flags_path
  try:
    problem = sealed.text_problem(path.read_bytes())
    if problem and not opening.is_old(directory):
      yield Finding(path.name, problem)
  except FileNotFoundError:
    yield Finding(path.name, "is missing")
  except OSError as error:
    yield Finding(path.name, f"cannot be read ({errors.brief(error)})")
  path = directory.root / "environment.json"
  try:
    _check_version(sealed.loads(path.read_bytes()))
  except FileNotFoundError:
    pass  # tells of the past; nothing depends on it
  except (OSError, ValueError, RecursionError) as error:
    yield Finding(path.name, f"cannot be read ({errors.brief(error)})")


def _check_version(content: dict) -> None:
  """Refuses a file of a newer format.

  Raises:
    ValueError: if it is one, or does not say.
  """
  version = content.get("format_version", 1)
  if not isinstance(version, int) or version > config_lib.FORMAT_VERSION:
    raise ValueError(f"it has format_version {version}")


def _dataset(directory) -> Iterator[Finding]:
  try:
    info = dataset_info.read_info(directory)
    problems = dataset_info.damaged_files(directory.dataset_dir, info)
  except errors.StudyError as error:
    yield Finding("dataset/info.json", str(error))
    return
  for name, problem in problems.items():
    yield Finding(f"dataset/{name}", problem)


def _subsets(directory, plan, info) -> Iterator[tuple[str, Finding]]:
  """Masks are compared with those that the seed gives."""
  config = plan.config
  for family in plan.families:
    path = directory.in_mask_path(family)
    name = str(path.relative_to(directory.root))
    try:
      masks = arrays.load(path)
    except FileNotFoundError:
      if not selections.is_unknown(directory, family):
        yield family, Finding(name, "is missing")
      continue
    except (OSError, ValueError, EOFError) as error:
      yield family, Finding(name, f"cannot be read ({errors.brief(error)})")
      continue
    if config.is_made_elsewhere:
      if problem := dataset_info.given_subset_problem(info, path):
        yield family, Finding(name, problem)
      continue
    problem = "does not hold the subsets that the seed gives"
    if masks.ndim != 2:
      yield family, Finding(name, problem)
      continue
    count = info["num_train"] if info else masks.shape[1]
    try:
      # More than are planned are left by a launch that was killed while it
      # extended the study.
      expected = selections.in_masks(
        directory, config, (family,), count, least=len(masks)
      )
    except errors.StudyError as error:
      yield family, Finding(name, str(error))
      continue
    if not subsets_lib.same_masks(masks, expected[family][: len(masks)]):
      yield family, Finding(name, problem)


def _subset_shards(directory, plan, info, wrong) -> Iterator[Finding]:
  """Materialized subsets against the data set and the masks."""
  digest = info["digest"] if info else None
  for family in plan.families:
    masks = None
    if family not in wrong and not selections.is_unknown(directory, family):
      masks = arrays.load(directory.in_mask_path(family), mmap_mode="r")
    for index in range(plan.num_subsets(family)):
      folder = directory.subset_shard_dir(family, index)
      if not folder.is_dir():
        continue  # not asked for, or not yet
      mask = None
      if masks is not None and index < len(masks):
        mask = masks[index]
      if problem := subset_info.problem(folder, digest, mask):
        yield Finding(str(folder.relative_to(directory.root)), problem)


def _runs(directory, plan, wrong_families) -> Iterator[Finding]:
  origin = origins.Origin.of(directory, plan, without=wrong_families)
  for unit, wanted in plan.wanted.items():
    state = directory.run_state(unit, check_digests=True)
    name = f"runs/{unit.name}"
    problem = state.problem
    if state.record and origin:
      problem = origin.problem(unit, state.record)
    if problem:
      yield Finding(name, problem, unit)
    for lost in state.missing if not problem else ():
      # Nothing to move away: the run is usable without it.
      if lost in wanted:
        yield Finding(f"{name}/{lost}", "is missing", unit)


def _derived(directory) -> list[str]:
  """Names of the files that a launch has derived, as they lie there."""
  return [
    str(file.relative_to(directory.root))
    for top in _DERIVED
    for file in sorted((directory.root / top).rglob("*"))
    if file.is_file() and not file.name.startswith(".")
  ]


def _derived_files(directory) -> Iterator[Finding]:
  path = directory.root / DIGESTS
  try:
    content = sealed.loads(path.read_bytes())
    _check_version(content)
    record_rules.check_entries(content.get("files"))
  except FileNotFoundError:
    return  # nothing was scored yet
  except (OSError, ValueError, RecursionError) as error:
    yield Finding(DIGESTS, f"cannot be read ({errors.brief(error)})")
    return
  entries = content["files"]
  for name in entries:
    # Repair would move aside what it names: runs, or files of the user.
    is_known = name.split("/")[0] in _DERIVED and files.is_inside(name)
    if not is_known and name not in _SETTINGS:
      yield Finding(DIGESTS, f"names a file {name!r} that no launch derives")
      return
  for name, entry in entries.items():
    try:
      problem = files.difference(directory.root / name, entry, True)
    except FileNotFoundError:
      problem = "is missing"
    except (OSError, KeyError, TypeError) as error:
      problem = f"cannot be read ({errors.brief(error)})"
    if problem and name not in _SETTINGS:
      yield Finding(name, problem)


def _leftovers(directory) -> Iterator[Finding]:
  """Private files and folders of processes of this host that have ended."""
  for path in directory.private_leftovers():
    name = str(path.relative_to(directory.root))
    yield Finding(name, "was left half-written", is_damage=False)
