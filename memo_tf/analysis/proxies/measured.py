"""A score with replicates: how much other runs would have changed it.

Intervals here are over runs: the N examples are those of the study, and the
runs are redrawn. An interval is centred on the estimate and takes its width
from the replicates' spread. A percentile interval would be wrong for a
correlation: replicates carry the noise of the draw on top of that of the runs,
and so correlate less than the estimate does.
"""

from collections.abc import Callable
import dataclasses
import functools

import numpy as np

from memo_tf.analysis import ranking
from memo_tf.estimators import split_halves


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
    num_drawn: how many blocks or runs that was; None without replicates.
    parts: the score as a function of its blocks of runs; None if unknown.
    shares_runs: whether the score comes from the same runs as memorization.
      Its rows get no verdict and no correction: unless runs are divided
      between the two, their errors are correlated.
  """

  values: np.ndarray
  replicates: np.ndarray | None = None
  reliability: float = float("nan")
  rank_reliability: float = float("nan")
  drawn: str = ""
  num_drawn: int | None = None
  parts: "Parts | None" = None
  shares_runs: bool = False

  def turned(self, sign: int | None) -> "Measured":
    """The score times its sign; unchanged without a sign."""
    if sign in (None, 1):
      return self
    return dataclasses.replace(
      self,
      values=-self.values,
      replicates=None if self.replicates is None else -self.replicates,
      parts=None if self.parts is None else self.parts.turned(),
    )

  def __sub__(self, other: "Measured") -> "Measured":
    """The difference, with the reliability of differences of the same blocks.

    Replicates are subtracted row by row, so they are paired if the draws are.
    Reliabilities are NaN if the scores do not come from blocks in common.
    """
    replicates = None
    if self.replicates is not None and other.replicates is not None:
      count = min(len(self.replicates), len(other.replicates))
      replicates = self.replicates[:count] - other.replicates[:count]
    parts = None
    if self.parts is not None and other.parts is not None:
      parts = self.parts.minus(other.parts)
    halves = None if parts is None else parts.reliability()
    return Measured(
      values=self.values - other.values,
      replicates=replicates,
      reliability=halves.reliability if halves else float("nan"),
      rank_reliability=halves.rank_reliability if halves else float("nan"),
      drawn=self.drawn,
      num_drawn=fewest(self, other),
      parts=parts,
      shares_runs=self.shares_runs or other.shares_runs,
    )

  @functools.cached_property
  def rank_reliability_interval(self) -> tuple[float, float]:
    """95 % interval of `rank_reliability`; NaN if unknown."""
    if self.parts is None or len(self.parts.ids) < 2:
      return float("nan"), float("nan")
    found = self.parts.reliability(with_ranks=True)
    return found.rank_ci_low, found.rank_ci_high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
  """A score as a function of how often each of its blocks of runs counts.

  Attributes:
    ids: which blocks; two scores of the same ids come from the same subsets.
    runs: `[B]` int, number of runs of each.
    scores_of: from weights `[R, B]` to scores `[R, N]`.
  """

  ids: tuple[int, ...]
  runs: np.ndarray
  scores_of: Callable[[np.ndarray], np.ndarray]

  def turned(self) -> "Parts":
    """Of the negative score."""
    return dataclasses.replace(self, scores_of=lambda w: -self.scores_of(w))

  def minus(self, other: "Parts") -> "Parts | None":
    """Of the difference; None if the blocks are not the same."""
    if self.ids != other.ids:
      return None
    return dataclasses.replace(
      self, scores_of=lambda w: self.scores_of(w) - other.scores_of(w)
    )

  def reliability(
    self, *, with_ranks: bool = False
  ) -> split_halves.SplitHalfReliability:
    """Split-half reliability over these blocks, at least two."""
    return split_halves.of_blocks(
      self.scores_of, self.runs, with_ranks=with_ranks
    )


def fewest(*scores: Measured) -> int | None:
  """The fewest blocks or runs drawn for any of the scores with replicates."""
  counts = [
    s.num_drawn
    for s in scores
    if s.replicates is not None and s.num_drawn is not None
  ]
  return min(counts, default=None)


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
    num_drawn=count,
    parts=Parts(
      ids=tuple(range(count)),
      runs=np.ones(count, int),
      scores_of=functools.partial(_weighted_mean, runs),
    ),
  )


def from_subset_runs(
  values: np.ndarray,
  replicates: np.ndarray,
  *,
  num_blocks: int,
  reliability: float = float("nan"),
  rank_reliability: float = float("nan"),
  parts: Parts | None = None,
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
    parts: the score as a function of its blocks.
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
    num_drawn=num_blocks,
    parts=parts,
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


def _mean(runs: np.ndarray) -> np.ndarray:
  """Mean over the runs that have a value; NaN without any."""
  known = ~np.isnan(runs)
  with np.errstate(invalid="ignore"):
    return np.where(known, runs, 0.0).sum(axis=0) / known.sum(axis=0)


def _weighted_mean(runs: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Means `[R, N]` of runs `[P, N]` under weights `[R, P]`."""
  known = ~np.isnan(runs)
  total = weights @ np.where(known, runs, 0.0)
  with np.errstate(invalid="ignore", divide="ignore"):
    return total / (weights @ known.astype(np.float64))
