"""Reliability of any score that can be computed from any of its blocks of runs.

The correlation of the scores of two halves of the blocks, over many splits,
scaled to all runs; and its interval by a jackknife over blocks. Module
`reliability` has the formula.
"""

from collections.abc import Callable
import dataclasses
import itertools
import math

import numpy as np
from scipy import stats

NUM_SPLITS = 20
# Groups of blocks that the jackknife leaves out; fewest for an interval.
MAX_GROUPS = 10
MIN_GROUPS = 3
# Examples behind a standard error: of 50,000 a sample tells it as well.
MAX_EXAMPLES = 5000


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitHalfReliability:
  """Agreement between the scores of two halves of the runs.

  Attributes:
    num_runs: that `reliability` is of.
    num_half: runs in a half, on average.
    correlations: `[P]`, Pearson's correlation of each of P different splits;
      splits with constant scores are left out.
    is_every_split: whether there are no more different splits than these.
    correlation: their mean.
    rank_correlation: the mean of Spearman's.
    reliability, rank_reliability: of `num_runs` runs; NaN if unknown.
    ci_low, ci_high: 95 % interval of `reliability`; NaN without one.
    rank_ci_low, rank_ci_high: of `rank_reliability`.
  """

  num_runs: int
  num_half: float
  correlations: np.ndarray
  is_every_split: bool
  correlation: float
  rank_correlation: float
  reliability: float
  rank_reliability: float
  ci_low: float = math.nan
  ci_high: float = math.nan
  rank_ci_low: float = math.nan
  rank_ci_high: float = math.nan

  @property
  def ceiling(self) -> float:
    """Correlation of the scores with the true ones; NaN if unknown."""
    return math.sqrt(self.reliability) if self.reliability > 0 else math.nan


def of_blocks(
  scores_of: Callable[[np.ndarray], np.ndarray],
  runs: np.ndarray,
  *,
  half: int | None = None,
  num_runs: int | None = None,
  num_splits: int = NUM_SPLITS,
  seed: int = 0,
  with_ranks: bool = False,
) -> SplitHalfReliability:
  """Reliability of any score that can be computed from any of its blocks.

  The interval is estimate ± Student's t of G - 1 degrees times a jackknife's
  standard error, on the scale of arctanh, over G groups of blocks, at most
  `MAX_GROUPS`.

  Args:
    scores_of: from how often each block counts, `[R, B]`, to the scores
      `[R, N]`, NaN where unknown.
    runs: `[B]`, number of runs of each block.
    half: number of blocks in a half; None: of all blocks, and with an interval.
    num_runs: to which the reliability is scaled; None: all.
    num_splits, seed: as in `split_half_reliability`.
    with_ranks: whether the rank reliability gets an interval, too.

  Raises:
    ValueError: for fewer than two blocks or one split.
  """
  runs = np.asarray(runs, np.float64)
  _check(num_splits >= 1, "`num_splits` must be at least 1", num_splits)
  _check(len(runs) >= 2, "At least two blocks of runs are needed", len(runs))
  total = int(runs.sum()) if num_runs is None else num_runs
  most = len(runs) // 2
  half = most if half is None else half
  splits, is_every = _splits(np.arange(len(runs)), half, num_splits, seed)
  weights = _weights(splits, len(runs))
  pearson = _correlations(scores_of, weights)
  spearman = _correlations(scores_of, weights, ranked=True)
  factor = _factor(weights, runs, total)
  found = SplitHalfReliability(
    num_runs=total,
    num_half=float((weights @ runs).mean()),
    correlations=pearson[~np.isnan(pearson)],
    is_every_split=is_every,
    correlation=_mean(pearson),
    rank_correlation=_mean(spearman),
    reliability=_scaled(_mean(pearson), factor),
    rank_reliability=_scaled(_mean(spearman), factor),
  )
  if half < most:
    return found
  low, high = _interval(scores_of, runs, found.reliability, seed, False)
  found = dataclasses.replace(found, ci_low=low, ci_high=high)
  if with_ranks:
    low, high = _interval(scores_of, runs, found.rank_reliability, seed, True)
    found = dataclasses.replace(found, rank_ci_low=low, rank_ci_high=high)
  return found


