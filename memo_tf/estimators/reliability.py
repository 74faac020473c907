"""Split-half reliability of a study's scores, with an interval.

The N scores of a study come from the same runs, so their errors are
correlated, and the runs of a balanced block depend on each other. So whole
blocks of runs are split in two.

Reliability is the share of the scores' variance over examples that is not
noise. It is estimated from r, the correlation over examples of the scores from
two disjoint halves of the runs, averaged over splits: Spearman & Brown's (1910)
formula k r / (1 + (k - 1) r) takes it from one half to k times as many runs.
The square root of the reliability is the ceiling of any correlation with the
scores: what the true scores would reach.
"""

from collections.abc import Callable
from collections.abc import Sequence
import math

import numpy as np

from memo_tf.estimators import in_out
from memo_tf.estimators import resampling
from memo_tf.estimators import split_halves


def split_half_reliability(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  num_splits: int = split_halves.NUM_SPLITS,
  seed: int = 0,
  block: int | np.ndarray = 1,
) -> split_halves.SplitHalfReliability:
  """Reliability of the scores of all runs, from two halves of their blocks.

  Args:
    outcome: `[M, N]`, as in `memorization_scores`.
    in_mask: `[M, N]` bool.
    num_splits: number of different splits, at least 1; all of them if there
      are no more.
    seed: of the splits.
    block: number of consecutive runs that stay together, or `[M]` int, the
      block of each run. With an odd number of blocks each split leaves one
      out. Blocks may lack runs.

  Returns:
    A `SplitHalfReliability` of M runs; NaN if no two halves have scores that
    vary. The interval is NaN below three blocks.

  Raises:
    ValueError: for fewer than two blocks, or arrays of different shapes.
  """
  scores_of, runs = _of_runs(outcome, in_mask, block)
  return split_halves.of_blocks(
    scores_of, runs, num_splits=num_splits, seed=seed
  )


def reliability_curve(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  counts: Sequence[int] | None = None,
  num_splits: int = split_halves.NUM_SPLITS,
  seed: int = 0,
  block: int | np.ndarray = 1,
) -> list[split_halves.SplitHalfReliability]:
  """Split-half reliability for several numbers of runs.

  Args:
    outcome: `[M, N]`.
    in_mask: `[M, N]` bool.
    counts: numbers of runs, from two blocks to M; those below M are rounded
      down to an even number of blocks. None: M, M / 2, M / 4 ..., down to two
      blocks.
    num_splits, seed, block: as in `split_half_reliability`. Each split draws
      its own runs.

  Returns:
    A `SplitHalfReliability` per count, ascending, without repeats; only that of
    M runs has an interval.

  Raises:
    ValueError: as `split_half_reliability`, or for a count out of range.
  """
  scores_of, runs = _of_runs(outcome, in_mask, block)
  total, size = int(runs.sum()), runs.mean()
  if counts is None:
    counts, count = [], total
    while count >= 2 * size:
      counts.append(count)
      count //= 2
  halves: dict[int, int] = {}
  for count in counts:
    if not math.floor(2 * size) <= count <= total:
      raise ValueError(
        f"`counts` must be from two blocks, {2 * size:g}, to M={total}. "
        f"Received: {count}"
      )
    half = max(1, min(int(count / (2 * size)), len(runs) // 2))
    even = min(round(2 * half * size), total)
    halves[half] = total if count == total else max(halves.get(half, 0), even)
  return [
    split_halves.of_blocks(
      scores_of,
      runs,
      half=half,
      num_runs=num_runs,
      num_splits=num_splits,
      seed=seed,
    )
    for half, num_runs in sorted(halves.items())
  ]


def memorization_of_blocks(
  outcome: np.ndarray, in_mask: np.ndarray, group: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
  """Memorization as a function of how often each block counts.

  Args:
    outcome, in_mask: `[M, N]`.
    group: `[M]` int, the block of each run, from 0 to B - 1.

  Returns:
    A function of weights `[R, B]` that gives scores `[R, N]`.
  """
  parts = [
    in_out.in_out_sums(outcome[group == b], in_mask[group == b])
    for b in range(int(group.max()) + 1)
  ]
  sums = [np.stack(column).astype(np.float64) for column in zip(*parts)]

  def scores_of(weights: np.ndarray) -> np.ndarray:
    in_out_of = in_out.InOutSums(*(weights @ part for part in sums))
    in_mean, out_mean = in_out_of.means()
    return in_mean - out_mean

  return scores_of


def _of_runs(outcome, in_mask, block):
  """`scores_of` and the number of runs of each block."""
  outcome, in_mask = np.asarray(outcome), np.asarray(in_mask, bool)
  if outcome.ndim != 2 or outcome.shape != in_mask.shape:
    raise ValueError(
      "`outcome` and `in_mask` must both be [M, N]. Received: "
      f"{outcome.shape} and {in_mask.shape}"
    )
  if np.ndim(block) == 0:
    _check(block >= 1, "`block` must be at least 1", block)
  group = resampling.block_of_run(len(outcome), block)
  _check(
    len(group) and group.max() > 0,
    "At least two blocks of runs are needed",
    len(outcome),
  )
  return memorization_of_blocks(outcome, in_mask, group), np.bincount(group)


def _check(holds: bool, rule: str, value) -> None:
  if not holds:
    raise ValueError(f"{rule}. Received: {value}")
