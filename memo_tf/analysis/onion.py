"""Do other examples become memorized without the most memorized ones?

The privacy onion (Carlini et al., 2022, arXiv:2206.10469): a model is trained
again without its outermost layer of memorized examples, and the layer beneath
is exposed. Run m of all arms has the same subset of the examples that remain:
their scores before, without the memorized ones, and without as many random ones
are paired. The runs *before* must not be those that selected: an example whose
estimate happened to be low there remains, and would seem to rise.

**Change.** Mean memorization of an arm minus that of another, over the examples
that both keep; its interval from runs drawn again (`estimators.resampling`).

**Layer.** How many examples reach a threshold in one arm and not in the other.
Noise alone moves some both ways. If nothing changed, the two runs of a pair
could be exchanged: their outcomes are swapped at random, pair by pair, and
counted again. This keeps what runs of a subset have in common, and assumes no
law of the outcomes.

**Examples.** With d[m] the outcome of one arm minus that of the other, the
change of an example's score is mean(d in) - mean(d out). Swapping a pair turns
the sign of its d: with u in-runs and v out-runs in which the arms differ, and
i ~ Bin(u, 1/2), j ~ Bin(v, 1/2), the change without any change is

    (2i - u) / num_in - (2j - v) / num_out

whose law gives an exact two-sided p-value, McNemar's for a difference of two
groups.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis.sizes import trends
from memo_tf.estimators import in_out
from memo_tf.estimators import resampling

NUM_SWAPS = 1000
_LEVEL, _POWER = 0.975, 0.8
_NAMES = ("memorization", "in_accuracy", "out_accuracy")
# Values of float64 sums that are equal by definition differ by less.
_CLOSE = 1e-9
# Of the arrays of all swaps: replicates times examples at a time.
_MOST_VALUES = 4e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
  """Examples that reach a threshold in one arm and not in another.

  Attributes:
    num_examples: that have a score in both.
    num_first, num_second: how many reach the threshold in each.
    newly: those that reach it in the second alone.
    no_longer: those that reach it in the first alone.
    noise_mean: what noise alone gives on average, each way.
    noise_low, noise_high: the middle 95 % of what noise alone gives, each way.
  """

  num_examples: int
  num_first: int
  num_second: int
  newly: int
  no_longer: int
  noise_mean: float
  noise_low: int
  noise_high: int


def mean_changes(
  arms: dict[str, np.ndarray],
  in_mask: np.ndarray,
  block: np.ndarray,
  pairs: tuple[tuple[str, str], ...],
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Mean scores of arms, and their paired changes.

  Args:
    arms: bool `[M, N]` by name: whether run m classified example n correctly.
      Only of examples that all arms keep.
    in_mask: bool `[M, N]`, the subsets of all arms, without the rest.
    block: int `[M]`, as in `resampling.paired_bootstrap`.
    pairs: names of two arms each: the change is the second minus the first.

  Returns:
    A table with one row per arm: `arm`, and `memorization`, `in_accuracy` and
    `out_accuracy`, each with `_low` and `_high`, the 95 % interval. And one row
    per pair: `from_arm`, `to_arm`, the changes of the same three, and
    `detectable`, the change of memorization that so many runs find in 80 % of
    studies.

  Raises:
    ValueError: with fewer than two runs.
  """
  names = list(arms)
  outcomes = np.stack([arms[name] for name in names])
  bootstrap = resampling.paired_bootstrap(len(in_mask), block=block)
  if bootstrap is None:
    raise ValueError(
      f"Intervals need at least 2 runs. Received: {len(in_mask)}"
    )
  values = trends.statistic_by_size(outcomes, in_mask, bootstrap, _means)
  by_arm = trends.table(bootstrap, values, _NAMES)
  by_arm.insert(0, "arm", names)
  steps = [(names.index(a), names.index(b)) for a, b in pairs]
  changes = trends.table(
    bootstrap,
    np.stack([values[:, b] - values[:, a] for a, b in steps], axis=1),
    _NAMES,
  )
  changes.insert(0, "from_arm", [a for a, _ in pairs])
  changes.insert(1, "to_arm", [b for _, b in pairs])
  at_level, at_power = (
    stats.t.ppf(p, bootstrap.num_blocks - 1) for p in (_LEVEL, _POWER)
  )
  half = (changes["memorization_high"] - changes["memorization_low"]) / 2
  changes["detectable"] = half * (at_level + at_power) / at_level
  return by_arm, changes


