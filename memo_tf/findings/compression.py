"""Compressed models beside the models that they were made from.

    findings/compression/<model>/<subsets>/<table>.parquet and .csv

What compression does to accuracy and memorization, paired over the subsets that
a compressed recipe and one_hot share; what it forgets, against what margins
alone predict (`analysis.forgetting`); and how small the models become. Imports
no TensorFlow.
"""

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np
import pandas as pd

from memo_tf.analysis import evidence
from memo_tf.analysis import forgetting
from memo_tf.analysis import planted_truth
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import resampling
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import compression_sentences as sentences_lib
from memo_tf.findings import sizes
from memo_tf.findings import table_files
from memo_tf.scoring import groups
from memo_tf.store import directory as directory_lib

# Counts that are compared, as runs record them.
FACTS = (
  "nonzero_weights",
  "kernel_sparsity",
  "largest_clusters",
  "int8_tensors",
  "bytes_gzip",
)
WHERE = {"in": "in the subset", "out": "held out"}
_UNKNOWN = (float("nan"), float("nan"), float("nan"))
_ENDS, _COLUMNS = ("", "_low", "_high"), ("_change", "_low", "_high")
_MEANS = ("memorization", "in_accuracy", "out_accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
  """One compressed recipe beside one_hot, on the runs that both have.

  Attributes:
    recipe: its name.
    in_mask: `[M, N]` bool, of the M subsets that both have.
    before, after: `[M, N]` bool, what was right before and after.
    margin: `[M, N]`, before.
    test_before, test_after: `[M, T]` bool.
    memorization: `[N]`, scores of the compressed models, of all their runs.
    facts: means over runs of what was counted, by name.
    source_facts: the same of the models before.
    block: `[M]` int, the block of each run.
  """

  recipe: str
  in_mask: np.ndarray
  before: np.ndarray
  after: np.ndarray
  margin: np.ndarray
  test_before: np.ndarray
  test_after: np.ndarray
  memorization: np.ndarray
  facts: dict[str, float]
  source_facts: dict[str, float]
  block: np.ndarray

  @functools.cached_property
  def bootstrap(self) -> resampling.PairedBootstrap | None:
    return resampling.paired_bootstrap(len(self.in_mask), block=self.block)

  @functools.cached_property
  def changes(self) -> dict[str, tuple[float, float, float]]:
    """Changes by compression, each with its 95 % interval (NaN: too few runs).

    Of mean memorization and of accuracy in the subset, held out and on test
    examples.
    """
    found: dict[str, tuple[float, float, float]]
    found = dict.fromkeys((*_MEANS, "test_accuracy"), _UNKNOWN)
    if self.bootstrap is None:
      return found
    both = np.stack([self.before, self.after])
    _, rows = trends.mean_trends(both, self.in_mask, self.bootstrap)
    for name in _MEANS:
      change, low, high = (rows[f"{name}{end}"][0] for end in _ENDS)
      found[name] = (float(change), float(low), float(high))
    if self.test_after.shape[1]:
      tests = self.test_after.mean(axis=1) - self.test_before.mean(axis=1)
      weights = self.bootstrap.weights
      drawn = (weights @ tests) / weights.sum(axis=1)
      change, low, high = self.bootstrap.intervals(drawn[:, None])[0]
      found["test_accuracy"] = (float(change), float(low), float(high))
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressionStudy:
  """The compressed recipes of one model and subset family.

  Attributes:
    model: its name.
    subsets: name of the family.
    examples: one row per training example.
    memorization: `[N]`, scores of the uncompressed models.
    kind: `[N]` str, how each example was planted.
    more_groups: further groups of examples to look at, bool `[N]` by name.
    levels: the compressed recipes, in the order of the config.
  """

  model: str
  subsets: str
  examples: pd.DataFrame
  memorization: np.ndarray
  kind: np.ndarray
  more_groups: dict[str, np.ndarray]
  levels: tuple[Level, ...]

  @functools.cached_property
  def groups(self) -> dict[str, np.ndarray]:
    """The groups of examples that are looked at, bool `[N]` by name."""
    found = forgetting.groups_of(
      self.memorization, self.kind, planted_truth.CLEAN, evidence.MEMORIZED
    )
    return found | self.more_groups

  @functools.cached_property
  def ordinary(self) -> np.ndarray:
    """`[N]` bool: natural, not memorized; what every group is compared with."""
    is_natural = self.kind == planted_truth.CLEAN
    high = self.groups.get(forgetting.MOST_MEMORIZED, ~is_natural)
    return is_natural & ~high

  @functools.cached_property
  def forgotten(self) -> pd.DataFrame:
    """One row per recipe, part of the data (in, out) and group."""
    rows = []
    for level in self.levels:
      for where in WHERE:
        selected = level.in_mask if where == "in" else ~level.in_mask
        for name, group in self.groups.items():
          found = forgetting.forgetting(
            level.before,
            level.margin,
            level.after,
            selected,
            group,
            level.bootstrap,
            self.ordinary,
          )
          rows.append(
            {"recipe": level.recipe, "where": where, "group": name}
            | dataclasses.asdict(found)
          )
    return pd.DataFrame(rows)

  @functools.cached_property
  def by_level(self) -> pd.DataFrame:
    """One row per recipe: what it does to means, and its counts."""
    rows = []
    for level in self.levels:
      row: dict = {"recipe": level.recipe, "num_runs": len(level.in_mask)}
      for name, values in level.changes.items():
        row |= {f"{name}{end}": v for end, v in zip(_COLUMNS, values)}
      for name in FACTS:
        row[name] = level.facts.get(name, float("nan"))
        row[f"{name}_before"] = level.source_facts.get(name, float("nan"))
      rows.append(row)
    return pd.DataFrame(rows)

  @functools.cached_property
  def by_example(self) -> pd.DataFrame:
    """One row per recipe and example: how often it was forgotten."""
    parts = []
    for level in self.levels:
      right = level.before & level.in_mask
      parts.append(
        pd.DataFrame(
          {
            "recipe": level.recipe,
            "example_id": np.arange(len(self.kind)),
            "label": self.examples["label"].to_numpy(),
            "kind": self.kind,
            "memorization_before": self.memorization,
            "memorization_after": level.memorization,
            "num_right_in": right.sum(axis=0),
            "num_forgotten_in": (right & ~level.after).sum(axis=0),
          }
        )
      )
    return pd.concat(parts, ignore_index=True)

  @functools.cached_property
  def sentences(self) -> list[str]:
    """What the intervals carry: of each recipe its changes and what it forgets.

    Of the groups only the most memorized in the subset: the table has the rest.
    """
    found = []
    for level in self.levels:
      found.append(sentences_lib.changes(level.recipe, level.changes))
      rows = self.forgotten
      chosen = rows[
        (rows["recipe"] == level.recipe)
        & (rows["where"] == "in")
        & (rows["group"] == forgetting.MOST_MEMORIZED)
      ]
      found += [
        sentences_lib.forgotten(row) for row in chosen.to_dict("records")
      ]
    return found

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name."""
    tables = {
      "levels": self.by_level,
      "forgotten": self.forgotten,
      "examples": self.by_example,
      "findings": pd.DataFrame({"text": self.sentences}),
    }
    return {
      name: pd.concat(
        [pd.Series([self.model] * len(frame), name="model"), frame], axis=1
      )
      for name, frame in tables.items()
    }


def compare_compressed(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: Sequence[groups.GroupScores],
  studies: Sequence[sizes.SizeStudy] = (),
) -> list[CompressionStudy]:
  """Compares every model's compressed recipes with one_hot, and writes tables.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`.
    studies: over sizes; the shape classes of one_hot are groups of examples.

  Returns:
    One per model and subset family that has compressed runs beside those that
    they were made from, and held-out runs of both.
  """
  compressed = [
    name
    for name, recipe in plan.recipes.items()
    if isinstance(recipe, recipes_lib.CompressedRecipe)
  ]
  by_group = {result.group: result for result in results}
  found = []
  for result in results if compressed else ():
    if result.group.recipe != "one_hot" or result.margin_tally is None:
      continue
    others = [by_group.get(result.group._replace(recipe=r)) for r in compressed]
    levels = [_level(directory, result, o) for o in others if o is not None]
    known = tuple(level for level in levels if level is not None)
    if known:
      study = _study(result, known, studies)
      _write(directory, study)
      found.append(study)
  return found


def _study(result, levels, studies) -> CompressionStudy:
  kind, _ = result.kinds()
  more = {}
  for study in studies:
    is_same = (study.recipe, study.subsets) == result.group[1:]
    if is_same and result.group.label in study.models:
      classes = study.classes.shape_class
      more = {
        f"shape: {name}": classes == name
        for name in np.unique(classes)
        if name != "constant"
      }
  return CompressionStudy(
    model=result.group.model,
    subsets=result.group.subsets,
    examples=result.examples,
    memorization=result.scores.memorization,
    kind=np.asarray(kind),
    more_groups=more,
    levels=levels,
  )


def _level(directory, before, after) -> Level | None:
  """The runs that both groups have; None if there are none."""
  indices = [[u.index for u in g.stack.units] for g in (before, after)]
  shared = sorted(set(indices[0]) & set(indices[1]))
  if not shared:
    return None
  old, new = ([own.index(m) for m in shared] for own in indices)
  family = subsets_lib.parse_family(before.group.subsets)
  facts = [_facts(directory, after.stack.units[i]) for i in new]
  return Level(
    recipe=after.group.recipe,
    in_mask=before.stack.in_mask[old],
    before=before.stack.correct[old],
    after=after.stack.correct[new],
    margin=before.stack.margin[old],
    test_before=before.stack.test_correct[old],
    test_after=after.stack.test_correct[new],
    memorization=after.scores.memorization,
    facts=_mean_facts(facts),
    source_facts=_mean_facts([f.get("source", {}) for f in facts]),
    block=np.array(shared, int) // family.block,
  )


def _facts(directory, unit) -> dict:
  state = directory.run_state(unit, check_digests=False)
  found = (state.record or {}).get("compressed", {})
  return found if isinstance(found, dict) else {}


def _mean_facts(facts: list[dict]) -> dict[str, float]:
  found = {}
  for name in FACTS:
    values = [f.get(name) for f in facts]
    known = [float(v) for v in values if isinstance(v, (int, float))]
    if known:
      found[name] = float(np.mean(known))
  return found


def _write(
  directory: directory_lib.StudyDirectory, study: CompressionStudy
) -> None:
  """Writes each table as Parquet and as CSV."""
  place = ("findings", "compression", study.model, study.subsets)
  table_files.write(directory, place, study.tables())
