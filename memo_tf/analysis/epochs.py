"""When during training is an example memorized, and by which size first?

Scores after E chosen epochs of the same runs, the last epoch among them, so
that differences between epochs, and between sizes, are paired.

**Epoch of an example.** The first chosen epoch from which on its score stays at
0.5 or more. The same of the upper ends of the scores' 95 % intervals is the
earliest epoch that the runs allow, of the lower ends the latest: where these
two differ, the runs cannot tell. NaN: not by the last epoch.

**Mean epoch of a set.** With m(e) the mean score of its examples after epoch e,
0 before training, and L the last epoch,

    T = integral over e from 0 to L of 1 - m(e) / m(L),

by straight lines between the chosen epochs: the epoch at which scores arise on
average. Where each jumps once from 0 to its last value, T is the mean epoch of
the jumps. A threshold would be biased by noise; T is not.

**Sizes.** Of the examples that two sizes both memorize by the last epoch: the
shares that the larger, or the smaller, memorizes at an earlier chosen epoch,
and the *lead*, the smaller's T minus the larger's. For the lead, examples are
chosen by the runs of some blocks and T is measured in the others, both ways
(`distillation.sets` says why). Intervals draw blocks of runs.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np
import pandas as pd

from memo_tf.analysis import evidence
from memo_tf.analysis.distillation import sets
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import in_out
from memo_tf.estimators import memorization as memorization_lib
from memo_tf.estimators import resampling

MEANS = ("memorization", "in_accuracy", "out_accuracy")
# 0.7 - 0.2 is less than 0.5 to a computer, in float32 by up to 1e-7.
_LEAST = evidence.MEMORIZED - 1e-6
# Values of a chunk of columns, for all replicates.
_CHUNK = 2e7


class Replicates(NamedTuple):
  """What follows from the runs as they are (first), and drawn again.

  Attributes:
    means: `[R + 1, E, K, 3]`, the `MEANS` over each of K sets of examples.
    first: int16 `[R + 1, N]`, the index of the epoch by which each example is
      memorized; E: not by the last.
  """

  means: np.ndarray
  first: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleEpochs:
  """Scores of N examples over E epochs, and when each is memorized.

  Attributes:
    scores: `memorization_scores` after each epoch.
    epoch: `[N]`, the chosen epoch by which the example is memorized; NaN: not
      by the last.
    earliest, latest: `[N]`, the epochs between which it is, by the scores' 95 %
      intervals; NaN as in `epoch`.
  """

  scores: tuple[memorization_lib.MemorizationScores, ...]
  epoch: np.ndarray
  earliest: np.ndarray
  latest: np.ndarray

  @property
  def is_told(self) -> np.ndarray:
    """bool `[N]`, whether earliest and latest are one, or both NaN."""
    same = self.earliest == self.latest
    return same | (np.isnan(self.earliest) & np.isnan(self.latest))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeOrder:
  """Which of two sizes memorizes a set of examples first.

  Attributes:
    num_examples: number of those that both memorize by the last epoch.
    larger_first, smaller_first, same_epoch: shares of these.
    difference, difference_low, difference_high: `larger_first` less
      `smaller_first`, with its 95 % interval. NaN without such examples.
    smaller_epoch, larger_epoch: T of each size.
    lead, lead_low, lead_high: by how many epochs the larger is earlier, and the
      95 % interval. NaN where a half of the runs has no such example, or too
      few runs.
  """

  num_examples: int
  larger_first: float
  smaller_first: float
  same_epoch: float
  difference: float
  difference_low: float
  difference_high: float
  smaller_epoch: float
  larger_epoch: float
  lead: float
  lead_low: float
  lead_high: float


def lasting_from(holds: np.ndarray) -> np.ndarray:
  """Index from which on `holds` `[E, …]` is true to the end; E if it is not."""
  lasting = np.logical_and.accumulate(holds[::-1], axis=0)
  return len(holds) - lasting.sum(axis=0)


def example_epochs(
  correct: Sequence[np.ndarray], in_mask: np.ndarray, epochs: Sequence[int]
) -> ExampleEpochs:
  """Scores of every example after each epoch, and when it is memorized.

  Args:
    correct: of E epochs, bool `[M, N]` each.
    in_mask: bool `[M, N]`.
    epochs: E of them, ascending.
  """
  scores = tuple(
    memorization_lib.memorization_scores(right, in_mask) for right in correct
  )
  names = np.array([*epochs, np.nan])
  found = {
    "epoch": [s.memorization for s in scores],
    "earliest": [s.ci_high for s in scores],
    "latest": [s.ci_low for s in scores],
  }
  return ExampleEpochs(
    scores=scores,
    **{
      name: names[lasting_from(np.stack(values) >= _LEAST)]
      for name, values in found.items()
    },
  )


def replicates(
  correct: Sequence[np.ndarray],
  in_mask: np.ndarray,
  members: np.ndarray,
  weights: np.ndarray,
) -> Replicates:
  """Means over sets of examples, and when each example is memorized.

  Args:
    correct: of E epochs, bool `[M, N]` each; each is asked for once.
    in_mask: bool `[M, N]`.
    members: bool `[K, N]`, the examples of each set.
    weights: `[R + 1, M]`, of `resampling.PairedBootstrap`.
  """
  weights = weights.astype(np.float32)  # which counts runs exactly
  num_examples = in_mask.shape[1]
  shape = (len(weights), len(correct), len(members), len(MEANS))
  totals, counts = np.zeros(shape), np.zeros(shape)
  holds = np.empty((len(correct), len(weights), num_examples), bool)
  width = max(1, int(_CHUNK // sum(weights.shape)))
  for e, right in enumerate(correct):
    for start in range(0, num_examples, width):
      part = slice(start, start + width)
      in_mean, out_mean = in_out.in_out_means(
        right[:, part], in_mask[:, part], weights
      )
      score = in_mean - out_mean
      holds[e, :, part] = score >= _LEAST
      chosen = members[:, part].T.astype(np.float64)
      for k, values in enumerate((score, in_mean, out_mean)):
        known = ~np.isnan(values)
        totals[:, e, :, k] += np.where(known, values, 0) @ chosen
        counts[:, e, :, k] += known @ chosen
  with np.errstate(invalid="ignore", divide="ignore"):
    means = totals / counts
  return Replicates(means, lasting_from(holds).astype(np.int16))


def mean_epoch(means: np.ndarray, epochs: Sequence[int]) -> np.ndarray:
  """T of mean scores after each epoch.

  Args:
    means: `[…, E]`.
    epochs: E of them, ascending.

  Returns:
    `[…]`, in epochs; NaN where the last mean is not above 0.
  """
  times = np.array([0, *epochs], float)
  area = np.trapezoid(_from_zero(means), times, axis=-1)
  last = np.where(means[..., -1] > 0, means[..., -1], np.nan)
  return times[-1] - area / last


def _from_zero(means: np.ndarray) -> np.ndarray:
  return np.concatenate([np.zeros((*means.shape[:-1], 1)), means], axis=-1)


def means_table(
  means: np.ndarray,
  names: Sequence[str],
  epochs: Sequence[int],
  bootstrap: resampling.PairedBootstrap,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
  """What `Replicates.means` say, with paired 95 % intervals.

  Args:
    means: `[R + 1, E, K, 3]`.
    names: of the K sets.
    epochs: E of them.
    bootstrap: of the replicates.

  Returns:
    One row per set and epoch: the `MEANS`; one row per set and change, from
    each epoch to the next and from the first to the last: the changes; and one
    row per set: its `mean_epoch`. Each with `_low` and `_high`.
  """
  by_epoch, changes, rows = [], [], []
  steps = [(e, e + 1) for e in range(len(epochs) - 1)]
  if len(epochs) > 2:
    steps.append((0, len(epochs) - 1))
  for k, name in enumerate(names):
    values = means[:, :, k]
    table = trends.table(bootstrap, values, MEANS)
    table.insert(0, "examples", name)
    table.insert(1, "epoch", list(epochs))
    by_epoch.append(table)
    moved = np.stack([values[:, t] - values[:, s] for s, t in steps], axis=1)
    table = trends.table(bootstrap, moved, MEANS)
    table.insert(0, "examples", name)
    table.insert(1, "from_epoch", [epochs[s] for s, _ in steps])
    table.insert(2, "to_epoch", [epochs[t] for _, t in steps])
    changes.append(table)
    found = mean_epoch(values[:, :, 0], epochs)
    [row] = bootstrap.intervals(found[:, None])
    ends = ("mean_epoch", "mean_epoch_low", "mean_epoch_high")
    rows.append({"examples": name, **dict(zip(ends, row))})
  return (
    pd.concat(by_epoch, ignore_index=True),
    pd.concat(changes, ignore_index=True),
    pd.DataFrame(rows),
  )


def size_order(
  smaller: Sequence[np.ndarray],
  larger: Sequence[np.ndarray],
  in_mask: np.ndarray,
  epochs: Sequence[int],
  *,
  first: tuple[np.ndarray, np.ndarray],
  members: np.ndarray,
  block: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
) -> SizeOrder:
  """Which of two sizes memorizes the examples of a set first.

  Args:
    smaller, larger: of E epochs, bool `[M, N]` each, on the same subsets.
    in_mask: bool `[M, N]`.
    epochs: E of them.
    first: `Replicates.first` of both.
    members: bool `[N]`, the set.
    block: `[M]` int, the block of each run.
    bootstrap: of the replicates.
  """
  one, two = (found[:, members] for found in first)
  both = np.maximum(one, two) < len(epochs)
  counts = np.maximum(both.sum(axis=1), 1)
  shares = np.stack(
    [(both & held).sum(axis=1) / counts for held in (two < one, one < two)]
  )
  count = int(both[0].sum())
  ends = (np.nan, np.nan, np.nan)
  if count:
    ends = bootstrap.intervals((shares[0] - shares[1])[:, None])[0]
  lead = _lead(smaller, larger, in_mask, epochs, members, block)
  larger_first, smaller_first = shares[:, 0] if count else (np.nan, np.nan)
  return SizeOrder(
    num_examples=count,
    larger_first=float(larger_first),
    smaller_first=float(smaller_first),
    same_epoch=float(1 - larger_first - smaller_first),
    difference=float(ends[0]),
    difference_low=float(ends[1]),
    difference_high=float(ends[2]),
    **lead,
  )


def _lead(smaller, larger, in_mask, epochs, members, block) -> dict[str, float]:
  """The fields of `SizeOrder` about T."""
  times, moved, drawn = [], [], 0
  for number, half in enumerate(sets.halves(block)):
    last = [_scores(runs[-1], in_mask, half.sets) for runs in (smaller, larger)]
    chosen = members & (np.stack(last) >= _LEAST).all(axis=0)
    rows = half.change
    bootstrap = resampling.paired_bootstrap(
      int(rows.sum()), block=block[rows], seed=number
    )
    if bootstrap is None or not chosen.any():
      break
    found = np.stack(
      [
        _mean_epochs(runs, in_mask, rows, chosen, epochs, bootstrap.weights)
        for runs in (smaller, larger)
      ]
    )
    times.append(found[:, 0])
    lead = found[0] - found[1]
    blocks = bootstrap.num_blocks
    moved.append((lead[1:] - lead[0]) * np.sqrt(blocks / (blocks - 1)))
    drawn += blocks
  names = ("smaller_epoch", "larger_epoch", "lead", "lead_low", "lead_high")
  unknown = dict.fromkeys(names, float("nan"))
  if len(times) < 2:
    return unknown
  one, two = np.mean(times, axis=0)
  lead = float(one - two)
  # Of B - 1 degrees of freedom in each half.
  low, high = resampling.interval(
    lead, lead + np.mean(moved, axis=0), num_drawn=drawn - 1
  )
  if np.isnan(low):  # a half with so few runs says nothing
    return unknown
  return dict(zip(names, (float(one), float(two), lead, low, high)))


def _scores(correct, in_mask, rows) -> np.ndarray:
  """`[N]`: memorization, by the runs `rows` bool `[M]` alone."""
  in_mean, out_mean = in_out.in_out_means(correct[rows], in_mask[rows])
  return in_mean - out_mean


def _mean_epochs(runs, in_mask, rows, chosen, epochs, weights) -> np.ndarray:
  """`[R + 1]`: T of the examples `chosen`, in the runs `rows`."""
  inside = in_mask[np.ix_(rows, chosen)]
  everyone = np.ones((1, inside.shape[1]), bool)
  means = replicates(
    [right[np.ix_(rows, chosen)] for right in runs], inside, everyone, weights
  ).means
  return mean_epoch(means[:, :, 0, 0], epochs)
