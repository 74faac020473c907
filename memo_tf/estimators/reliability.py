"""Split-half reliability of a study's scores, and how many more runs it needs.

The N scores of a study come from the same runs, so their errors are
correlated, and the runs of a balanced block depend on each other. So whole
blocks of runs are split in two.

Reliability is the correlation over examples of the scores from two disjoint
halves of the runs, extrapolated to all of them by Spearman & Brown's (1910)
2r / (1 + r): the share of the scores' variance that is not noise.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np
from scipy import stats

from memo_tf.estimators import intervals
from memo_tf.estimators import memorization as memorization_lib
from memo_tf.estimators import resampling


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitHalfReliability:
  """Agreement between the scores of two halves of the runs.

  Attributes:
    num_runs: in both halves together.
    correlations: `[P]`, Pearson's correlation of each of P splits; at most
      `num_splits`, since splits with constant scores are left out.
    correlation: their mean.
    rank_correlation: the mean of Spearman's.
    reliability: of all `num_runs` together, 2r / (1 + r).
  """

  num_runs: int
  correlations: np.ndarray
  correlation: float
  rank_correlation: float
  reliability: float


def split_half_reliability(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  num_splits: int = 20,
  seed: int = 0,
  block: int = 1,
) -> SplitHalfReliability:
  """Correlation between the scores of two random halves of the runs.

  Args:
    outcome: `[M, N]`, as in `memorization_scores`.
    in_mask: `[M, N]` bool.
    num_splits: number of random splits; at least 1.
    seed: of the splits.
    block: number of consecutive runs that stay together. With an odd number
      of blocks each split leaves one out.

  Returns:
    A `SplitHalfReliability`; NaN if no two halves have scores that vary.

  Raises:
    ValueError: for fewer than two blocks, or arrays of different shapes.
  """
  outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
  if outcome.ndim != 2 or outcome.shape != in_mask.shape:
    raise ValueError(
      "`outcome` and `in_mask` must both be [M, N]. Received: "
      f"{outcome.shape} and {in_mask.shape}"
    )
  blocks = _blocks(len(outcome), block)
  return _split_halves(
    outcome, in_mask, blocks, len(blocks) // 2, num_splits, seed
  )


def reliability_curve(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  counts: Sequence[int] | None = None,
  num_splits: int = 20,
  seed: int = 0,
  block: int = 1,
) -> list[SplitHalfReliability]:
  """Split-half reliability for several numbers of runs.

  Args:
    outcome: `[M, N]`.
    in_mask: `[M, N]` bool.
    counts: numbers of runs, from two blocks to M, each rounded down to an even
      number of blocks; None: M, M / 2, M / 4 ..., down to two blocks.
    num_splits, seed, block: as in `split_half_reliability`. Each split draws
      its own runs.

  Returns:
    A `SplitHalfReliability` per count, ascending, without repeats.

  Raises:
    ValueError: as `split_half_reliability`, or for a count out of range.
  """
  outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
  blocks = _blocks(len(outcome), block)
  if counts is None:
    counts, count = [], len(outcome)
    while count >= 2 * block:
      counts.append(count)
      count //= 2
  halves = set()
  for count in counts:
    if not 2 * block <= count <= len(outcome):
      raise ValueError(
        f"`counts` must be from two blocks, {2 * block}, to M={len(outcome)}. "
        f"Received: {count}"
      )
    halves.add(min(count // (2 * block), len(blocks) // 2))
  return [
    _split_halves(outcome, in_mask, blocks, half, num_splits, seed)
    for half in sorted(halves)
  ]


def runs_needed(
  scores: memorization_lib.MemorizationScores,
  width: float,
  *,
  block: int = 1,
  confidence: float = 0.95,
) -> int | None:
  """Number of further runs that narrow the mean interval to `width`.

  Keeps every example's accuracies and its share of runs as they are, and finds
  the smallest number of runs for which the mean width over examples is at most
  `width`. For correctness the widths are Newcombe's; for the others they
  shrink with the square root of the number of runs.

  Args:
    scores: from the runs so far.
    width: target width of the confidence interval, above 0.
    block: runs are added in multiples of it.
    confidence: of the intervals, the same as in `scores`.

  Returns:
    0 if they are narrow enough already; None if no example has an interval.

  Raises:
    ValueError: if `width` is not above 0.
  """
  _check(width > 0, "`width` must be above 0", width)
  known = ~np.isnan(scores.ci_high - scores.ci_low)
  if not known.any():
    return None
  present = int((scores.num_in + scores.num_out)[known].max())
  actual = float((scores.ci_high - scores.ci_low)[known].mean())
  if actual <= width:
    return 0

  def mean_width(runs: float) -> float:
    share = runs / present
    if scores.outcome != "correctness":
      return actual / math.sqrt(share)
    low, high = intervals.newcombe_interval(
      scores.in_accuracy[known],
      scores.num_in[known] * share,
      scores.out_accuracy[known],
      scores.num_out[known] * share,
      confidence,
    )
    return float((high - low).mean())

  blocks = -(-present // block)
  while mean_width(blocks * block) > width:
    blocks *= 2
  low = blocks // 2
  while blocks - low > 1:
    middle = (low + blocks) // 2
    if mean_width(middle * block) > width:
      low = middle
    else:
      blocks = middle
  return max(blocks * block - present, 0)


def _split_halves(outcome, in_mask, blocks, half, num_splits, seed):
  """Splits `2 * half` randomly drawn blocks in two, `num_splits` times."""
  _check(num_splits >= 1, "`num_splits` must be at least 1", num_splits)
  rng = np.random.default_rng([seed, half])
  # An incomplete last block would make halves of unequal size.
  whole = [b for b in blocks if len(b) == len(blocks[0])]
  half = min(half, len(whole) // 2)
  _check(half >= 1, "Two whole blocks of runs are needed", len(whole))
  pearson, spearman = [], []
  for _ in range(num_splits):
    order = rng.permutation(len(whole))
    one, other = (
      _scores_of(
        outcome, in_mask, np.concatenate([whole[b] for b in order[part]])
      )
      for part in (slice(0, half), slice(half, 2 * half))
    )
    known = ~np.isnan(one) & ~np.isnan(other)
    one, other = one[known], other[known]
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
      continue
    pearson.append(np.corrcoef(one, other)[0, 1])
    ranks = stats.rankdata(one), stats.rankdata(other)
    spearman.append(np.corrcoef(*ranks)[0, 1])
  mean = float(np.mean(pearson)) if pearson else math.nan
  return SplitHalfReliability(
    num_runs=2 * half * len(whole[0]),
    correlations=np.array(pearson),
    correlation=mean,
    rank_correlation=float(np.mean(spearman)) if spearman else math.nan,
    reliability=2 * mean / (1 + mean) if mean > -1 else math.nan,
  )


def _scores_of(outcome, in_mask, runs) -> np.ndarray:
  """Memorization `[N]` from the runs with these indices."""
  kind = "correctness"
  if not (outcome.dtype == bool or np.issubdtype(outcome.dtype, np.integer)):
    kind = "margin"  # any number; only the means are used
  scores = memorization_lib.memorization_scores(
    outcome[runs], in_mask[runs], outcome_kind=kind
  )
  return scores.memorization


def _blocks(num_runs: int, block: int) -> list[np.ndarray]:
  """Indices of the runs of each block; the last may be shorter."""
  _check(block >= 1, "`block` must be at least 1", block)
  _check(num_runs > block, "At least two blocks of runs are needed", num_runs)
  group = resampling.block_of_run(num_runs, block)
  return [np.flatnonzero(group == b) for b in range(group.max() + 1)]


def _check(holds: bool, rule: str, value) -> None:
  if not holds:
    raise ValueError(f"{rule}. Received: {value}")
