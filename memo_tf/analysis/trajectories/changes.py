"""Which single examples change with size: estimate, interval and q-value.

Sizes share their subsets, so run m at one size is paired with run m at another.
Let d[m] be the later size's correctness of an example minus the earlier one's:
-1, 0 or 1. The change of memorization is the mean of d over the runs that
trained on the example minus its mean over the others.

The p-value is exact (McNemar, 1947): if an example's two accuracies do not
depend on size, then each d that is not 0 is as likely to be 1 as -1, whatever
the other examples do. If both accuracies change by the same amount, so that
memorization does not, the test is conservative: it takes the mean square of d
for its variance. q-values are Benjamini & Hochberg's (1995). Examples whose
runs disagree too rarely to reach p <= 0.05 with any signs are not among the
tests; under the null hypothesis this selection says nothing of the signs.

Intervals are those of Bonett & Price (2012) for paired proportions, with half
of their pseudo-observations in each of the two groups. They are pointwise:
chosen by a small q-value, an estimate tends to be too far from 0.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy import special
from scipy import stats

from memo_tf.analysis import evidence
from memo_tf.estimators import q_values as q_values_lib

MAX_Q_VALUE = evidence.MAX_Q_VALUE


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleChanges:
  """Changes of memorization of N examples over S sizes; arrays are `[N]`.

  NaN (and q-value NaN) where an example was never in or never out.

  Attributes:
    change: of the largest size from the smallest, in [-2, 2].
    change_ci_low, change_ci_high: pointwise 95 % interval.
    change_q_value: of the hypothesis that the example does not change.
    largest_departure: the largest change, up or down, from the smallest size
      to a size between the two ends; NaN with two sizes.
    largest_departure_size: index of that size, int; -1 where there is none.
    largest_departure_ci_low, largest_departure_ci_high: 95 % for all sizes
      between the ends together (Bonferroni).
    largest_departure_q_value: of no change at any size between the ends.
  """

  change: np.ndarray
  change_ci_low: np.ndarray
  change_ci_high: np.ndarray
  change_q_value: np.ndarray
  largest_departure: np.ndarray
  largest_departure_size: np.ndarray
  largest_departure_ci_low: np.ndarray
  largest_departure_ci_high: np.ndarray
  largest_departure_q_value: np.ndarray

  def named(self) -> dict[str, np.ndarray]:
    """Indices of the examples with q <= 0.05, most significant first.

    By what may be said of them: `rises` or `falls` (the change), and `departs`
    (the largest departure of examples that are in neither).
    """
    order = np.argsort(self.change_q_value, kind="stable")
    sure = order[self.change_q_value[order] <= MAX_Q_VALUE]
    between = np.argsort(self.largest_departure_q_value, kind="stable")
    departs = self.largest_departure_q_value[between] <= MAX_Q_VALUE
    return {
      "rises": sure[self.change[sure] > 0],
      "falls": sure[self.change[sure] < 0],
      "departs": between[departs & ~np.isin(between, sure)],
    }

  def to_dataframe(self) -> pd.DataFrame:
    """Table with one row per example, one column per attribute."""
    return pd.DataFrame(
      {field.name: getattr(self, field.name) for field in _FIELDS}
    )


_FIELDS = dataclasses.fields(ExampleChanges)


def example_changes(correct: np.ndarray, in_mask: np.ndarray) -> ExampleChanges:
  """Estimates and tests the change of every example.

  Args:
    correct: `[S, M, N]` bool, sizes ascending, of the same subsets; S at least
      2.
    in_mask: `[M, N]` bool.

  Returns:
    An `ExampleChanges`.

  Raises:
    ValueError: if the shapes do not fit, or for fewer than two sizes.
  """
  correct, in_mask = np.asarray(correct, bool), np.asarray(in_mask, bool)
  if (
    correct.ndim != 3 or len(correct) < 2 or correct.shape[1:] != in_mask.shape
  ):
    raise ValueError(
      "`correct` must be [S, M, N] of two sizes or more, and `in_mask` [M, N]. "
      f"Received: {correct.shape} and {in_mask.shape}"
    )
  ends = _change(correct[0], correct[-1], in_mask, confidence=0.95)
  num_between = len(correct) - 2
  num_examples = in_mask.shape[1]
  largest = {name: np.full(num_examples, np.nan) for name in ends}
  where = np.full(num_examples, -1)
  for size in range(1, num_between + 1):
    found = _change(
      correct[0], correct[size], in_mask, confidence=1 - 0.05 / num_between
    )
    further = np.abs(found["change"]) > np.nan_to_num(
      np.abs(largest["change"]), nan=-1.0
    )
    where[further] = size
    for name, values in found.items():
      largest[name] = np.where(further, values, largest[name])
  return ExampleChanges(
    change=ends["change"],
    change_ci_low=ends["low"],
    change_ci_high=ends["high"],
    change_q_value=_q_values(ends["p_value"], ends["least_p"]),
    largest_departure=largest["change"],
    largest_departure_size=where,
    largest_departure_ci_low=largest["low"],
    largest_departure_ci_high=largest["high"],
    # The p-value at the largest departure is no smaller than the smallest of
    # all sizes between, which Bonferroni corrects.
    largest_departure_q_value=_q_values(
      np.minimum(num_between * largest["p_value"], 1.0), largest["least_p"]
    ),
  )


def _change(before, after, in_mask, *, confidence) -> dict[str, np.ndarray]:
  """Change, interval, p-value and least possible p-value; all `[N]`."""
  gains, losses, counts = [], [], []
  for member in (in_mask, ~in_mask):
    gains.append((after & ~before & member).sum(axis=0))
    losses.append((before & ~after & member).sum(axis=0))
    counts.append(member.sum(axis=0))
  change, centre, variance = np.zeros((3, in_mask.shape[1]))
  with np.errstate(divide="ignore", invalid="ignore"):
    for sign, gain, loss, count in zip((1, -1), gains, losses, counts):
      change = change + sign * (gain - loss) / count
      total = count + 1
      moved = (gain - loss) / total
      centre = centre + sign * moved
      variance = variance + ((gain + loss + 1) / total - moved**2) / total
  half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance)
  known = ~np.isnan(change)
  moved_in, moved_out = gains[0] + losses[0], gains[1] + losses[1]
  p_value = np.full(len(change), np.nan)
  p_value[known] = _sign_flip_p_values(
    *(a[known] for a in (gains[0], moved_in, gains[1], moved_out, *counts))
  )
  return {
    "change": change,
    # The estimate stays within its own interval.
    "low": np.where(known, np.minimum(centre - half, change), np.nan),
    "high": np.where(known, np.maximum(centre + half, change), np.nan),
    "p_value": p_value,
    # All signs in favour of one direction.
    "least_p": np.where(
      known, np.minimum(1.0, 2.0 ** (1 - moved_in - moved_out)), np.nan
    ),
  }


def _sign_flip_p_values(
  gain_in, moved_in, gain_out, moved_out, num_in, num_out
):
  """Two-sided exact p-values `[K]`, from counts of runs, int `[K]` each.

  Under random signs the gains are Binomial(moved, 1/2) in each group. The
  statistic times num_in * num_out is a whole number, so ties are exact.
  """
  keys = np.stack([gain_in, moved_in, gain_out, moved_out, num_in, num_out])
  unique, inverse = np.unique(keys, axis=1, return_inverse=True)
  gain_in, moved_in, gain_out, moved_out, num_in, num_out = unique
  observed = np.abs(
    (2 * gain_in - moved_in) * num_out - (2 * gain_out - moved_out) * num_in
  )
  p_value = np.zeros(len(observed))
  for i in range(int(moved_in.max(initial=0)) + 1):
    here = np.flatnonzero(moved_in >= i)
    n_in, n_out = moved_in[here], moved_out[here]
    shift = (2 * i - n_in) * num_out[here]
    step = 2 * num_in[here]
    # Gains j among the held-out runs with |shift - (2 j - n) num_in| as large
    # as observed: up to `low`, or at least `high`.
    low = (shift - observed[here] + n_out * num_in[here]) // step
    high = -((-shift - observed[here] - n_out * num_in[here]) // step)
    tail = _cdf(low, n_out) + _cdf(n_out - high, n_out)
    weight = stats.binom.pmf(i, n_in, 0.5)
    p_value[here] += weight * np.where(observed[here] == 0, 1.0, tail)
  return np.minimum(p_value, 1.0)[inverse.reshape(-1)]


def _cdf(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
  """Distribution function of Binomial(trials, 1/2)."""
  inside = np.clip(successes, 0, trials)
  return np.where(successes < 0, 0.0, special.bdtr(inside, trials, 0.5))


def _q_values(p_value: np.ndarray, least_p: np.ndarray) -> np.ndarray:
  """q-values `[N]` over the tests that can reach 0.05; 1 for the others."""
  result = np.where(np.isnan(p_value), np.nan, 1.0)
  tested = least_p <= MAX_Q_VALUE  # False for NaN
  result[tested] = q_values_lib.q_values(p_value[tested], int(tested.sum()))
  return result
