"""Runs of which only the last layer was trained, beside whole runs.

    findings/frozen/<model>/<subsets>/figures.parquet and .csv
    findings/frozen/<model>/<subsets>/examples.parquet and .csv
    findings/frozen/<model>/<subsets>/findings.parquet and .csv

The negative control of Feldman & Zhang (2020, arXiv:2008.03703): the layers
before the last one saw all examples (`recipes.frozen`), so that a run that
holds an example out has met it all the same, and what is left of memorization
is that of a linear layer. Paired over the subsets that both recipes have.
Imports no TensorFlow.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis import evidence
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import resampling
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import cross_fit
from memo_tf.findings import table_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib

BASELINE = "one_hot"
# Of the figures; `at_least` and `at_most` count images.
MEMORIZATION, TEST, PAIRS = "memorization", "test_accuracy", "influence_pairs"
AT_LEAST, AT_MOST = "images_at_least", "images_at_most_minus"
WRONG = "memorization_of_wrong_labels"  # planted ones
_BY_EXAMPLE = (MEMORIZATION, "in_accuracy", "out_accuracy", AT_LEAST, AT_MOST)
_ENDS = ("", "_low", "_high")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenControl:
  """One frozen recipe beside one_hot, of one model and subset family.

  Attributes:
    model, subsets, recipe: names; `recipe` is the frozen one.
    num_runs: of each recipe, on the same subsets.
    threshold: memorization from which images are counted, and of pairs.
    figures: one row per figure: `one_hot`, `frozen`, `change`, each with its
      95 % interval, over subsets and for this one source of features;
      `all_examples`, of the run that they are of; NaN where a figure has none.
    examples: one row per training example: both scores, each by all runs of its
      recipe.
    sentences: what they say.
  """

  model: str
  subsets: str
  recipe: str
  num_runs: int
  threshold: float
  figures: pd.DataFrame
  examples: pd.DataFrame
  sentences: tuple[str, ...]

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name."""
    tables = {
      "figures": self.figures,
      "examples": self.examples,
      "findings": pd.DataFrame({"text": self.sentences}),
    }
    found = {}
    for name, frame in tables.items():
      found[name] = frame.copy()
      found[name].insert(0, "recipe", self.recipe)
    return found


def compare_frozen(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: Sequence[groups_lib.GroupScores],
) -> list[FrozenControl]:
  """Compares every model's frozen recipes with one_hot; writes the tables.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`.

  Returns:
    One per model, subset family and frozen recipe that has two runs or more on
    the subsets of one_hot.
  """
  recipes = [
    name
    for name in plan.config.models.recipes
    if isinstance(plan.recipes[name], recipes_lib.FrozenRecipe)
  ]
  by_group = {result.group: result for result in results}
  found = []
  for group, whole in by_group.items():
    scheme = subsets_lib.parse_family(group.subsets).scheme
    if group.recipe != BASELINE or scheme == subsets_lib.FULL:
      continue
    source = by_group.get(group._replace(subsets=subsets_lib.FULL))
    others = [by_group.get(group._replace(recipe=name)) for name in recipes]
    controls = [
      made
      for other in others
      if other is not None
      and (made := compare(whole, other, source, plan.config.outputs))
    ]
    if controls:
      _write(directory, controls)
      found += controls
  return found


def compare(
  whole: groups_lib.GroupScores,
  frozen: groups_lib.GroupScores,
  source: groups_lib.GroupScores | None,
  outputs: settings_lib.OutputsConfig,
) -> FrozenControl | None:
  """One model; None with fewer than two runs that both recipes have.

  Args:
    whole: the scores of one_hot.
    frozen: those of the frozen recipe.
    source: of the runs on all examples, if there are any.
    outputs: thresholds of memorization and influence.
  """
  indices = [[u.index for u in g.stack.units] for g in (whole, frozen)]
  shared = sorted(set(indices[0]) & set(indices[1]))
  rows = [[own.index(m) for m in shared] for own in indices]
  if len(shared) < 2:
    return None
  bootstrap = resampling.paired_bootstrap(
    len(shared), block=cross_fit.blocks_of(whole)[rows[0]]
  )
  if bootstrap is None:  # there are two runs
    raise ValueError(f"a comparison needs two runs. Received: {len(shared)}")
  both = [(g.stack, r) for g, r in zip((whole, frozen), rows)]
  threshold = outputs.min_memorization
  wrong = whole.examples["is_noisy"].to_numpy(dtype=bool)
  values = trends.statistic_by_size(
    np.stack([stack.correct[r] for stack, r in both]),
    whole.stack.in_mask[rows[0]],
    bootstrap,
    lambda a, b: _statistics(a, b, threshold, wrong),
  )
  names = [*_BY_EXAMPLE, *([WRONG] if wrong.any() else [])]
  if len(whole.stack.test_labels):
    weights = bootstrap.weights
    tests = np.stack([s.test_correct[r].mean(axis=1) for s, r in both], axis=1)
    by_run = weights @ tests / weights.sum(axis=1, keepdims=True)
    values = np.concatenate([values, by_run[:, :, None]], axis=2)
    names.append(TEST)
  pairs = _num_pairs((whole, frozen), outputs)
  figures = _figures(names, values, bootstrap, pairs, source)
  model, _, subsets = frozen.group
  return FrozenControl(
    model=model,
    subsets=subsets,
    recipe=frozen.group.recipe,
    num_runs=len(shared),
    threshold=threshold,
    figures=figures,
    examples=pd.DataFrame(
      {
        "example_id": np.arange(len(whole.stack.labels)),
        "label": whole.stack.labels,
        "memorization_one_hot": whole.scores.memorization,
        "memorization_frozen": frozen.scores.memorization,
      }
    ),
    sentences=tuple(_sentences(figures, frozen.group.recipe, outputs)),
  )


