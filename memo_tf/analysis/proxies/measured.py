"""A score with replicates: how much other runs would have changed it.

Intervals here are over runs: the N examples are those of the study, and the
runs are redrawn. An interval is centred on the estimate and takes its width
from the replicates' spread. A percentile interval would be wrong for a
correlation: replicates carry the noise of the draw on top of that of the runs,
and so correlate less than the estimate does.
"""

import dataclasses

import numpy as np
from scipy import stats

from memo_tf.analysis import ranking


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
  """One score of N examples with its replicates.

  Attributes:
    values: `[N]` float64, NaN where an example has no score.
    replicates: `[R, N]`, the score from redrawn runs, or None if unknown. Row r
      of two scores from the same runs is of the same draw. Where a replicate is
      NaN, the value replaces it.
    reliability: share of the values' variance that is not noise of the runs;
      NaN if unknown.
    rank_reliability: the same for their ranks.
    drawn: what was redrawn, in words.
    shares_runs: whether the score comes from the same runs as memorization.
      Their errors are then correlated: the correlation is overstated, and the
      reliabilities cannot correct it.
  """

  values: np.ndarray
  replicates: np.ndarray | None = None
  reliability: float = float("nan")
  rank_reliability: float = float("nan")
  drawn: str = ""
  shares_runs: bool = False

  def turned(self, sign: int | None) -> "Measured":
    """The score times its sign; unchanged without a sign."""
    if sign in (None, 1):
      return self
    replicates = None if self.replicates is None else -self.replicates
    return dataclasses.replace(self, values=-self.values, replicates=replicates)

  def __sub__(self, other: "Measured") -> "Measured":
    """The difference, with its reliability from the spread of its replicates.

    Replicates are subtracted row by row, so they are paired if the draws are.
    """
    values = self.values - other.values
    replicates = None
    if self.replicates is not None and other.replicates is not None:
      count = min(len(self.replicates), len(other.replicates))
      replicates = self.replicates[:count] - other.replicates[:count]
    return Measured(
      values=values,
      replicates=replicates,
      reliability=_reliability(values, replicates),
      rank_reliability=_reliability(values, replicates),
      drawn=self.drawn,
      shares_runs=self.shares_runs,
    )


def from_recording_runs(
  runs: np.ndarray, *, num_resamples: int = 200, seed: int = 0
) -> Measured:
  """Mean of a proxy over recording runs, with replicates and reliability.

  Replicates draw whole runs with replacement. Their distances from the mean are
  widened by sqrt(P / (P - 1)): without this the variance would be too small, by
  half for two runs. Reliability is P r / (1 + (P - 1) r) with r the mean
  correlation of two runs (Spearman & Brown).

  Args:
    runs: `[P, N]` float of P runs, NaN where a run has no value. A single run
      has neither replicates nor a reliability.
    num_resamples: R.
    seed: of the draws.

  Returns:
    A `Measured`.
  """
  runs = np.asarray(runs, np.float64)
  if runs.ndim != 2 or not len(runs):
    raise ValueError(
      f"`runs` must be [P, N] with at least one run. Received: {runs.shape}"
    )
  count = len(runs)
  mean = _mean(runs)
  if count == 1:
    return Measured(values=mean, drawn="")
  rng = np.random.default_rng(seed)
  widen = np.sqrt(count / (count - 1))
  replicates = np.stack(
    [
      mean + widen * (_mean(runs[rng.integers(count, size=count)]) - mean)
      for _ in range(num_resamples)
    ]
  )
  return Measured(
    values=mean,
    replicates=replicates,
    reliability=_of_runs(runs, "pearson"),
    rank_reliability=_of_runs(runs, "spearman"),
    drawn=f"{count} recording runs",
  )


