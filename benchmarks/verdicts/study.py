"""A finished study, as the verdicts read it: scores and sizes from its runs."""

from collections.abc import Sequence
import dataclasses
import functools
import io
import json
import pathlib

import numpy as np
import pandas as pd

from memo_tf.data import duplicates
from memo_tf.estimators import resampling
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.findings import sizes
from memo_tf.scoring import groups
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import origins
from memo_tf.store import predictions


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
  """One study directory whose last run has finished.

  Attributes:
    directory: of the study.
    plan: of the study.
    by_group: the scores by (model, recipe), of the first subset family.
  """

  directory: directory_lib.StudyDirectory
  plan: plan_lib.Plan
  by_group: dict[tuple[str, str], groups.GroupScores]

  @classmethod
  def open(cls, root: str | pathlib.Path) -> "Study":
    """Reads and scores a study.

    Raises:
      StudyError: if the study cannot be read, or if runs are missing:
        verdicts come after the last run.
    """
    directory = directory_lib.StudyDirectory(root)
    config = opening.recorded_config(directory)
    plan = plan_lib.Plan.of(config)
    examples = predictions.read_examples(directory)
    origin = origins.Origin.of(directory, plan)
    found = {}
    for group, units in plan.groups().items():
      result = groups.score_group(
        directory,
        units,
        examples,
        exclude_flagged=config.outputs.exclude_flagged_runs,
        outputs=config.outputs,
        origin=origin,
      )
      if result is None or result.num_missing:
        raise errors.StudyError(
          "verdicts are computed after the last run of a study. Missing: runs "
          f"of {group.name} in {root}"
        )
      if group.subsets == plan.first_family:
        found[group.model, group.recipe] = result
    return cls(directory, plan, found)

  @property
  def num_flagged(self) -> int:
    """How many stuck runs the study has."""
    return sum(len(result.flagged) for result in self.by_group.values())

  def scores(self, model: str, recipe: str = "one_hot") -> groups.GroupScores:
    """The scores and runs of a model.

    Raises:
      StudyError: if the study does not have it.
    """
    if (model, recipe) not in self.by_group:
      raise errors.StudyError(
        f"no runs of {model}/{recipe} in {self.directory.root}"
      )
    return self.by_group[model, recipe]

  def ladder(
    self, models: Sequence[str], recipe: str = "one_hot"
  ) -> sizes.SizeStudy:
    """The study over these sizes, smallest first."""
    members = [self.scores(model, recipe) for model in models]
    key = sizes.LadderName(
      self.plan.models[models[0]].ladder, recipe, self.plan.first_family
    )
    found = sizes.gather(key, members, self.plan.config.outputs)
    if found is None:
      raise errors.StudyError(
        f"too few runs for sizes in {self.directory.root}"
      )
    return found

  def table(self, path: str) -> pd.DataFrame:
    """A table that a launch has written.

    Args:
      path: of the Parquet file in the study.

    Raises:
      StudyError: if it is missing, or not what was written.
    """
    content = checkup.read_derived(self.directory, self.directory.root / path)
    return pd.read_parquet(io.BytesIO(content))

  @functools.cached_property
  def images(self) -> np.ndarray:
    """`[N + T, H, W, channels]`, the training examples first."""
    return np.load(self.directory.dataset_dir / "images.npy", mmap_mode="r")

  @functools.cached_property
  def max_pixel(self) -> int:
    """The value of a white pixel."""
    return int(self._info["max_pixel"])

  @functools.cached_property
  def class_names(self) -> list[str]:
    """The names of the classes, by label."""
    return self._info["class_names"]

  @functools.cached_property
  def _info(self) -> dict:
    return json.loads((self.directory.dataset_dir / "info.json").read_text())

  def distances(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The distance d at the top of memo_tf/data/duplicates.py.

    Args:
      rows, columns: indices into `images`, `[n]` and `[k]`.

    Returns:
      float32 `[n, k]`.
    """
    return image_distances(
      np.asarray(self.images[rows]),
      np.asarray(self.images[columns]),
      self.max_pixel,
    )


def drawn(num_runs: int, seed: int = 0) -> resampling.PairedBootstrap:
  """Draws of blocks of 10 runs; of single runs if there are few blocks.

  Raises:
    ValueError: if there are fewer than two runs.
  """
  found = resampling.paired_bootstrap(num_runs, block=10, seed=seed)
  if found is None:
    raise ValueError(f"intervals need two runs. Received: {num_runs}")
  return found


def image_distances(a: np.ndarray, b: np.ndarray, max_pixel: int) -> np.ndarray:
  """d of every image of `a` to every image of `b`; float32 `[n, k]`.

  The least distance over the nine shifts by up to a pixel of the one and of the
  other. An image without contrast is sqrt(2) from all.
  """
  still_a = duplicates.descriptors(a, max_pixel).astype(np.float32)
  still_b = duplicates.descriptors(b, max_pixel).astype(np.float32)
  best = np.full((len(a), len(b)), -1, np.float32)
  for y in (-1, 0, 1):
    for x in (-1, 0, 1):
      moved_a = duplicates.descriptors(
        duplicates.shifted(a, y, x), max_pixel
      ).astype(np.float32)
      moved_b = duplicates.descriptors(
        duplicates.shifted(b, y, x), max_pixel
      ).astype(np.float32)
      np.maximum(best, moved_a @ still_b.T, out=best)
      np.maximum(best, still_a @ moved_b.T, out=best)
  return np.sqrt(np.maximum(2 - 2 * best, 0))
