"""Mean memorization and accuracies over model sizes, with paired intervals.

All S sizes share their subsets. A bootstrap (`estimators.resampling`) draws
whole blocks of runs, the same for all sizes, so that differences between sizes
are paired. With fewer than 8 blocks single runs are drawn instead.

Mean memorization is mean in-accuracy minus mean out-accuracy, so

    change of memorization = change of in-accuracy - change of out-accuracy.

Where in-accuracy is saturated, the whole change is the second term's.
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
  """Replicates of a statistic of the examples' accuracies, by size.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    bootstrap: replicates of the runs.
    statistic: maps in- and out-accuracy `[N]` to `[K]`.
    num_resamples: number of replicates to use; None: all.

  Returns:
    `[R + 1, S, K]`, the runs as they are first.
  """
  weights = bootstrap.weights
  if num_resamples is not None:
    weights = weights[: num_resamples + 1]
  rows = []
  chunk = max(1, int(2e7 // in_mask.shape[1]))
  for start in range(0, len(weights), chunk):
    part = []
    for outcome in correct:
      in_means, out_means = in_out.in_out_means(
        outcome, in_mask, weights[start : start + chunk]
      )
      part.append([statistic(a, b) for a, b in zip(in_means, out_means)])
    rows.append(np.asarray(part).swapaxes(0, 1))
  return np.concatenate(rows)


def mean_trends(
  correct: np.ndarray,
  in_mask: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Mean scores and accuracies by size, and their changes between sizes.

  Args:
    correct: `[S, M, N]` bool, sizes ascending.
    in_mask: `[M, N]` bool.
    bootstrap: replicates of the runs.

  Returns:
    A table with one row per size: `memorization`, `in_accuracy`,
    `out_accuracy`, each with `_low` and `_high`, and `saturated` (in-accuracy
    of at least 0.99). And a table with one row per change, from each size to
    the next and from the first to the last: `from_size`, `to_size` (indices),
    and the changes of the same three.
  """

  def means(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
    parts = (in_mean - out_mean, in_mean, out_mean)
    return np.array([known_mean(part) for part in parts])

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

  The classes are held fixed over replicates. They were assigned from the same
  runs, so a class filled by noise shows the change that the noise made.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    shape_class: `[N]` str.
    names: of the classes, in the order of the table.
    bootstrap: replicates of the runs.

  Returns:
    A table with one row per class and size: shape_class, size, num_examples,
    and the three means with their intervals. Classes without examples are left
    out.
  """
  present = [n for n in names if (shape_class == n).any()]
  member = np.stack([shape_class == n for n in present]).astype(np.float64)
  member /= member.sum(axis=1, keepdims=True)

  def means(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
    in_mean, out_mean = np.nan_to_num(in_mean), np.nan_to_num(out_mean)
    return np.stack(
      [member @ (in_mean - out_mean), member @ in_mean, member @ out_mean]
    ).T.ravel()

  values = statistic_by_size(correct, in_mask, bootstrap, means)
  frames = []
  columns = ("memorization", "in_accuracy", "out_accuracy")
  for k, name in enumerate(present):
    frame = table(bootstrap, values[:, :, 3 * k : 3 * k + 3], columns)
    frame.insert(0, "shape_class", name)
    frame.insert(1, "size", np.arange(len(correct)))
    frame.insert(2, "num_examples", int((shape_class == name).sum()))
    frames.append(frame)
  return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def run_accuracies(
  correct: np.ndarray, in_mask: np.ndarray, test_correct: np.ndarray
) -> pd.DataFrame:
  """Accuracies of single runs by size, with their spread over runs.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    test_correct: `[S, M, T]` bool.

  Returns:
    A table with one row per size: in_accuracy, out_accuracy, test_accuracy, the
    means over runs of each run's accuracy, and `_sd`, the sample standard
    deviations.
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


def known_mean(values: np.ndarray) -> float:
  """Mean of the known values; NaN without any, as a replicate may have."""
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
  """Estimates and intervals as a table.

  Args:
    bootstrap: that gave the values.
    values: `[R + 1, S, K]`.
    names: K names.

  Returns:
    A table with one row per size and for each name the columns NAME, NAME_low
    and NAME_high.
  """
  columns = {}
  for k, name in enumerate(names):
    ends = bootstrap.intervals(values[:, :, k])
    columns[name] = ends[:, 0]
    columns[f"{name}_low"] = ends[:, 1]
    columns[f"{name}_high"] = ends[:, 2]
  return pd.DataFrame(columns)