def from_subset_runs(
  values: np.ndarray,
  replicates: np.ndarray,
  *,
  num_blocks: int,
  reliability: float = float("nan"),
  rank_reliability: float = float("nan"),
  shares_runs: bool = False,
) -> Measured:
  """A score from subset runs, with replicates that redraw blocks of runs.

  Args:
    values: `[N]`.
    replicates: `[R, N]`, each from as many blocks, drawn with replacement; row
      r of all scores from the same runs must be of the same draw. They are
      widened as in `from_recording_runs`, by sqrt(B / (B - 1)) for B blocks.
    num_blocks: B, at least 2.
    reliability, rank_reliability: of all runs, for example from split halves.
    shares_runs: whether the score is a proxy from the runs of memorization.

  Returns:
    A `Measured`.
  """
  if num_blocks < 2:
    raise ValueError(f"`num_blocks` must be at least 2. Received: {num_blocks}")
  values = np.asarray(values, np.float64)
  widen = np.sqrt(num_blocks / (num_blocks - 1))
  return Measured(
    values=values,
    replicates=values + widen * (np.asarray(replicates, np.float64) - values),
    reliability=reliability,
    rank_reliability=rank_reliability,
    drawn=f"{num_blocks} blocks of subset runs",
    shares_runs=shares_runs,
  )


def replicate_rows(
  one: Measured, other: Measured
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Estimates and replicates of two scores over the examples that have both.

  Returns:
    `[N]` bool, whether an example has both; and for each score `[R + 1, N']`,
    the estimate first, or `[1, N']` if it has no replicates.
  """
  known = ~np.isnan(one.values) & ~np.isnan(other.values)
  rows = []
  for score in (one, other):
    value = score.values[known][None]
    if score.replicates is not None:
      again = score.replicates[:, known]
      value = np.concatenate([value, np.where(np.isnan(again), value, again)])
    rows.append(value)
  count = min((len(r) for r in rows if len(r) > 1), default=1)
  return known, rows[0][:count], rows[1][:count]


def interval(
  estimate: float,
  replicates: np.ndarray,
  *,
  bounds: tuple[float, float] | None = None,
  confidence: float = 0.95,
) -> tuple[float, float]:
  """Normal interval around an estimate, from the spread of its replicates.

  Args:
    estimate: a number.
    replicates: `[R]`.
    bounds: of the statistic's range; the interval is then normal on the scale
      of arctanh, and stays within them.
    confidence: in (0, 1).

  Returns:
    Lower and upper limit; NaN if the estimate or most replicates are missing.
  """
  known = replicates[~np.isnan(replicates)]
  if np.isnan(estimate) or len(known) < 2 or 2 * len(known) < len(replicates):
    return float("nan"), float("nan")
  reach = stats.norm.ppf(0.5 + confidence / 2)
  if bounds is None:
    reach *= known.std(ddof=1)
    return float(estimate - reach), float(estimate + reach)
  middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
  inner = 1 - 1e-6  # arctanh of an end is infinite
  scaled = np.arctanh(np.clip((known - middle) / half, -inner, inner))
  centre = np.arctanh(np.clip((estimate - middle) / half, -inner, inner))
  reach *= scaled.std(ddof=1)
  low, high = middle + half * np.tanh([centre - reach, centre + reach])
  # An estimate at an end stays within its own interval.
  return float(min(low, estimate)), float(max(high, estimate))


def _of_runs(runs: np.ndarray, kind: str) -> float:
  """Reliability of the mean of runs, from the mean correlation of two runs."""
  found = [
    ranking.correlation(runs[i], runs[j], kind)
    for i in range(len(runs))
    for j in range(i)
  ]
  known = [r for r in found if not np.isnan(r)]
  if not known:
    return float("nan")
  r, count = float(np.mean(known)), len(runs)
  return count * r / (1 + (count - 1) * r) if r > 0 else float("nan")


def _reliability(values, replicates) -> float:
  """1 - noise variance / variance, the former from the replicates."""
  if replicates is None:
    return float("nan")
  known = ~np.isnan(values) & ~np.isnan(replicates).any(axis=0)
  total = values[known].var() if known.any() else 0.0
  if not total:
    return float("nan")
  return float(1 - replicates[:, known].var(axis=0, ddof=1).mean() / total)


def _mean(runs: np.ndarray) -> np.ndarray:
  """Mean over the runs that have a value; NaN without any."""
  known = ~np.isnan(runs)
  with np.errstate(invalid="ignore"):
    return np.where(known, runs, 0.0).sum(axis=0) / known.sum(axis=0)
