"""Do two models memorize the same images, beyond what noise lets one see?

Feldman & Zhang (2020, arXiv:2008.03703, figure 7) compare the images with
memorization of at least t between architectures, and with a second repeat of
one. Two models of one study share their subsets, and with them part of the
noise. So we compare scores of disjoint runs only, those of even blocks and
those of odd ones: with A the first model and B the second,

    between = mean of J(A even, B odd), J(A odd, B even)
    within  = mean of J(A even, A odd), J(B even, B odd)

where J is the Jaccard index of the sets above t. All four have the same number
of runs, so that *within* is what noise alone lets one see; models differ where
between is below it. Its interval is from a bootstrap of blocks within each half
(leaving out one block at a time gives intervals three times too wide, since the
sets change in steps). Rank correlations are divided by sqrt of the product of
those within; their interval is a t interval by leaving out one block at a time.
"""

from collections.abc import Callable
import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.estimators import reliability

# Feldman & Zhang select at 0.25.
THRESHOLDS = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Blocks that are left out one at a time, at most.
MAX_GROUPS = 40
RESAMPLES = 100
# Two in each half, so that one can be left out.
MIN_GROUPS = 4
_LEVEL = 0.975


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
  """How far two models agree.

  Attributes:
    curves: one row per threshold: `threshold`; `jaccard` between, `within`,
      their `difference` (between minus within) with `ci_low`, `ci_high`;
      `chance`, for independent sets of the same sizes; over the images that
      either set has, `mean_difference` (second minus first) and
      `mean_absolute_difference`, and `mean_absolute_difference_within`.
    correlation: Spearman's, of disjoint halves of the runs, mean of both ways.
    corrected: divided by what noise leaves; NaN if a model does not correlate
      with itself.
    corrected_low, corrected_high: 95 % interval of `corrected`.
  """

  curves: pd.DataFrame
  correlation: float
  corrected: float
  corrected_low: float
  corrected_high: float


