"""Mean changes from one recipe to another, paired by subset.

Both recipes trained on the same subsets, at the same sizes. A bootstrap draws
runs once for both and for all sizes. As between sizes

    change of memorization = change of in-accuracy - change of out-accuracy,

and the two are shown apart: a lower score may be a lower training accuracy, a
better guess about held-out examples, or both (Lukasik et al., 2024, tables 5
and 6, claim both of distillation).
"""

import numpy as np
import pandas as pd

from memo_tf.analysis.sizes import trends
from memo_tf.estimators import in_out
from memo_tf.estimators import resampling

FIGURES = ("memorization", "in_accuracy", "out_accuracy", "test_accuracy")
# The row of the mean over sizes, in the column `size`.
ALL_SIZES = -1
NUM_BINS = 20


def mean_changes(
  base: np.ndarray,
  other: np.ndarray,
  in_mask: np.ndarray,
  base_test: np.ndarray,
  other_test: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
) -> pd.DataFrame:
  """Means of both recipes by size, and their paired change.

  Args:
    base, other: `[S, M, N]` bool, correctness of the two recipes' runs on the
      training examples.
    in_mask: `[M, N]` bool, of both.
    base_test, other_test: `[S, M, T]` bool, on the test examples.
    bootstrap: replicates of the M runs.

  Returns:
    A table with one row per size, and with two sizes or more a last one of
    `size` -1, the mean over them. For each of `FIGURES` the columns
    NAME_baseline, NAME (of `other`), and NAME_change (other minus base) with
    _low and _high, its 95 % interval.
  """
  means = [
    replicates(correct, in_mask, test, bootstrap)
    for correct, test in ((base, base_test), (other, other_test))
  ]
  columns: dict[str, np.ndarray] = {"size": _size_column(len(base))}
  ends = [
    bootstrap.intervals(v) for v in np.moveaxis(means[1] - means[0], 2, 0)
  ]
  for k, name in enumerate(FIGURES):
    columns[f"{name}_baseline"] = means[0][0, :, k]
    columns[name] = means[1][0, :, k]
    for column, suffix in enumerate(("", "_low", "_high")):
      columns[f"{name}_change{suffix}"] = ends[k][:, column]
  return pd.DataFrame(columns)


def replicates(
  correct: np.ndarray,
  in_mask: np.ndarray,
  test: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
) -> np.ndarray:
  """`[R + 1, S or S + 1, 4]`: `FIGURES` of one recipe, the mean last.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    test: `[S, M, T]` bool; without examples the last figure is NaN.
    bootstrap: replicates of the M runs.
  """

  def means(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
    parts = (in_mean - out_mean, in_mean, out_mean)
    return np.array([_mean(part) for part in parts])

  trained = trends.statistic_by_size(correct, in_mask, bootstrap, means)
  weights = bootstrap.weights / bootstrap.weights.sum(axis=1, keepdims=True)
  tested = np.full((len(weights), len(correct)), np.nan)
  if test.shape[2]:
    tested = weights @ test.mean(axis=2).T
  return with_mean(np.concatenate([trained, tested[:, :, None]], axis=2))


def with_mean(values: np.ndarray) -> np.ndarray:
  """`[R, S, K]` with the mean over sizes as a further size, if S > 1."""
  if values.shape[1] == 1:
    return values
  return np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)


def _size_column(num_sizes: int) -> np.ndarray:
  """Indices of sizes, and `ALL_SIZES` where there are several."""
  sizes = np.arange(num_sizes)
  return np.append(sizes, ALL_SIZES) if num_sizes > 1 else sizes


def _mean(values: np.ndarray) -> float:
  """Mean of the known values; NaN without any, as a replicate may have."""
  values = trends.known(values)
  return float(values.mean()) if len(values) else float("nan")


def by_run(
  base: np.ndarray, other: np.ndarray, bootstrap: resampling.PairedBootstrap
) -> np.ndarray:
  """Paired change of a figure that every run has.

  Args:
    base, other: `[M]` float, of the runs of the two recipes.
    bootstrap: replicates of the M runs.

  Returns:
    `[3, 3]`: base, other and their difference, each with its 95 % interval.
  """
  weights = bootstrap.weights / bootstrap.weights.sum(axis=1, keepdims=True)
  values = weights @ np.stack([base, other, other - base], axis=1)
  return bootstrap.intervals(values)


def held_out_probability(
  label_probability: np.ndarray, in_mask: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
  """Mean probability of the label over the chosen examples that are held out.

  Args:
    label_probability: `[M, N]`, in [0, 1].
    in_mask: `[M, N]` bool.
    chosen: `[N]` bool.

  Returns:
    `[M]`: of each run; NaN where it holds none of them out.
  """
  counted = ~in_mask & chosen
  total = np.where(counted, label_probability, 0).sum(axis=1, dtype=np.float64)
  with np.errstate(invalid="ignore", divide="ignore"):
    return total / counted.sum(axis=1)


def joint_histogram(
  base: np.ndarray, other: np.ndarray, num_bins: int = NUM_BINS
) -> pd.DataFrame:
  """Counts of examples by both recipes' scores (Lukasik et al., figure 5).

  Args:
    base, other: `[S, N]`, memorization; NaN is left out.
    num_bins: of equal width on [0, 1]. Scores below 0 are in the first.

  Returns:
    A table with one row per size and pair of bins that is not empty: size,
    baseline_low and other_low (lower ends of the bins), num_examples.
  """
  frames = []
  for size, (one, two) in enumerate(zip(base, other)):
    both = ~np.isnan(one) & ~np.isnan(two)
    places = [
      np.clip((s[both] * num_bins).astype(int), 0, num_bins - 1)
      for s in (one, two)
    ]
    pairs, counts = np.unique(np.stack(places), axis=1, return_counts=True)
    frames.append(
      pd.DataFrame(
        {
          "size": size,
          "baseline_low": pairs[0] / num_bins,
          "other_low": pairs[1] / num_bins,
          "num_examples": counts,
        }
      )
    )
  return pd.concat(frames, ignore_index=True)


def scores(correct: np.ndarray, in_mask: np.ndarray) -> np.ndarray:
  """Memorization `[S, N]` of `correct` bool `[S, M, N]`."""
  means = [in_out.in_out_means(outcome, in_mask) for outcome in correct]
  return np.stack([inside - outside for inside, outside in means])
