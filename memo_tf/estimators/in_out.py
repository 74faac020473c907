"""Mean outcome of the runs that trained on an example, and of the others.

Every score of this project starts here: memorization is the in-mean minus the
out-mean, consistency the out-mean alone. Sums of outcomes that are 0 or 1 are
exact; other outcomes are summed in the order of the runs.
"""

from typing import NamedTuple

import numpy as np

# Rows whose 0s and 1s add up in uint8 without overflow.
_UINT8_ROWS = 255


class InOutSums(NamedTuple):
  """Sums of outcomes over an example's in-runs and out-runs, and their counts.

  All arrays are `[N]`, or `[R, N]` with weights: int64 for boolean outcomes
  without weights; otherwise float64, or the weights' dtype.
  """

  sum_in: np.ndarray
  sum_out: np.ndarray
  num_in: np.ndarray
  num_out: np.ndarray

  def means(self) -> tuple[np.ndarray, np.ndarray]:
    """In-mean and out-mean; NaN where an example has no such run."""
    with np.errstate(divide="ignore", invalid="ignore"):
      return self.sum_in / self.num_in, self.sum_out / self.num_out


def in_out_sums(
  outcome: np.ndarray, in_mask: np.ndarray, weights: np.ndarray | None = None
) -> InOutSums:
  """Sums behind `in_out_means`.

  Args:
    outcome: `[M, N]`, bool or float, finite.
    in_mask: `[M, N]` bool, whether run m trained on example n.
    weights: `[R, M]` float, how often each run counts in each of R replicates;
      None counts every run once.

  Returns:
    An `InOutSums`.

  Raises:
    ValueError: if the shapes differ or `in_mask` is not boolean.
  """
  outcome, in_mask = _checked(outcome, in_mask)
  if weights is not None:
    sums = [group_sums(outcome, m, weights) for m in (in_mask, ~in_mask)]
    return InOutSums(sums[0][0], sums[1][0], sums[0][1], sums[1][1])
  if outcome.dtype != bool:
    total_in, num_in = group_sums(outcome, in_mask)
    total_out, num_out = group_sums(outcome, ~in_mask)
    return InOutSums(total_in, total_out, num_in, num_out)
  # The out-group is what is left: no second pass.
  total, num_in = _count(outcome), _count(in_mask)
  sum_in = _count(outcome, in_mask)
  return InOutSums(sum_in, total - sum_in, num_in, len(in_mask) - num_in)


def in_out_means(
  outcome: np.ndarray, in_mask: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Mean outcome of every example's in-runs and of its out-runs.

  Args:
    outcome, in_mask, weights: as in `in_out_sums`.

  Returns:
    In-mean and out-mean, `[N]` each, or `[R, N]` with weights; NaN where an
    example has no such run. float64, or the weights' dtype.

  Raises:
    ValueError: as `in_out_sums`.
  """
  return in_out_sums(outcome, in_mask, weights).means()


def held_out_mean(
  outcome: np.ndarray, in_mask: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
  """Out-mean of `in_out_means` alone: `[N]`, or `[R, N]` with weights."""
  outcome, in_mask = _checked(outcome, in_mask)
  total, count = group_sums(outcome, ~in_mask, weights)
  with np.errstate(divide="ignore", invalid="ignore"):
    return total / count


def group_sums(
  outcome: np.ndarray, member: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Sum of outcomes over the runs where `member` `[M, N]` holds, and count.

  Unlike in `in_out_sums` the group is any set of runs.
  """
  if weights is not None:
    is_bool = outcome.dtype == bool
    values = outcome & member if is_bool else np.where(member, outcome, 0)
    counts = weights @ member.astype(weights.dtype)
    return weights @ values.astype(weights.dtype), counts
  if outcome.dtype == bool:
    return _count(outcome, member), _count(member)
  total = np.zeros(outcome.shape[1])
  for row, inside in zip(outcome, member):
    total += np.where(inside, row, 0.0)
  return total, _count(member)


def _count(bits: np.ndarray, member: np.ndarray | None = None) -> np.ndarray:
  """Number of rows of `[M, N]` bools that hold, int64 `[N]`.

  255 rows at a time in uint8, which is faster than int64.
  """
  total = np.zeros(bits.shape[1], np.int64)
  for start in range(0, len(bits), _UINT8_ROWS):
    part = bits[start : start + _UINT8_ROWS]
    if member is not None:
      part = part & member[start : start + _UINT8_ROWS]
    total += np.add.reduce(part.view(np.uint8), axis=0, dtype=np.uint8)
  return total


def _checked(outcome, in_mask) -> tuple[np.ndarray, np.ndarray]:
  outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
  if (
    outcome.ndim != 2 or in_mask.shape != outcome.shape or in_mask.dtype != bool
  ):
    raise ValueError(
      "The outcome must be [M, N] and `in_mask` [M, N] bool. Received: "
      f"{outcome.shape} and {in_mask.shape} of {in_mask.dtype}"
    )
  return outcome, in_mask
