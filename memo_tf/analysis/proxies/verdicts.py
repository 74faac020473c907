"""Verdict per proxy: does it track the ranking, and the trend over sizes?

Each question is answered yes, no or cannot tell. A correlation with measured
memorization is divided by its ceiling, the square root of the reliability of
memorization (or of its change): what is left is the correlation with the true
scores. The ends of its interval combine those of both intervals: the lower end
divides by the ceiling's upper end, the upper end by its lower end.

* *Ranking*: yes if the lower end of Spearman's correlation with memorization,
  so corrected, is at least `min_ranking` at every size; no if the upper end is
  below it at some size.
* *Trend*: of the change from the smallest to the largest size the same, with
  `min_change`; and wherever the mean memorization certainly changes from one
  size to the next (its interval excludes 0), the proxy's oriented mean must
  certainly change in the same direction. No if the correlation says no, or a
  mean certainly moves the other way.

Where the reliability is not certainly above 0, there is nothing to track:
cannot tell. The proxy's own noise is not taken out: a proxy is used with it. A
proxy that comes from the runs of memorization gets no verdict. An unsigned one
is judged as it is.
"""

import dataclasses
import math

import numpy as np
import pandas as pd

from memo_tf.analysis.proxies import trends

MIN_RANKING = 0.5
MIN_CHANGE = 0.3
YES, NO, UNKNOWN = "yes", "no", "cannot tell"
SHARES_RUNS = "no verdict: shares runs"
COLUMNS = ("proxy", "verdict", "tracks_ranking", "tracks_trend", "reason")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerdictSettings:
  """Thresholds for what counts as tracking.

  Attributes:
    min_ranking: least Spearman's correlation with the true memorization.
    min_change: least Spearman's correlation of the true changes.
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
    A table with one row per proxy, in the order of `criteria`: `proxy`;
    `verdict` ("ranking: yes, trend: cannot tell"); `tracks_ranking` and
    `tracks_trend`, each yes, no or cannot tell (the latter None with a single
    size, which has no trend; both None if the proxy shares runs); and `reason`,
    a sentence with the numbers.
  """
  settings = settings or VerdictSettings()
  rows: list[tuple] = []
  for name in criteria["proxy"].unique():
    table = criteria[criteria["proxy"] == name]
    ranking, why = _ranking(table, settings)
    trend, why_trend = _trend(
      steps[steps["score"] == trends.MEMORIZATION],
      steps[steps["score"] == name],
      changes[changes["proxy"] == name],
      settings,
    )
    reason = f"{why}; {why_trend}."
    if table["shares_runs"].any():
      reason = f"it comes from the runs of memorization; {reason}"
      rows.append((name, SHARES_RUNS, None, None, reason))
      continue
    verdict = f"ranking: {ranking}"
    if trend is not None:
      verdict += f", trend: {trend}"
    rows.append((name, verdict, ranking, trend, reason))
  return pd.DataFrame(rows, columns=list(COLUMNS))


def _ranking(table: pd.DataFrame, settings) -> tuple[str, str]:
  """Whether the ranking is tracked at every size, and why."""
  found = table[table["criterion"] == "spearman"]
  rows = found.to_dict("records")
  ends = [_true_correlation(row) for row in rows]
  answers = [_answer(*pair, settings.min_ranking) for pair in ends]
  if not answers:
    return UNKNOWN, "there is no correlation with memorization"
  answer = NO if NO in answers else UNKNOWN if UNKNOWN in answers else YES
  lows = [low for low, _ in ends]
  worst = answers.index(answer)
  if not np.isnan(lows).all():
    alike = [k for k, a in enumerate(answers) if a == answer]
    worst = min(alike, key=lambda k: math.inf if np.isnan(lows[k]) else lows[k])
  text = "Spearman's correlation " + _numbers(rows[worst], *ends[worst])
  if len(rows) > 1:
    text += f", at {rows[worst]['size']}"
  return answer, text


def _trend(memorization, proxy, changes, settings) -> tuple[str | None, str]:
  """Whether the trend is tracked, and why; None with one size."""
  if not len(proxy):
    return None, "one size has no trend"
  rows = changes[changes["criterion"] == "change_spearman"].to_dict("records")
  if not rows:
    return UNKNOWN, "changes have no correlation"
  low, high = _true_correlation(rows[0])
  follows = _answer(low, high, settings.min_change)
  moved = "the correlation of changes " + _numbers(rows[0], low, high)
  means, why = _means(memorization, proxy)
  answers = (follows, means)
  answer = NO if NO in answers else UNKNOWN if UNKNOWN in answers else YES
  if np.isnan(low):  # no certain change of single examples to track
    answer = UNKNOWN
  return answer, f"{moved}; {why}"


def _means(memorization, proxy) -> tuple[str, str]:
  """Whether the means move alike wherever memorization's surely moves."""
  against, unsure, same = [], [], 0
  for step in memorization.itertuples():
    if step.direction == trends.UNSURE:
      continue
    own = proxy[
      (proxy["from_size"] == step.from_size)
      & (proxy["to_size"] == step.to_size)
    ]
    said = own["direction"].iloc[0] if len(own) else "is not recorded"
    text = (
      f"from {step.from_size} to {step.to_size} mean memorization "
      f"{step.direction} and the proxy's "
    )
    if said == step.direction:
      same += 1
    elif said in (trends.RISES, trends.FALLS):
      against.append(text + said)
    else:
      unsure.append(text + said.replace(trends.UNSURE, "is unsure"))
  if against:
    return NO, "; ".join(against)
  if unsure:
    return UNKNOWN, "; ".join(unsure)
  if same:
    return YES, f"the mean moves with memorization's at {same} of {same} steps"
  return YES, "mean memorization certainly moves at no step"


def _true_correlation(row: dict) -> tuple[float, float]:
  """Interval of the correlation with the true scores; NaN if unknown."""
  reliable = row["reliability_low"], row["reliability_high"]
  if not reliable[0] > 0:  # also if NaN
    return math.nan, math.nan
  ceilings = [math.sqrt(min(value, 1.0)) for value in reliable]
  low, high = row["ci_low"], row["ci_high"]
  return (
    low / ceilings[1 if low > 0 else 0],
    high / ceilings[0 if high > 0 else 1],
  )


def _answer(low: float, high: float, threshold: float) -> str:
  if low >= threshold:
    return YES
  return NO if high < threshold else UNKNOWN


def _numbers(row: dict, low: float, high: float) -> str:
  """The correlation, its ceiling and what they say of the true one."""
  text = f"is {row['estimate']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
  if np.isnan(row["ci_low"]):
    text = f"is {row['estimate']:.2f} without an interval"
  if np.isnan(row["reliability_low"]):
    return f"{text} (reliability of memorization unknown)"
  if np.isnan(low):
    return (
      f"{text}, with a reliability of memorization's part of "
      f"{row['reliability']:.2f} [{row['reliability_low']:.2f}, "
      f"{row['reliability_high']:.2f}]: a perfect proxy would reach "
      f"{np.nan_to_num(row['ceiling']):.2f}"
    )
  return (
    f"{text}, where a perfect proxy would reach {row['ceiling']:.2f}: "
    f"{max(low, -1):.2f} to {min(high, 1):.2f} with the true one"
  )
