"""Verdict per proxy: does it track the ranking, the trend, both, neither?

The rule, on the ends of intervals:

* *Ranking*: at every size the lower end of Spearman's correlation with
  memorization is at least `min_ranking`.
* *Trend*: wherever the mean memorization certainly changes from one size to
  the next (its interval excludes 0), the proxy's oriented mean certainly
  changes in the same direction; and the lower end of Spearman's correlation of
  the changes, from the smallest to the largest size, is at least `min_change`.

Correlations are used as observed, not corrected for noise: a proxy is used with
its noise. Where an interval is missing nothing is tracked. An unsigned proxy is
judged as it is.
"""

import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis.proxies import trends

MIN_RANKING = 0.5
MIN_CHANGE = 0.3
BOTH, RANKING = "tracks both", "tracks the ranking"
TREND, NEITHER = "tracks the trend", "tracks neither"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerdictSettings:
  """Thresholds for what counts as tracking.

  Attributes:
    min_ranking: least lower end of Spearman's correlation at every size.
    min_change: least lower end of Spearman's correlation of the changes.
  """

  min_ranking: float = MIN_RANKING
  min_change: float = MIN_CHANGE


def verdicts(
  criteria: pd.DataFrame,
  steps: pd.DataFrame,
  changes: pd.DataFrame,
  *,
  settings: VerdictSettings | None = None,
) -> pd.DataFrame:
  """Verdict in words for each proxy.

  Args:
    criteria: from `criteria.compare_sizes`.
    steps: from `trends.steps`.
    changes: from `trends.changes`.
    settings: None for the defaults.

  Returns:
    A table with one row per proxy, in the order of `criteria`: `proxy`,
    `verdict`, `tracks_ranking` and `tracks_trend` (bool; the latter None with a
    single size, which has no trend), and `reason`, a sentence with the numbers.
  """
  settings = settings or VerdictSettings()
  rows = []
  for name in criteria["proxy"].unique():
    ranking, why = _ranking(criteria[criteria["proxy"] == name], settings)
    trend, why_trend = _trend(
      steps[steps["score"] == trends.MEMORIZATION],
      steps[steps["score"] == name],
      changes[changes["proxy"] == name],
      settings,
    )
    verdict = {
      (True, True): BOTH,
      (True, False): RANKING,
      (False, True): TREND,
    }.get((ranking, bool(trend)), NEITHER)
    rows.append(
      {
        "proxy": name,
        "verdict": verdict,
        "tracks_ranking": ranking,
        "tracks_trend": trend,
        "reason": f"{why}; {why_trend}.",
      }
    )
  return pd.DataFrame(
    rows,
    columns=["proxy", "verdict", "tracks_ranking", "tracks_trend", "reason"],
  )


def _ranking(table: pd.DataFrame, settings) -> tuple[bool, str]:
  """Whether the ranking is tracked at every size, and why."""
  found = table[table["criterion"] == "spearman"]
  low = found["ci_low"].to_numpy(np.float64)
  if not len(low) or np.isnan(low).any():
    return False, "Spearman's correlation has no interval at some size"
  worst = found.iloc[int(low.argmin())]
  text = (
    f"Spearman's correlation is {worst['estimate']:.2f}, "
    f"at least {worst['ci_low']:.2f}"
  )
  if len(low) > 1:
    text += f", at {worst['size']}, the lowest of {len(low)} sizes"
  return bool(low.min() >= settings.min_ranking), text


def _trend(memorization, proxy, changes, settings) -> tuple[bool | None, str]:
  """Whether the trend is tracked, and why; None with one size."""
  if not len(proxy):
    return None, "one size has no trend"
  missed, same = [], 0
  for step in memorization.itertuples():
    if step.direction == trends.UNSURE:
      continue
    own = proxy[
      (proxy["from_size"] == step.from_size)
      & (proxy["to_size"] == step.to_size)
    ]
    if not len(own):
      missed.append(f"{step.from_size} to {step.to_size} is not recorded")
    elif own["direction"].iloc[0] == step.direction:
      same += 1
    else:
      said = own["direction"].iloc[0]
      said = "is unsure" if said == trends.UNSURE else said
      missed.append(
        f"from {step.from_size} to {step.to_size} mean memorization "
        f"{step.direction} and the proxy's {said}"
      )
  row = changes[changes["criterion"] == "change_spearman"]
  low = float(row["ci_low"].iloc[0]) if len(row) else float("nan")
  follows = low >= settings.min_change
  if np.isnan(low):
    moved = "changes have no interval"
  else:
    moved = (
      f"changes correlate {row['estimate'].iloc[0]:.2f}, at least {low:.2f}"
    )
  if missed:
    means = "; ".join(missed)
  elif same:
    means = f"the mean moves with memorization's at {same} of {same} sure steps"
  else:
    means = "mean memorization moves for sure at no step"
  return bool(follows and not missed), f"{moved}; {means}"
