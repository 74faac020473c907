"""Mean memorization and accuracies over model sizes, with paired intervals.

Everything is by the runs of S sizes that share their subsets. A bootstrap draws
whole blocks of runs, the same for all sizes, so that differences between sizes
are paired. Intervals are the estimate plus and minus t(B - 1) standard errors,
B blocks, the standard error being that of the bootstrap times sqrt(B / (B - 1)):
with few blocks a percentile interval is too narrow. Of fewer than 8 blocks a
deviation is hardly known: then single runs are drawn, which ignores what a
balanced block saves in variance.

Mean memorization is mean accuracy in the subset minus that held out, so

    change of memorization = change of in-accuracy - change of out-accuracy.

Where in-accuracy is saturated, all of a change is the second term's.
"""

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import pandas as pd

from memo_tf.estimators import in_out
from memo_tf.estimators import resampling

SATURATED = 0.99


def statistic_by_size(
  correct: np.ndarray,
  in_mask: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
  statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
  *,
  num_resamples: int | None = None,
) -> np.ndarray:
  """A statistic of the examples' accuracies, by replicate and size.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    bootstrap: the replicates.
    statistic: of in- and out-accuracy `[N]`, to `[K]`.
    num_resamples: only so many; None: all.

  Returns:
    `[R + 1, S, K]`.
  """
  weights = bootstrap.weights
  if num_resamples is not None:
    weights = weights[: num_resamples + 1]
  rows = []
  chunk = max(1, int(2e7 // in_mask.shape[1]))
  for start in range(0, len(weights), chunk):
    part = []
    for outcome in correct:
      inside, outside = in_out.in_out_means(
        outcome, in_mask, weights[start : start + chunk]
      )
      part.append([statistic(a, b) for a, b in zip(inside, outside)])
    rows.append(np.asarray(part).swapaxes(0, 1))
  return np.concatenate(rows)


def mean_trends(
  correct: np.ndarray,
  in_mask: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Means over examples by size, and their changes between sizes.

  Args:
    correct: `[S, M, N]` bool, sizes ascending.
    in_mask: `[M, N]` bool.
    bootstrap: the replicates.

  Returns:
    A row a size: `memorization`, `in_accuracy`, `out_accuracy`, each with
    `_low` and `_high`, and `saturated` (in-accuracy of at least 0.99). And a row
    for each change, from each size to the next and from the first to the last:
    `from_size`, `to_size` (places), and the changes of the same three.
  """

  def means(inside, outside):
    return np.array([_mean(inside - outside), _mean(inside), _mean(outside)])

  values = statistic_by_size(correct, in_mask, bootstrap, means)
  names = ("memorization", "in_accuracy", "out_accuracy")
  num_sizes = len(correct)
  by_size = table(bootstrap, values, names)
  by_size["saturated"] = by_size["in_accuracy"] >= SATURATED
  steps = [(s, s + 1) for s in range(num_sizes - 1)]
  if num_sizes > 2:
    steps.append((0, num_sizes - 1))
  changes = table(
    bootstrap,
    np.stack([values[:, t] - values[:, s] for s, t in steps], axis=1),
    names,
  )
  changes.insert(0, "from_size", [s for s, _ in steps])
  changes.insert(1, "to_size", [t for _, t in steps])
  return by_size, changes


def class_means(
  correct: np.ndarray,
  in_mask: np.ndarray,
  shape_class: np.ndarray,
  names: tuple[str, ...],
  bootstrap: resampling.PairedBootstrap,
) -> pd.DataFrame:
  """Mean accuracies by size of the examples of each shape class.

  The classes are held fixed: they were named from the same runs, so a class that
  noise fills shows the change that noise made.

  Returns:
    A row a class and size: shape_class, size, num_examples, and the three means
    with their intervals; classes without examples are left out.
  """
  present = [n for n in names if (shape_class == n).any()]
  member = np.stack([shape_class == n for n in present]).astype(np.float64)
  member /= member.sum(axis=1, keepdims=True)

  def means(inside, outside):
    inside, outside = np.nan_to_num(inside), np.nan_to_num(outside)
    return np.stack(
      [member @ (inside - outside), member @ inside, member @ outside]
    ).T.ravel()

  values = statistic_by_size(correct, in_mask, bootstrap, means)
  frames = []
  columns = ("memorization", "in_accuracy", "out_accuracy")
  for place, name in enumerate(present):
    frame = table(bootstrap, values[:, :, 3 * place : 3 * place + 3], columns)
    frame.insert(0, "shape_class", name)
    frame.insert(1, "size", np.arange(len(correct)))
    frame.insert(2, "num_examples", int((shape_class == name).sum()))
    frames.append(frame)
  return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def run_accuracies(
  correct: np.ndarray, in_mask: np.ndarray, test_correct: np.ndarray
) -> pd.DataFrame:
  """Accuracies by size with their deviation over runs (as a table of accuracies).

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    test_correct: `[S, M, T]` bool.

  Returns:
    A row a size: in_accuracy, out_accuracy, test_accuracy: means over runs of
    each run's own, and `_sd`, their sample deviation.
  """
  rows = []
  for outcome, test in zip(correct, test_correct):
    row = {}
    # By run instead of by example.
    in_mean, out_mean = in_out.in_out_means(outcome.T, in_mask.T)
    for name, values in (
      ("in_accuracy", in_mean),
      ("out_accuracy", out_mean),
      ("test_accuracy", test.mean(axis=1)),
    ):
      row[name] = float(values.mean())
      row[f"{name}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    rows.append(row)
  return pd.DataFrame(rows)


def _mean(values: np.ndarray) -> float:
  """Mean of what is known; NaN of nothing, which a replicate may have."""
  values = known(values)
  return values.mean() if len(values) else float("nan")


def known(scores: np.ndarray) -> np.ndarray:
  """The values that are not NaN."""
  return scores[~np.isnan(scores)]


def table(
  bootstrap: resampling.PairedBootstrap,
  values: np.ndarray,
  names: Sequence[str],
) -> pd.DataFrame:
  """`[R + 1, S, K]` to a row a size with value, low and high of each name."""
  columns = {}
  for place, name in enumerate(names):
    ends = bootstrap.intervals(values[:, :, place])
    columns[name] = ends[:, 0]
    columns[f"{name}_low"] = ends[:, 1]
    columns[f"{name}_high"] = ends[:, 2]
  return pd.DataFrame(columns)