def _statistics(
  in_mean: np.ndarray, out_mean: np.ndarray, threshold: float, wrong: np.ndarray
) -> np.ndarray:
  """The figures `_BY_EXAMPLE` of accuracies `[N]`; of wrong labels, if any."""
  scores = in_mean - out_mean
  found = [trends.known_mean(part) for part in (scores, in_mean, out_mean)]
  found += [(scores >= threshold).sum(), (scores <= -threshold).sum()]
  if wrong.any():
    found.append(trends.known_mean(scores[wrong]))
  return np.array(found)


def _num_pairs(members, outputs) -> list[float]:
  """How many influence pairs each has; empty if that does not compare."""
  # They are those of all runs of a recipe; of the top k all have as many.
  indices = [[u.index for u in member.stack.units] for member in members]
  if outputs.influence_top_k or indices[0] != indices[1]:
    return []
  pairs = [m.influence for m in members if m.influence is not None]
  return [float(len(p)) for p in pairs] if len(pairs) == len(members) else []


def _figures(names, values, bootstrap, pairs, source) -> pd.DataFrame:
  """The table of `FrozenControl.figures`; `values` are `[R + 1, 2, K]`."""
  change = values[:, 1] - values[:, 0]
  found: dict[str, np.ndarray] = {}
  for column, drawn in (
    (BASELINE, values[:, 0]),
    ("frozen", values[:, 1]),
    ("change", change),
  ):
    ends = bootstrap.intervals(drawn)
    found |= {f"{column}{end}": ends[:, k] for k, end in enumerate(_ENDS)}
  table = pd.DataFrame({"figure": names, **found})
  is_count = table["figure"].isin([AT_LEAST, AT_MOST])
  for column in (f"{BASELINE}_low", "frozen_low"):
    table.loc[is_count, column] = table.loc[is_count, column].clip(lower=0)
  if pairs:
    row = {"figure": PAIRS, BASELINE: pairs[0], "frozen": pairs[1]}
    row["change"] = pairs[1] - pairs[0]
    table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
  table["all_examples"] = np.nan
  if source is not None:
    # The features are of index 0; others may be teachers of students.
    is_source = np.array([unit.index == 0 for unit in source.stack.units])
    for name, right in (
      ("in_accuracy", source.stack.correct[is_source]),
      (TEST, source.stack.test_correct[is_source]),
    ):
      if right.size:
        table.loc[table["figure"] == name, "all_examples"] = right.mean()
  return table


def _sentences(table: pd.DataFrame, recipe: str, outputs) -> list[str]:
  """What the figures say, no more than their intervals."""
  rows = {row["figure"]: row for row in table.to_dict("records")}
  row = rows[MEMORIZATION]
  interval = f"[{row['change_low']:+.4f}, {row['change_high']:+.4f}]"
  means = f"{row['frozen']:.4f} instead of {row[BASELINE]:.4f}"
  start = f"{recipe}: on features that saw all images mean memorization is "
  text = {
    evidence.FALLS: f"{means}, lower by {-row['change']:.4f} {interval}, as a "
    "negative control must be",
    evidence.RISES: f"{means}, higher by {row['change']:.4f} {interval}: this "
    "is no negative control",
    evidence.UNSURE: f"{means}; whether it is lower cannot be told "
    f"({row['change']:+.4f} {interval})",
  }[evidence.direction(row["change_low"], row["change_high"])]
  lines = [f"{start}{text}."]
  high, low = rows[AT_LEAST], rows[AT_MOST]
  limit = outputs.min_memorization
  text = (
    f"{recipe}: images with memorization of at least {limit:g}: "
    f"{high['frozen']:.0f}, with whole models {high[BASELINE]:.0f} (change "
    f"{high['change']:+.0f} [{high['change_low']:+.0f}, "
    f"{high['change_high']:+.0f}])"
  )
  if limit > 0:
    text += (
      f"; of at most {-limit:g}, as by noise: {low['frozen']:.0f} and "
      f"{low[BASELINE]:.0f}"
    )
  lines.append(f"{text}.")
  if PAIRS in rows:
    pairs = rows[PAIRS]
    lines.append(
      f"{recipe}: pairs with influence of at least {outputs.min_influence:g}: "
      f"{pairs['frozen']:.0f}, with whole models {pairs[BASELINE]:.0f}."
    )
  return lines


def _write(
  directory: directory_lib.StudyDirectory, controls: Sequence[FrozenControl]
) -> None:
  """Writes the tables of the frozen recipes of one model and subset family."""
  first = controls[0]
  tables: dict[str, list[pd.DataFrame]] = {}
  for control in controls:
    for name, frame in control.tables().items():
      tables.setdefault(name, []).append(frame)
  table_files.write(
    directory,
    ("findings", "frozen", first.model, first.subsets),
    {n: pd.concat(frames, ignore_index=True) for n, frames in tables.items()},
  )