def groups_of(block: np.ndarray) -> np.ndarray:
  """`[M]` int: the group of each run, which is left out as a whole.

  Args:
    block: `[M]` int, the block of each run, ascending.

  Returns:
    The rank of the run's block; where there are more than `MAX_GROUPS`,
    neighbouring blocks of one parity are put together.
  """
  rank = np.unique(block, return_inverse=True)[1]
  count = int(rank.max()) + 1
  if count <= MAX_GROUPS:
    return rank
  per_group = -(-count // MAX_GROUPS)
  return 2 * (rank // 2 // per_group) + rank % 2


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
  """Jaccard index of two bool `[N]`; NaN if both are empty."""
  either = int((first | second).sum())
  return int((first & second).sum()) / either if either else float("nan")


def chance_jaccard(first: int, second: int, total: int) -> float:
  """The index that independent sets of these sizes have, of their means."""
  both = first * second / total
  either = first + second - both
  return both / either if either else float("nan")


def agreement(
  first: np.ndarray,
  second: np.ndarray,
  in_mask: np.ndarray,
  group: np.ndarray,
  thresholds: tuple[float, ...] = THRESHOLDS,
) -> Agreement:
  """How far two models agree on what is memorized.

  Args:
    first, second: bool `[M, N]`, correctness of two models on the same
      subsets; the same array twice gives what noise alone does.
    in_mask: bool `[M, N]`.
    group: `[M]` int, as `groups_of` gives it; at least 4 groups.
    thresholds: least memorization.

  Raises:
    ValueError: with fewer than 4 groups.
  """
  count = int(group.max()) + 1
  if count < MIN_GROUPS:
    raise ValueError(
      f"`group` must have at least {MIN_GROUPS} groups, two in each half. "
      f"Received: {count}"
    )
  scores_of = [
    reliability.memorization_of_blocks(correct, in_mask, group)
    for correct in (first, second)
  ]
  parity = np.arange(count) % 2

  def halves(weights: np.ndarray) -> list[np.ndarray]:
    """Scores `[2, N]` of both models, by half, of groups with weights `[B]`."""
    rows = np.stack([weights * (parity == half) for half in (0, 1)])
    return [scores(rows) for scores in scores_of]

  everything = halves(np.ones(count))
  sets = [_jaccards(everything, t) for t in thresholds]
  correlation, corrected = _correlations(everything)
  center = np.array([between - within for between, within in sets])
  error = _bootstrap(halves, parity, thresholds)
  half = float(stats.t.ppf(_LEVEL, count - 2)) * error
  low, high = (center + sign * half for sign in (-1, 1))
  parts = [
    _correlations(halves(row))[1]
    for row in np.ones((count, count)) - np.eye(count)
  ]
  corrected_low, corrected_high = _jackknife(corrected, np.array(parts))
  rows = [
    {
      "threshold": threshold,
      "jaccard": between,
      "within": within,
      "difference": between - within,
      "ci_low": low[i],
      "ci_high": high[i],
      **_differences(everything, threshold),
    }
    for i, (threshold, (between, within)) in enumerate(zip(thresholds, sets))
  ]
  return Agreement(
    curves=pd.DataFrame(rows),
    correlation=correlation,
    corrected=corrected,
    corrected_low=corrected_low,
    corrected_high=corrected_high,
  )


def _bootstrap(
  halves: Callable, parity: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
  """Standard errors `[K]` of between minus within.

  Groups are drawn with replacement within each half, for both models alike.
  """
  rng = np.random.default_rng(0)
  members = [np.flatnonzero(parity == half) for half in (0, 1)]
  parts = np.empty((RESAMPLES, len(thresholds)))
  for part in parts:
    drawn = np.concatenate([rng.choice(ids, len(ids)) for ids in members])
    scores = halves(np.bincount(drawn, minlength=len(parity)).astype(float))
    part[:] = [np.subtract(*_jaccards(scores, t)) for t in thresholds]
  size = len(parity) / 2
  return parts.std(axis=0, ddof=1) * np.sqrt(size / (size - 1))


def _jackknife(center: float, parts: np.ndarray) -> tuple[float, float]:
  """Ends of the 95 % t interval of a statistic, from `[B]` leaving one out.

  NaN where a part of it is not known.
  """
  count = len(parts)
  squares = ((parts - parts.mean()) ** 2).sum()
  half = float(stats.t.ppf(_LEVEL, count - 1))
  half *= float(np.sqrt((count - 1) / count * squares))
  return center - half, center + half


def _jaccards(scores, threshold: float) -> tuple[float, float]:
  """The indices between and within, of scores `[2, N]` by model."""
  with np.errstate(invalid="ignore"):
    a, b = (x >= threshold for x in scores)
  between = (jaccard(a[0], b[1]) + jaccard(a[1], b[0])) / 2
  return between, (jaccard(*a) + jaccard(*b)) / 2


def _differences(scores, threshold: float) -> dict[str, float]:
  """Differences of scores over the images that either set has."""
  a, b = scores
  found: dict[str, float] = {}
  for name, both in (
    ("", [(a[0], b[1]), (a[1], b[0])]),
    ("_within", [(a[0], a[1]), (b[0], b[1])]),
  ):
    gains, chances = [], []
    for x, y in both:
      with np.errstate(invalid="ignore"):
        sets = [x >= threshold, y >= threshold]
      gains.append((y - x)[sets[0] | sets[1]])
      sizes = [int(s.sum()) for s in sets]
      chances.append(chance_jaccard(sizes[0], sizes[1], len(x)))
    gain = np.concatenate(gains)
    gain = gain[~np.isnan(gain)]
    if not name:
      found["chance"] = float(np.mean(chances))
      found["mean_difference"] = _mean(gain)
    found[f"mean_absolute_difference{name}"] = _mean(np.abs(gain))
  return found


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if values.size else float("nan")


def _correlations(scores) -> tuple[float, float]:
  """Spearman's correlation between, and corrected by those within."""
  a, b = scores
  between = (_spearman(a[0], b[1]) + _spearman(a[1], b[0])) / 2
  within = [_spearman(*a), _spearman(*b)]
  corrected = float("nan")
  if min(within) > 0:
    corrected = between / float(np.sqrt(within[0] * within[1]))
  return between, corrected


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
  """Spearman's correlation of the examples that both have a score of."""
  known = ~(np.isnan(first) | np.isnan(second))
  if known.sum() < 2:
    return float("nan")
  ranks = [stats.rankdata(x[known]) for x in (first, second)]
  if any(np.ptp(r) == 0 for r in ranks):
    return float("nan")
  return float(np.corrcoef(*ranks)[0, 1])


def pair_sets(
  train_ids: np.ndarray, test_ids: np.ndarray, num_train: int
) -> np.ndarray:
  """int64 keys of pairs, which sets of them are compared by."""
  return np.asarray(test_ids, np.int64) * num_train + train_ids


def set_jaccard(first: np.ndarray, second: np.ndarray) -> float:
  """Jaccard index of two arrays of different keys; NaN if both are empty."""
  both = len(np.intersect1d(first, second))
  either = len(first) + len(second) - both
  return both / either if either else float("nan")
