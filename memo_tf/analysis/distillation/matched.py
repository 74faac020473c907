"""Memorization beside one-hot models that fit their subsets equally well.

A recipe that fits fewer of its examples memorizes less, whatever else it does.
So it is set against one-hot models of the same in-accuracy. As memorization is
in-accuracy minus out-accuracy, there

    change of memorization = out-accuracy of one-hot - out-accuracy of recipe.

The one-hot side is one group whose in-accuracy is the same within `TOLERANCE`
for certain, or the straight line between the nearest groups below and above, at
most `MAX_GAP` apart. Nothing is extrapolated. Groups are chosen by in-accuracy
alone: a choice by memorization would find what noise has made lowest. Every
replicate computes its own place on the line, so that noise of in-accuracies is
part of the interval.
"""

import dataclasses

import numpy as np

from memo_tf.estimators import resampling

TOLERANCE = 0.002
MAX_GAP = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
  """The one-hot groups of a recipe's in-accuracy.

  Attributes:
    lower, upper: indices of the nearest groups of at most and of at least this
      in-accuracy, the same one where a single group matches; None: no such.
    out_accuracy: `[R + 1]`, of one-hot models at this in-accuracy, the runs as
      they are first; None where it cannot be told.
  """

  lower: int | None
  upper: int | None
  out_accuracy: np.ndarray | None


def match(
  in_accuracy: np.ndarray,
  references: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
) -> Match:
  """Finds one-hot models of the same in-accuracy.

  Args:
    in_accuracy: `[R + 1]`, mean in-accuracy of the recipe, in [0, 1].
    references: `[R + 1, G, 2]`, mean in- and out-accuracy of G one-hot groups
      on the same runs. Of equal ones the first is taken.
    bootstrap: whose replicates these are.
  """
  above = references[:, :, 0] - in_accuracy[:, None]
  ends = bootstrap.intervals(above)
  distance = np.abs(ends[:, 0])
  is_same = np.abs(ends).max(axis=1) <= TOLERANCE
  if is_same.any():
    nearest = int(np.where(is_same, distance, np.inf).argmin())
    return Match(
      lower=nearest, upper=nearest, out_accuracy=references[:, nearest, 1]
    )
  lower, upper = (
    int(np.where(side, distance, np.inf).argmin()) if side.any() else None
    for side in (ends[:, 0] <= 0, ends[:, 0] >= 0)
  )
  line = None
  if lower is not None and upper is not None:
    if distance[lower] + distance[upper] <= MAX_GAP:
      line = _between(
        above[:, lower], above[:, upper], references, lower, upper
      )
  return Match(lower=lower, upper=upper, out_accuracy=line)


def _between(below, above, references, lower: int, upper: int) -> np.ndarray:
  """Out-accuracy where the line's in-accuracy is the recipe's; not outside."""
  gap = above - below
  share = np.divide(-below, gap, out=np.full_like(gap, 0.5), where=gap > 0)
  share = np.clip(share, 0, 1)
  one, two = references[:, lower, 1], references[:, upper, 1]
  return (1 - share) * one + share * two
