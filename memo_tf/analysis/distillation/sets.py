"""Changes from one recipe to another by set of examples, without the bias of
choosing the sets from the same runs.

An example that noise has put in the class "increasing", or among the most
memorized, has a score that is too high there, and its next measurement is lower
whatever the recipe (regression to the mean). So the sets come from the runs of
some blocks of subsets, the change from others, both ways, and the two are
averaged. The sets are held fixed in the bootstrap of the other runs.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis.distillation import paired
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import exposure
from memo_tf.estimators import resampling

# With fewer examples in a set, in either half, nothing is concluded of it.
MIN_EXAMPLES = 20
# Means over a set; the last, the median of the attack's separation d', only
# where confidences are given.
FIGURES = ("memorization", "in_accuracy", "out_accuracy", "separation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Half:
  """Which runs the sets come from, and which the change.

  Attributes:
    sets: bool `[M]`, the runs that examples are put into sets by.
    change: bool `[M]`, the runs that the change is measured in.
  """

  sets: np.ndarray
  change: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetChanges:
  """Changes of the mean over each set, from all halves together.

  Attributes:
    names: K names of sets.
    num_examples: `[K]` int, the smallest number of any half.
    values: `[R + 1, S, K, 3 or 4]`, changes of `FIGURES`, the mean over sizes
      last if there are several; the runs as they are first.
    degrees: degrees of freedom of the intervals.
    scale: factor of the bootstrap's standard deviation, sqrt(B / (B - 1)).
  """

  names: tuple[str, ...]
  num_examples: np.ndarray
  values: np.ndarray
  degrees: int
  scale: float

  def table(self) -> pd.DataFrame:
    """One row per set and size (-1: mean over sizes).

    Columns set, size, num_examples, and for each of `FIGURES` NAME_change with
    _low and _high.
    """
    rows = []
    num_sizes = self.values.shape[1]
    for k, name in enumerate(self.names):
      for size in range(num_sizes):
        row = {
          "set": name,
          "size": paired.ALL_SIZES if 1 < num_sizes == size + 1 else size,
          "num_examples": int(self.num_examples[k]),
        }
        for figure in range(self.values.shape[3]):
          label = FIGURES[figure]
          ends = self.interval(self.values[:, size, k, figure])
          for suffix, value in zip(("", "_low", "_high"), ends):
            row[f"{label}_change{suffix}"] = value
        rows.append(row)
    return pd.DataFrame(rows)

  def contrast(self, name: str, rest: str) -> tuple[float, float, float, int]:
    """How much more memorization falls in one set than in another.

    Args:
      name, rest: of `names`.

    Returns:
      The difference of the reductions, averaged over sizes, its 95 % interval,
      and the number of examples of the smaller set.
    """
    one, other = self.names.index(name), self.names.index(rest)
    change = self.values[:, -1, :, 0]
    found = self.interval(change[:, other] - change[:, one])
    count = int(min(self.num_examples[one], self.num_examples[other]))
    return *found, count

  def interval(self, values: np.ndarray) -> tuple[float, float, float]:
    """Estimate and 95 % interval of `[R + 1]` replicates."""
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or len(drawn) < 2:
      return float("nan"), float("nan"), float("nan")
    half = stats.t.ppf(0.975, self.degrees) * self.scale * drawn.std(ddof=1)
    return float(values[0]), float(values[0] - half), float(values[0] + half)


def halves(block: np.ndarray) -> list[Half]:
  """The first and the second half of the blocks, each way; [] of one block.

  Args:
    block: `[M]` int, the block of each run.
  """
  names = np.unique(block)
  if len(names) < 2:
    return []
  first = np.isin(block, names[: len(names) // 2])
  return [Half(sets=first, change=~first), Half(sets=~first, change=first)]


def set_changes(
  base: np.ndarray,
  other: np.ndarray,
  in_mask: np.ndarray,
  *,
  names: Sequence[str],
  members: Sequence[np.ndarray],
  rows: Sequence[np.ndarray],
  block: int | np.ndarray = 1,
  confidences: tuple[np.ndarray, np.ndarray] | None = None,
) -> SetChanges:
  """Mean change of the examples of each set, from one recipe to another.

  Args:
    base, other: `[S, M, N]` bool, as in `paired.mean_changes`.
    in_mask: `[M, N]` bool.
    names: of K sets.
    members: of each half bool `[K, N]`, which examples are in each set by the
      runs that are not in `rows` of that half.
    rows: of each half bool `[M]`, the runs that the change is measured in.
    block: as in `resampling.block_of_run`.
    confidences: of both recipes' runs, `[S, M, N]` each, as in `exposure`.

  Returns:
    The changes, as means over the halves; NaN for a set that is empty in one.

  Raises:
    ValueError: if a half has fewer than two runs.
  """
  group = resampling.block_of_run(len(in_mask), block)
  found, drawn = [], []
  for half, (member, chosen) in enumerate(zip(members, rows, strict=True)):
    bootstrap = resampling.paired_bootstrap(
      int(chosen.sum()), block=group[chosen], seed=half
    )
    if bootstrap is None:
      raise ValueError(
        f"A half must have two runs or more. Received: {int(chosen.sum())} runs"
      )
    drawn.append(bootstrap.num_blocks)
    half_runs = (chosen, in_mask, member, bootstrap)
    means = [_changes(_accuracies, (base, other), *half_runs)]
    if confidences:
      means.append(_changes(_separations, confidences, *half_runs))
    found.append(np.concatenate(means, axis=3))
  fewest = min(drawn)
  return SetChanges(
    names=tuple(names),
    num_examples=np.min([member.sum(axis=1) for member in members], axis=0),
    values=np.mean(found, axis=0),
    degrees=sum(number - 1 for number in drawn),
    scale=float(np.sqrt(fewest / (fewest - 1))),
  )


def _changes(figures, both, chosen, in_mask, member, bootstrap) -> np.ndarray:
  """`[R + 1, S (+ 1), K, F]`: changes of the figures in one half's runs."""
  one, two = (
    figures(values[:, chosen], in_mask[chosen], member, bootstrap)
    for values in both
  )
  return paired.with_mean(two - one)