def _splits(blocks, half, num_splits, seed) -> tuple[list, bool]:
  """Different pairs of disjoint halves, and whether these are all."""
  count = len(blocks)
  possible = math.comb(count, 2 * half) * math.comb(2 * half, half) // 2
  if possible <= num_splits:
    found = []
    for chosen in itertools.combinations(blocks, 2 * half):
      for rest in itertools.combinations(chosen[1:], half - 1):
        one = (chosen[0], *rest)
        found.append((one, tuple(b for b in chosen if b not in one)))
    return found, True
  rng = np.random.default_rng([seed, half])
  drawn: dict[frozenset, tuple] = {}
  while len(drawn) < num_splits:
    order = rng.permutation(blocks)
    pair = tuple(order[:half]), tuple(order[half : 2 * half])
    drawn.setdefault(frozenset(map(frozenset, pair)), pair)
  return list(drawn.values()), False


def _weights(splits, num_blocks) -> np.ndarray:
  """`[2, P, B]`: 1 for the blocks of each half."""
  weights = np.zeros((2, len(splits), num_blocks))
  for p, pair in enumerate(splits):
    for side, members in enumerate(pair):
      weights[side, p, list(members)] = 1
  return weights


def _correlations(scores_of, weights, *, ranked=False, examples=slice(None)):
  """`[P]`: correlation of both halves' scores; NaN where one is constant."""
  one, other = (scores_of(w)[:, examples] for w in weights)
  known = ~np.isnan(one) & ~np.isnan(other)
  if ranked:
    one, other = (_ranks(rows, known) for rows in (one, other))
  count = known.sum(axis=1, keepdims=True)
  sums = []
  for rows in (one, other):
    rows = np.where(known, rows, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
      rows = np.where(known, rows - rows.sum(axis=1, keepdims=True) / count, 0)
    size = np.sqrt(np.square(rows).sum(axis=1))
    # What rounding leaves of constant scores is no variance.
    size = np.where(size > 1e-9 * np.sqrt(count[:, 0]), size, np.nan)
    sums.append(rows / size[:, None])
  return (sums[0] * sums[1]).sum(axis=1)


def _ranks(rows, known) -> np.ndarray:
  """Ranks within the known values of each row."""
  if known.all():
    return stats.rankdata(rows, axis=1)
  found = np.full(rows.shape, np.nan)
  for row, mask, target in zip(rows, known, found):
    target[mask] = stats.rankdata(row[mask])
  return found


def _factor(weights, runs, total) -> float:
  """How many times as many runs as a half has."""
  return total / float((weights @ runs).mean())


def _scaled(correlation: float, factor: float) -> float:
  """Spearman & Brown's formula; NaN where it has no value."""
  below = 1 + (factor - 1) * correlation
  return factor * correlation / below if below > 0 else math.nan


def _interval(scores_of, runs, estimate, seed, ranked) -> tuple[float, float]:
  """Jackknife interval of a reliability; NaN with too few groups."""
  num_blocks = len(runs)
  num_groups = min(num_blocks, MAX_GROUPS)
  if num_groups < MIN_GROUPS or math.isnan(estimate):
    return math.nan, math.nan
  group = np.arange(num_blocks) * num_groups // num_blocks
  num_examples = scores_of(np.ones((1, num_blocks))).shape[1]
  examples = np.arange(num_examples)
  if num_examples > MAX_EXAMPLES:
    rng = np.random.default_rng(seed)
    examples = rng.permutation(num_examples)[:MAX_EXAMPLES]
  found = []
  for g in range(num_groups):
    kept = np.flatnonzero(group != g)
    splits, _ = _splits(kept, len(kept) // 2, NUM_SPLITS, seed)
    weights = _weights(splits, num_blocks)
    r = _correlations(scores_of, weights, ranked=ranked, examples=examples)
    found.append(_scaled(_mean(r), _factor(weights, runs, runs.sum())))
  values = _arctanh(np.array(found))
  if np.isnan(values).any():
    return math.nan, math.nan
  squares = np.square(values - values.mean()).sum()
  error = math.sqrt((num_groups - 1) / num_groups * squares)
  half = stats.t.ppf(0.975, num_groups - 1) * error
  centre = _arctanh(estimate)
  return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def _arctanh(values):
  return np.arctanh(np.clip(values, -1 + 1e-9, 1 - 1e-9))


def _mean(values: np.ndarray) -> float:
  """Mean of the values that are not NaN; NaN without any."""
  known = values[~np.isnan(values)]
  return float(known.mean()) if len(known) else math.nan


def _check(holds: bool, rule: str, value) -> None:
  if not holds:
    raise ValueError(f"{rule}. Received: {value}")
