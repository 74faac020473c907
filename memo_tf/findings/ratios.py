"""Memorization by subset ratio: files, and what they say in words.

    findings/ratios/<model>/<recipe>/ratios.parquet and .csv
    findings/ratios/<model>/<recipe>/ranks.parquet and .csv
    findings/ratios/<model>/<recipe>/all_data.parquet and .csv

Written where a study has subset families of two ratios or more
(`--subset_families=r0.50,r0.90`), each with four blocks of runs. Imports no
TensorFlow.
"""

from collections.abc import Sequence
import dataclasses
import itertools

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis import agreement
from memo_tf.analysis import ratios as analysis
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import resampling
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import cross_fit
from memo_tf.findings import table_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib

_WITHOUT = ("full", "two_sizes")
_NAMES = ("memorization", "in_accuracy", "out_accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatioStudy:
  """One model and recipe over subset ratios.

  Attributes:
    model, recipe: of the runs.
    ratios: one row per family, by ratio: mean memorization, accuracies.
    ranks: one row per two ratios: `analysis.ratios.RankStability`.
    all_data: one row: `analysis.ratios.Extrapolation`.
    sentences: what they say.
  """

  model: str
  recipe: str
  ratios: pd.DataFrame
  ranks: pd.DataFrame
  all_data: pd.DataFrame
  sentences: tuple[str, ...]


def study_ratios(
  directory: directory_lib.StudyDirectory,
  results: Sequence[groups_lib.GroupScores],
) -> list[RatioStudy]:
  """Studies every model and recipe with two ratios; writes the tables.

  Args:
    directory: of the study.
    results: `scoring.score_study`.
  """
  found = []
  for (model, recipe), members in _families(results).items():
    if len(members) < 2:
      continue
    one = study(model, recipe, members)
    table_files.write(
      directory,
      ("findings", "ratios", model, recipe),
      {name: getattr(one, name) for name in ("ratios", "ranks", "all_data")},
    )
    found.append(one)
  return found


def study(
  model: str, recipe: str, members: dict[float, groups_lib.GroupScores]
) -> RatioStudy:
  """One model and recipe.

  Args:
    model: its name.
    recipe: its name.
    members: at least two groups by ratio, ascending.
  """
  rows, errors, runs, degrees = [], [], {}, []
  for ratio, member in members.items():
    stack = member.stack
    runs[ratio] = analysis.RunsOfRatio(
      correct=stack.correct, in_mask=stack.in_mask, group=_groups(member)
    )
    bootstrap = resampling.paired_bootstrap(
      len(stack.units), block=cross_fit.blocks_of(member)
    )
    if bootstrap is None:  # `_families` takes those with four blocks
      raise ValueError(f"{member.group.name} has fewer than two blocks")
    values = trends.statistic_by_size(
      stack.correct[None], stack.in_mask, bootstrap, _means
    )
    row = trends.table(bootstrap, values, _NAMES).iloc[0].to_dict()
    quantile = stats.t.ppf(0.975, bootstrap.num_blocks - 1)
    width = row["memorization_high"] - row["memorization_low"]
    errors.append(width / 2 / quantile)
    degrees.append(bootstrap.num_blocks - 1)
    test = stack.test_correct
    rows.append(
      {
        "ratio": ratio,
        "subsets": member.group.subsets,
        "num_runs": len(stack.units),
        **row,
        "test_accuracy": float(test.mean()) if test.size else np.nan,
      }
    )
  ranks = [
    {"first": a, "second": b}
    | dataclasses.asdict(analysis.rank_stability(runs[a], runs[b]))
    for a, b in itertools.combinations(members, 2)
  ]
  table = pd.DataFrame(rows)
  everything, lines = _all_data(table, errors, min(degrees))
  return RatioStudy(
    model=model,
    recipe=recipe,
    ratios=table,
    ranks=pd.DataFrame(ranks),
    all_data=everything,
    sentences=tuple(_sentences(table, ranks) + lines),
  )


def _means(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
  """Mean memorization and accuracies, of the examples that have them."""
  parts = (in_mean - out_mean, in_mean, out_mean)
  return np.array([np.nanmean(part) for part in parts])


def _families(
  results,
) -> dict[tuple[str, str], dict[float, groups_lib.GroupScores]]:
  """Groups by model and recipe, then by ratio; of one ratio the first."""
  found: dict[tuple[str, str], dict[float, groups_lib.GroupScores]] = {}
  ordered = sorted(
    results, key=lambda r: subsets_lib.parse_family(r.group.subsets).ratio
  )
  for result in ordered:
    family = subsets_lib.parse_family(result.group.subsets)
    # Complements depend on the subsets that they are of.
    if family.scheme in _WITHOUT or family.complement_of:
      continue
    if _groups(result).max() + 1 < agreement.MIN_GROUPS:
      continue
    key = (result.group.model, result.group.recipe)
    found.setdefault(key, {}).setdefault(family.ratio, result)
  return found


def _groups(result) -> np.ndarray:
  return agreement.groups_of(cross_fit.blocks_of(result))


def _all_data(table, errors, degrees) -> tuple[pd.DataFrame, list[str]]:
  """The extrapolation, and its sentence; neither where runs do not vary."""
  if not all(error > 0 for error in errors):
    return pd.DataFrame(), []
  found = analysis.extrapolation(
    table["ratio"], table["memorization"], errors, degrees
  )
  return pd.DataFrame([dataclasses.asdict(found)]), [
    "With all the data, lines through these means give "
    f"{found.linear:.4f} (linear in the ratio) and {found.logarithmic:.4f} "
    f"(in its logarithm); interval over both [{found.ci_low:.4f}, "
    f"{found.ci_high:.4f}]. It is an extrapolation."
  ]


def _sentences(table: pd.DataFrame, ranks: list[dict]) -> list[str]:
  means = [
    f"{row.ratio:g}: {row.memorization:.4f} [{row.memorization_low:.4f}, "
    f"{row.memorization_high:.4f}]"
    for row in table.itertuples()
  ]
  lines = [f"Mean memorization by subset ratio: {'; '.join(means)}."]
  for rank in ranks:
    lines.append(
      f"Between ratios {rank['first']:g} and {rank['second']:g} scores "
      f"correlate {rank['correlation']:.2f} (Spearman, halves of the runs), "
      f"{rank['corrected']:.2f} [{rank['ci_low']:.2f}, {rank['ci_high']:.2f}] "
      "without noise."
    )
  return lines
