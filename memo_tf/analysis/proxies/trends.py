"""Changes over model sizes: does a proxy's distribution move as memorization's?

A proxy may rank the examples as memorization does at each size, and still miss
what changes with size: its mean may move the other way, its distribution keep
one mode, its trajectories have other shapes (Lukasik et al., 2024,
arXiv:2310.05337).

Proxies are oriented here, larger meaning more memorized; an unsigned one is
compared as it is. Sizes are in the order of `memorization`, smallest first.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis import evidence
from memo_tf.analysis.proxies import criteria
from memo_tf.analysis.proxies import measured
from memo_tf.analysis.proxies import shapes
from memo_tf.analysis.sizes import distribution
from memo_tf.estimators import resampling

MEMORIZATION = "memorization"
RISES, FALLS, UNSURE = evidence.RISES, evidence.FALLS, evidence.UNSURE
# Width of the interval at each end of [0, 1] that counts as the end's mass.
END = 0.1
_ROUNDING = 1e-9


def distributions(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  confidence: float = 0.95,
) -> pd.DataFrame:
  """Mean and shape of the distribution of every score at every size.

  Args:
    memorization, proxies, signs: as in `tables.compare_proxies`.
    confidence: of the intervals.

  Returns:
    A table with one row per score and size: `score` (memorization or a proxy),
    `size`, `mean` of the values (not oriented) with `ci_low`, `ci_high`,
    `drawn`; and of the oriented values scaled to [0, 1] by `min_max`
    (memorization: as it is) `normalized_mean`, `mass_low` and `mass_high`, the
    shares up to 0.1 and from 0.9, and `bimodality`, Sarle's coefficient.
  """
  rows = []
  for score, by_size in {MEMORIZATION: memorization, **proxies}.items():
    sizes = [size for size in memorization if size in by_size]
    if not sizes:
      continue
    raw = np.stack([by_size[size].values for size in sizes])
    if score == MEMORIZATION:
      unit = raw
    else:
      unit = shapes.normalized((signs[score] or 1) * raw)
    for size, values in zip(sizes, unit):
      known = values[~np.isnan(values)]
      mean, low, high, drawn = _mean(by_size[size], confidence)
      rows.append(
        {
          "score": score,
          "size": size,
          "mean": mean,
          "ci_low": low,
          "ci_high": high,
          "drawn": drawn,
          "normalized_mean": _share(known),
          "mass_low": _share(known <= END + _ROUNDING),
          "mass_high": _share(known >= 1 - END - _ROUNDING),
          "bimodality": distribution.sarle(known),
        }
      )
  return pd.DataFrame(rows)


def steps(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  confidence: float = 0.95,
) -> pd.DataFrame:
  """Change of every score's mean from one size to the next.

  Args:
    memorization, proxies, signs: as in `tables.compare_proxies`.
    confidence: of the intervals.

  Returns:
    A table with one row per score and pair of neighbouring sizes: `score`,
    `from_size`, `to_size`, `change` of the oriented mean over the examples that
    have both, `ci_low`, `ci_high`, `drawn`, and `direction`: rises or falls if
    the interval excludes 0, else unsure. Without replicates (one recording run)
    the interval is the normal one over examples, as `drawn` says, and does not
    include the variation between runs.
  """
  rows = []
  for score, by_size in {MEMORIZATION: memorization, **proxies}.items():
    sign = 1 if score == MEMORIZATION else signs[score]
    sizes = [size for size in memorization if size in by_size]
    for before, after in zip(sizes, sizes[1:]):
      moved = by_size[after].turned(sign) - by_size[before].turned(sign)
      change, low, high, drawn = _mean(moved, confidence)
      rows.append(
        {
          "score": score,
          "from_size": before,
          "to_size": after,
          "change": change,
          "ci_low": low,
          "ci_high": high,
          "drawn": drawn,
          "direction": evidence.direction(low, high),
        }
      )
  return pd.DataFrame(
    rows,
    columns=[
      "score",
      "from_size",
      "to_size",
      "change",
      "ci_low",
      "ci_high",
      "drawn",
      "direction",
    ],
  )


def with_steps(own: pd.DataFrame, study: pd.DataFrame) -> pd.DataFrame:
  """The table of `steps` with memorization's rows from a study over sizes.

  Args:
    own: from `steps`.
    study: rows of memorization, with `from_size`, `to_size`, `change`,
      `ci_low`, `ci_high`. A step that is not among them becomes unsure.
  """
  found = own.copy()
  rows = {(r["from_size"], r["to_size"]): r for r in study.to_dict("records")}
  for index in own.index[own["score"] == MEMORIZATION]:
    step = rows.get((own.at[index, "from_size"], own.at[index, "to_size"]))
    if step is None:
      found.at[index, "direction"] = UNSURE
      continue
    for column in ("change", "ci_low", "ci_high"):
      found.at[index, column] = step[column]
    low, high = float(step["ci_low"]), float(step["ci_high"])
    found.at[index, "direction"] = evidence.direction(low, high)
  return found


def changes(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  settings: criteria.ComparisonSettings | None = None,
) -> pd.DataFrame:
  """Correlation over examples of the changes from smallest to largest size.

  The reliability of a change is that of two halves of the blocks, the same at
  both sizes; its square root is the ceiling that a perfect proxy would reach.

  Args:
    memorization, proxies, signs: as in `tables.compare_proxies`.
    settings: None for the defaults.

  Returns:
    For each proxy that has two sizes the rows `change_spearman`,
    `change_pearson` and `change_kendall`, with `proxy`, `size` ("LAST - FIRST")
    and the columns of `criteria.compare_at_size`.
  """
  settings = settings or criteria.ComparisonSettings()
  table = []
  for name, by_size in proxies.items():
    sizes = [size for size in memorization if size in by_size]
    if len(sizes) < 2:
      continue
    first, last = sizes[0], sizes[-1]
    moved = memorization[last] - memorization[first]
    proxy = by_size[last].turned(signs[name]) - by_size[first].turned(
      signs[name]
    )
    known, one, other = measured.replicate_rows(moved, proxy)
    if known.sum() < 2:
      continue
    for kind, values in criteria.correlations(one, other, settings).items():
      row = criteria.criterion(
        kind, values, known.sum(), settings, measured.fewest(moved, proxy)
      )
      row |= criteria.corrected(row, moved, proxy)
      row |= criteria.ceiling(row, moved)
      row |= {
        "proxy": name,
        "size": f"{last} - {first}",
        "criterion": f"change_{kind}",
        "drawn": ", ".join(d for d in (moved.drawn, proxy.drawn) if d),
        "shares_runs": proxy.shares_runs,
      }
      table.append(row)
  return pd.DataFrame(table, columns=["proxy", "size", *criteria.COLUMNS])


def _mean(score: measured.Measured, confidence: float):
  """(mean, low, high, what was redrawn) of a score over its examples."""
  known = ~np.isnan(score.values)
  values = score.values[known]
  if not len(values):
    return np.nan, np.nan, np.nan, ""
  mean = float(values.mean())
  if score.replicates is not None:
    again = score.replicates[:, known]
    again = np.where(np.isnan(again), values, again).mean(axis=1)
    return (
      mean,
      *resampling.interval(
        mean, again, num_drawn=score.num_drawn, confidence=confidence
      ),
      score.drawn,
    )
  if len(values) < 2:
    return mean, np.nan, np.nan, ""
  reach = stats.norm.ppf(0.5 + confidence / 2) * stats.sem(values)
  return mean, mean - float(reach), mean + float(reach), "examples"


def _share(values: np.ndarray) -> float:
  return float(np.mean(values)) if len(values) else float("nan")
