"""How sure a study's scores are: bootstrap, split halves, runs still needed.

The N scores of a study come from the same runs, so their errors go together,
and the runs of a balanced block depend on each other. So what is drawn again,
or split in two, is whole blocks of runs; and one draw serves all sizes and
recipes of a study, which share their subsets, so that differences are paired.

Reliability is the correlation over examples of the scores from two disjoint
halves of the runs, stepped up to all of them by Spearman & Brown's (1910)
2r / (1 + r): the share of the scores' variance that is not noise.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import math

import numpy as np
from scipy import stats

from memo_tf.estimators import memorization as memorization_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bootstrap:
  """Replicates of a statistic; K is the statistic's shape.

  Attributes:
    estimate: `[K]`, from the runs as they are.
    replicates: `[R, K]`.
    standard_error: `[K]`, their deviation.
    ci_low, ci_high: `[K]`, percentile interval.
  """

  estimate: np.ndarray
  replicates: np.ndarray
  standard_error: np.ndarray
  ci_low: np.ndarray
  ci_high: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class BootstrapMemorization:
  """Certainty of the mean memorization of S sizes or recipes, paired.

  Attributes:
    mean: Bootstrap of mean memorization over examples; K is `[S]`.
    difference: Bootstrap of mean[s] - mean[0]; K is `[S]`, the first all 0.
    example_standard_error: `[S, N]`, deviation of each example's score over the
      replicates; NaN where most replicates have an empty group.
  """

  mean: Bootstrap
  difference: Bootstrap
  example_standard_error: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitHalfReliability:
  """Agreement of the scores of two halves of the runs.

  Attributes:
    num_runs: in both halves together.
    correlations: `[num_splits]`, Pearson's correlation of each split.
    correlation: their mean.
    rank_correlation: the mean of Spearman's.
    reliability: of all `num_runs` together, 2r / (1 + r).
  """

  num_runs: int
  correlations: np.ndarray
  correlation: float
  rank_correlation: float
  reliability: float


def bootstrap_runs(
  statistic: Callable[[np.ndarray], np.ndarray],
  num_runs: int,
  *,
  block: int = 1,
  num_resamples: int = 1000,
  seed: int = 0,
  confidence: float = 0.95,
) -> Bootstrap:
  """Bootstrap of any statistic of runs, over blocks of them.

  Args:
    statistic: from places of runs, int `[M']` with repeats, to a number or
      `[K]`. To compare sizes or recipes let it return a number for each, or
      their difference: all are then given the same runs.
    num_runs: M.
    block: consecutive runs that depend on each other; whole blocks are drawn
      with replacement. A last block may be incomplete.
    num_resamples: R, at least 2.
    seed: of the draws.
    confidence: of the interval, in (0, 1).

  Returns:
    A `Bootstrap`. Replicates in which the statistic is NaN are left out.

  Raises:
    ValueError: if fewer than two blocks are there, or an argument is out of
      its range.
  """
  blocks = _blocks(num_runs, block)
  _check(
    num_resamples >= 2, "`num_resamples` must be at least 2", num_resamples
  )
  _check(0 < confidence < 1, "`confidence` must be in (0, 1)", confidence)
  rng = np.random.default_rng(seed)
  estimate = np.asarray(statistic(np.arange(num_runs)), np.float64)
  replicates = []
  for _ in range(num_resamples):
    drawn = rng.integers(len(blocks), size=len(blocks))
    places = np.concatenate([blocks[b] for b in drawn])
    replicates.append(np.asarray(statistic(places), np.float64))
  return _summary(estimate, np.stack(replicates), confidence)


def bootstrap_memorization(
  outcomes: Sequence[np.ndarray],
  in_mask: np.ndarray,
  *,
  block: int = 1,
  num_resamples: int = 1000,
  seed: int = 0,
  confidence: float = 0.95,
) -> BootstrapMemorization:
  """Bootstrap of mean memorization of sizes or recipes that share subsets.

  Args:
    outcomes: S arrays `[M, N]`, one for each size or recipe.
    in_mask: `[M, N]` bool, the subsets of all of them.
    block, num_resamples, seed, confidence: as in `bootstrap_runs`.

  Returns:
    A `BootstrapMemorization`. Means are over the examples that a replicate
    has in both groups.

  Raises:
    ValueError: as `bootstrap_runs`, or if the shapes differ.
  """
  in_mask = np.asarray(in_mask)
  arrays = [np.asarray(outcome) for outcome in outcomes]
  if not arrays or any(a.shape != in_mask.shape for a in arrays):
    raise ValueError(
      "`outcomes` must be arrays of the shape of `in_mask`. Received: "
      f"{[a.shape for a in arrays]} and {in_mask.shape}"
    )
  if in_mask.dtype != bool or in_mask.ndim != 2:
    raise ValueError(
      f"`in_mask` must be [M, N] bool. Received: {in_mask.shape} of "
      f"{in_mask.dtype}"
    )
  _check(
    num_resamples >= 2, "`num_resamples` must be at least 2", num_resamples
  )
  _check(0 < confidence < 1, "`confidence` must be in (0, 1)", confidence)
  blocks = _blocks(len(in_mask), block)
  rng = np.random.default_rng(seed)
  weights = np.zeros((num_resamples + 1, len(in_mask)))
  weights[0] = 1  # the runs as they are
  for r in range(1, num_resamples + 1):
    drawn = rng.integers(len(blocks), size=len(blocks))
    for b, times in zip(*np.unique(drawn, return_counts=True)):
      weights[r, blocks[b]] = times
  means = np.empty((num_resamples + 1, len(arrays)))
  errors = np.empty((len(arrays), in_mask.shape[1]))
  inside = in_mask.astype(np.float64)
  for s, outcome in enumerate(arrays):
    # Some examples at a time: [R, N] replicates are not kept.
    total = np.zeros(num_resamples + 1)
    known = np.zeros(num_resamples + 1, np.int64)
    for start in range(0, in_mask.shape[1], 2048):
      part = slice(start, start + 2048)
      scores = _weighted_scores(weights, outcome[:, part], inside[:, part])
      total += np.nansum(scores, axis=1)
      known += (~np.isnan(scores)).sum(axis=1)
      errors[s, part] = _deviation(scores[1:])
    means[:, s] = total / np.maximum(known, 1)
    means[known == 0, s] = np.nan
  return BootstrapMemorization(
    mean=_summary(means[0], means[1:], confidence),
    difference=_summary(
      means[0] - means[0, 0], means[1:] - means[1:, :1], confidence
    ),
    example_standard_error=errors,
  )


def split_half_reliability(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  num_splits: int = 20,
  seed: int = 0,
  block: int = 1,
) -> SplitHalfReliability:
  """How well the scores of two random halves of the runs agree.

  Args:
    outcome: `[M, N]`, as in `memorization_scores`.
    in_mask: `[M, N]` bool.
    num_splits: how many random splits; at least 1.
    seed: of the splits.
    block: runs that stay together; an odd block out is left out of a split.

  Returns:
    A `SplitHalfReliability`; NaN if no two halves have scores that vary.

  Raises:
    ValueError: for fewer than two blocks, or arrays that do not fit.
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
  """Split-half reliability over the number of runs.

  Args:
    outcome: `[M, N]`.
    in_mask: `[M, N]` bool.
    counts: numbers of runs, at least 2 and at most M, each rounded down to an
      even number of blocks; None: M and its halves, down to two blocks.
    num_splits, seed, block: as in `split_half_reliability`. Each split draws
      its runs anew.

  Returns:
    A `SplitHalfReliability` for each count, ascending, without repeats.

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
  """How many more runs make the intervals, on average, as narrow as `width`.

  Keeps every example's accuracies and its share of runs as they are, and finds
  the smallest number of runs for which the mean width over examples is at most
  `width`. For correctness the widths are Newcombe's; for the others they
  shrink with the square root of the number of runs.

  Args:
    scores: of the runs so far.
    width: above 0.
    block: runs come in multiples of it.
    confidence: of the intervals; that of `scores`.

  Returns:
    0 if they are so narrow already; None if no example has an interval.

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
    low, high = memorization_lib.newcombe_interval(
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
  """Splits `2 * half` random blocks in two, `num_splits` times."""
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


def _scores_of(outcome, in_mask, places) -> np.ndarray:
  """Memorization `[N]` from some runs."""
  kind = "correctness"
  if not (outcome.dtype == bool or np.issubdtype(outcome.dtype, np.integer)):
    kind = "margin"  # any number; only the means are used
  scores = memorization_lib.memorization_scores(
    outcome[places], in_mask[places], outcome_kind=kind
  )
  return scores.memorization


def _weighted_scores(weights, outcome, inside) -> np.ndarray:
  """Memorization `[R, N]` of runs with weights `[R, M]`; NaN if a group is empty."""
  values = outcome.astype(np.float64)
  count_in = weights @ inside
  count_out = weights.sum(axis=1, keepdims=True) - count_in
  sum_in = weights @ (values * inside)
  sum_out = weights @ (values * (1 - inside))
  with np.errstate(divide="ignore", invalid="ignore"):
    return sum_in / count_in - sum_out / count_out


def _deviation(values: np.ndarray) -> np.ndarray:
  """Sample deviation `[N]` over rows; NaN where most rows are NaN."""
  known = ~np.isnan(values)
  count = known.sum(axis=0)
  mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
  square = np.where(known, np.square(values - mean), 0.0).sum(axis=0)
  enough = (count >= 2) & (2 * count >= len(values))
  return np.where(enough, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)


def _summary(estimate, replicates, confidence) -> Bootstrap:
  known = replicates[~np.isnan(replicates.reshape(len(replicates), -1)).any(1)]
  if len(known) < 2:
    known = np.full((2, *estimate.shape), np.nan)
  tail = (1 - confidence) / 2
  low, high = np.quantile(known, [tail, 1 - tail], axis=0)
  return Bootstrap(
    estimate=estimate,
    replicates=replicates,
    standard_error=known.std(axis=0, ddof=1),
    ci_low=low,
    ci_high=high,
  )


def _blocks(num_runs: int, block: int) -> list[np.ndarray]:
  """Places of consecutive runs, `block` at a time; the last may be shorter."""
  _check(block >= 1, "`block` must be at least 1", block)
  _check(num_runs > block, "At least two blocks of runs are needed", num_runs)
  starts = range(0, num_runs, block)
  return [np.arange(s, min(s + block, num_runs)) for s in starts]


def _check(holds: bool, rule: str, value) -> None:
  if not holds:
    raise ValueError(f"{rule}. Received: {value}")
