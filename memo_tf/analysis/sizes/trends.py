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
import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

NUM_RESAMPLES = 200
MIN_BLOCKS = 8
SATURATED = 0.99


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedBootstrap:
  """Weights of runs in R replicates; the first row is the runs as they are."""

  weights: np.ndarray
  num_blocks: int

  def intervals(self, values: np.ndarray) -> np.ndarray:
    """`[R + 1, K]` of a statistic to `[K, 3]`: value, ends of its interval."""
    blocks = self.num_blocks
    # A replicate may lack a group altogether: it is left out.
    whole = ~np.isnan(values[1:]).any(axis=1)
    drawn = values[1:][whole] if whole.sum() >= 2 else values[1:]
    error = drawn.std(axis=0, ddof=1) * np.sqrt(blocks / (blocks - 1))
    half = stats.t.ppf(0.975, blocks - 1) * error
    return np.stack([values[0], values[0] - half, values[0] + half], axis=-1)


def paired_bootstrap(
  num_runs: int,
  *,
  block: int | np.ndarray = 1,
  num_resamples: int = NUM_RESAMPLES,
  seed: int = 0,
) -> PairedBootstrap | None:
  """Draws blocks of runs, or runs if blocks are few; None of fewer than two.

  Args:
    num_runs: M.
    block: how many consecutive runs depend on each other, or `[M]` int, the
      block that each run belongs to.
    num_resamples: R.
    seed: of the draws.
  """
  group = np.arange(num_runs) // block if np.ndim(block) == 0 else block
  group = np.unique(group, return_inverse=True)[1]
  if group.max() + 1 < MIN_BLOCKS:
    group = np.arange(num_runs)
  num_blocks = int(group.max()) + 1
  if num_blocks < 2:
    return None
  rng = np.random.default_rng(seed)
  drawn = rng.multinomial(
    num_blocks, np.full(num_blocks, 1 / num_blocks), num_resamples
  )
  weights = np.concatenate([np.ones((1, num_blocks)), drawn])[:, group]
  return PairedBootstrap(weights=weights, num_blocks=num_blocks)


def replicates(
  correct: np.ndarray, in_mask: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """In- and out-accuracy of every example under weights of the runs.

  Args:
    correct: `[M, N]` bool, of one size.
    in_mask: `[M, N]` bool.
    weights: `[R, M]`.

  Returns:
    Two `[R, N]` float64; NaN where a group is empty.
  """
  result = []
  for mask in (in_mask, ~in_mask):
    right = weights @ (correct & mask).astype(np.float64)
    count = weights @ mask.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
      result.append(right / count)
  return result[0], result[1]


def statistic_by_size(
  correct: np.ndarray,
  in_mask: np.ndarray,
  bootstrap: PairedBootstrap,
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
      inside, outside = replicates(
        outcome, in_mask, weights[start : start + chunk]
      )
      part.append([statistic(a, b) for a, b in zip(inside, outside)])
    rows.append(np.asarray(part).swapaxes(0, 1))
  return np.concatenate(rows)


def mean_trends(
  correct: np.ndarray, in_mask: np.ndarray, bootstrap: PairedBootstrap
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
  bootstrap: PairedBootstrap,
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
    for name, right, mask in (
      ("in_accuracy", outcome, in_mask),
      ("out_accuracy", outcome, ~in_mask),
      ("test_accuracy", test, np.ones_like(test)),
    ):
      with np.errstate(divide="ignore", invalid="ignore"):
        values = (right & mask).sum(axis=1) / mask.sum(axis=1)
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
  bootstrap: PairedBootstrap, values: np.ndarray, names: Sequence[str]
) -> pd.DataFrame:
  """`[R + 1, S, K]` to a row a size with value, low and high of each name."""
  columns = {}
  for place, name in enumerate(names):
    ends = bootstrap.intervals(values[:, :, place])
    columns[name] = ends[:, 0]
    columns[f"{name}_low"] = ends[:, 1]
    columns[f"{name}_high"] = ends[:, 2]
  return pd.DataFrame(columns)