def layer(
  first: np.ndarray,
  second: np.ndarray,
  in_mask: np.ndarray,
  threshold: float,
  *,
  num_swaps: int = NUM_SWAPS,
  seed: int = 0,
) -> Layer:
  """Counts the examples that reach a threshold, and what noise alone gives.

  Args:
    first, second: bool `[M, N]`, the outcomes of two arms.
    in_mask: bool `[M, N]`, the subsets of both.
    threshold: of memorization.
    num_swaps: how often pairs are swapped at random.
    seed: of the swaps.
  """
  groups = [_Group(first, second, member) for member in (in_mask, ~in_mask)]
  known = (groups[0].count > 0) & (groups[1].count > 0)

  def reach(swapped: np.ndarray) -> list[np.ndarray]:
    """bool `[R, N]` of both arms, with the pairs of `[R, M]` swapped."""
    inside, outside = (group.means(swapped) for group in groups)
    return [
      known & (a - b >= threshold - _CLOSE) for a, b in zip(inside, outside)
    ]

  before, after = reach(np.zeros((1, len(first))))
  rng = np.random.default_rng(seed)
  swaps = rng.integers(0, 2, (num_swaps, len(first))).astype(np.float64)
  chunk = max(1, int(_MOST_VALUES // in_mask.shape[1]))
  noise = []
  for start in range(0, num_swaps, chunk):
    one, other = reach(swaps[start : start + chunk])
    noise.append((other & ~one).sum(axis=1))
  found = np.concatenate(noise)
  # Whole counts that hold at least the middle 95 %.
  low = np.quantile(found, 1 - _LEVEL, method="lower")
  high = np.quantile(found, _LEVEL, method="higher")
  return Layer(
    num_examples=int(known.sum()),
    num_first=int(before.sum()),
    num_second=int(after.sum()),
    newly=int((after & ~before).sum()),
    no_longer=int((before & ~after).sum()),
    noise_mean=float(found.mean()),
    noise_low=int(low),
    noise_high=int(high),
  )


def changes_of_examples(
  first: np.ndarray, second: np.ndarray, in_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The change of every example's memorization, and its p-value.

  Args:
    first, second: bool `[M, N]`, the outcomes of two arms.
    in_mask: bool `[M, N]`, the subsets of both.

  Returns:
    float64 `[N]` each: the score by `second` minus that by `first`, and the
    two-sided p-value of no change; NaN where an example is in no run or in all.
  """
  gain = second.astype(np.int64) - first
  differ, count, total = [], [], []
  for member in (in_mask, ~in_mask):
    count.append(member.sum(axis=0))
    differ.append(((gain != 0) & member).sum(axis=0))
    total.append((gain * member).sum(axis=0))
  rows = np.stack([*differ, *count, *total], axis=1)
  kinds, index = np.unique(rows, axis=0, return_inverse=True)
  found = np.array([_change_and_p(*kind) for kind in kinds]).reshape(-1, 2)
  change, p_value = found[index.reshape(-1)].T
  return change, p_value


def _change_and_p(u, v, num_in, num_out, sum_in, sum_out):
  """Change and p-value of examples with these counts; see the module."""
  if not num_in or not num_out:
    return float("nan"), float("nan")
  change = sum_in / num_in - sum_out / num_out
  i, j = np.arange(u + 1), np.arange(v + 1)
  law = np.outer(stats.binom.pmf(i, u, 0.5), stats.binom.pmf(j, v, 0.5))
  under_null = np.subtract.outer((2 * i - u) / num_in, (2 * j - v) / num_out)
  far = np.abs(under_null) >= abs(change) - _CLOSE
  return change, min(1.0, float(law[far].sum()))


class _Group:
  """The in-runs of every example, or its out-runs, of two arms."""

  def __init__(self, first, second, member):
    self.count = member.sum(axis=0)
    self._sums = [
      in_out.group_sums(outcome, member)[0] for outcome in (first, second)
    ]
    self._gain = (second.astype(np.float64) - first) * member

  def means(self, swapped: np.ndarray) -> list[np.ndarray]:
    """`[R, N]` of both arms, with the pairs of `[R, M]` swapped."""
    moved = swapped @ self._gain
    with np.errstate(divide="ignore", invalid="ignore"):
      return [
        (self._sums[0] + moved) / self.count,
        (self._sums[1] - moved) / self.count,
      ]


def _means(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
  """Mean memorization and accuracies, of the examples that have them."""
  known = ~np.isnan(in_mean - out_mean)
  if not known.any():
    return np.full(3, np.nan)
  in_mean, out_mean = in_mean[known].mean(), out_mean[known].mean()
  return np.array([in_mean - out_mean, in_mean, out_mean])