def _accuracies(correct, in_mask, member, bootstrap) -> np.ndarray:
  """`[R + 1, S, K, 3]`: mean memorization, in- and out-accuracy of each set."""

  def means(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
    figures = np.stack([in_mean - out_mean, in_mean, out_mean])
    return _mean_over_sets(figures, member).ravel()

  found = trends.statistic_by_size(correct, in_mask, bootstrap, means)
  return found.reshape(*found.shape[:2], len(member), 3)


def _separations(confidence, in_mask, member, bootstrap) -> np.ndarray:
  """`[R + 1, S, K, 1]`: median separation of each set.

  Not the mean: with few runs some examples hardly vary, and have a d' that
  outweighs all others.
  """
  found = np.full(
    (len(bootstrap.weights), len(confidence), len(member)), np.nan
  )
  for size, values in enumerate(confidence):
    apart = exposure.separation(values, in_mask, bootstrap.weights)
    known = ~np.isnan(apart).all(axis=0)
    for k, chosen in enumerate(member & known):
      if chosen.any():
        found[:, size, k] = np.nanmedian(apart[:, chosen], axis=1)
  return found[..., None]


def _mean_over_sets(figures: np.ndarray, member: np.ndarray) -> np.ndarray:
  """`[…, K, F]`: means of `[…, F, N]` over the sets `[K, N]`, without NaN."""
  known = ~np.isnan(figures).any(axis=-2, keepdims=True)
  weight = member.astype(np.float64).T
  with np.errstate(invalid="ignore", divide="ignore"):
    found = np.where(known, figures, 0) @ weight / (known @ weight)
  return np.swapaxes(found, -1, -2)
