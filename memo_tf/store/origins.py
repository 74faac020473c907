"""Whether a finished run is one of this study.

Recipe, data set, subset, seed and threads, which a run recorded of itself, are
compared with the study's wherever runs are surveyed or scored: a run that was
copied from elsewhere, or made by a launch with other settings, is never scored
with the others.
"""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.store import arrays
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import opening
from memo_tf.store import sealed


class Origin:
  """What every run of a study was made with.

  Args:
    plan: of the study.
    dataset_digest: of its data set; None: not known, and not compared.
    masks: bool `[M, N]` by subset family; runs of others are not compared.
  """

  def __init__(
    self,
    plan: plan_lib.Plan,
    dataset_digest: str | None,
    masks: Mapping[str, np.ndarray],
  ):
    running = plan.config.running
    self._common: dict[str, Any] = {
      "seed": running.seed,
      "threads": running.threads_per_unit,
    }
    if dataset_digest is not None:
      self._common["dataset_digest"] = dataset_digest
    self._sources = {name: r.digest for name, r in plan.own_models.items()}
    self._recipes = {name: r.digest() for name, r in plan.recipes.items()}
    self._masks = masks
    self._subsets: dict[tuple[str, int], str] = {}

  @classmethod
  def of(
    cls,
    directory: directory_lib.StudyDirectory,
    plan: plan_lib.Plan,
    *,
    without: Collection[str] = (),
  ) -> "Origin | None":
    """That of a study, from its directory; None if it is of an older format.

    A data set or subsets that are missing or damaged are not compared: they
    are found where they are read, and made anew.

    Args:
      directory: of the study.
      plan: of the study.
      without: subset families whose file is known to be wrong.
    """
    if opening.is_old(directory):
      return None
    try:
      digest = dataset_info.read_info(directory).get("digest")
    except errors.StudyError:
      digest = None
    masks = {}
    for family in {unit.subsets for unit in plan.wanted} - {*without}:
      try:
        path = directory.in_mask_path(family)
        masks[family] = arrays.load(path, mmap_mode="r")
      except (OSError, ValueError, EOFError):
        continue
    return cls(plan, digest, masks)

  def problem(self, unit: work_units.WorkUnit, record: dict) -> str | None:
    """How the record of a unit's run differs, in words; None if it does not."""
    expected = self._common | {"recipe_digest": self._recipes[unit.recipe]}
    if unit.model in self._sources:
      expected["model_source"] = self._sources[unit.model]
    subset = self._subset_digest(unit)
    if subset is not None:
      expected["subset_digest"] = subset
    # Older records need not have all of it.
    is_complete = record.get("format_version", 1) >= sealed.SEALED_SINCE
    for name, value in expected.items():
      found = record.get(name, None if is_complete else value)
      if found != value:
        return (
          f"it is not of this study: its {name} is {found!r} instead of "
          f"{value!r}"
        )
    return None

  def check(self, unit: work_units.WorkUnit, record: dict) -> None:
    """Refuses a run that is not of this study.

    Raises:
      StudyError: that says what differs and what to do.
    """
    if problem := self.problem(unit, record):
      raise refusal({unit: problem})

  def _subset_digest(self, unit: work_units.WorkUnit) -> str | None:
    key = (unit.subsets, unit.index)
    if key not in self._subsets:
      masks = self._masks.get(unit.subsets)
      if masks is None or masks.ndim != 2 or unit.index >= len(masks):
        return None
      packed = np.packbits(masks[unit.index])
      self._subsets[key] = files.digest_bytes(packed)
    return self._subsets[key]


def refusal(foreign: Mapping[work_units.WorkUnit, str]) -> errors.StudyError:
  """The error for runs that are not of the study, each with why."""
  unit, problem = next(iter(foreign.items()))
  more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
  return errors.StudyError(
    f"the run {unit.name}{more} cannot be used: {problem}. "
    "`memo_tf.status --check --repair` moves such runs to damaged/; rerun the "
    "launch command then."
  )
