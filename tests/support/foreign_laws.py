"""Runs over sizes under laws of change that no model of this project assumes.

Each law gives the true accuracies of every example at every size. Part of the
examples do not change: their memorization is the same at all sizes. The runs of
all sizes share balanced subsets.

* `beta`: accuracies of held-out runs from Beta(0.6, 0.6); 30 % of the examples
  change by 0.4, up or down, at the last size or already between.
* `two_points`: an example is easy (0.95) or ambiguous (0.55); 20 % go from one
  to the other, a change of 0.4.
* `continuous`: 40 % change by a uniform amount of up to 0.6; of the others half
  lose the same accuracy in and out of the subset, so that memorization stays.
"""

import dataclasses

import numpy as np

from memo_tf.experiment import subsets

LAWS = ("beta", "two_points", "continuous")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
  """Truth and runs.

  Attributes:
    change: `[N]`, of memorization from the first to the last size.
    departs: `[N]` bool, whether memorization differs from the first size at
      any size between.
    in_mask: `[M, N]` bool.
    correct: `[S, M, N]` bool.
    in_accuracy, out_accuracy: `[S, N]`, the truth.
  """

  change: np.ndarray
  departs: np.ndarray
  in_mask: np.ndarray
  correct: np.ndarray
  in_accuracy: np.ndarray
  out_accuracy: np.ndarray


def draw(
  law: str,
  *,
  num_subsets: int,
  num_examples: int = 1000,
  num_sizes: int = 3,
  seed: int = 0,
) -> Runs:
  """Draws a study under one of `LAWS`."""
  rng = np.random.default_rng([seed, LAWS.index(law)])
  inside, out = _accuracies(law, num_sizes, num_examples, rng)
  in_mask = subsets.in_masks(num_examples, num_subsets, 0.7, seed=seed)
  correct = np.stack(
    [
      rng.random(in_mask.shape) < np.where(in_mask, a, b)
      for a, b in zip(inside, out)
    ]
  )
  memorization = inside - out
  moved = np.abs(memorization - memorization[0]) > 1e-9
  return Runs(
    change=np.where(moved[-1], memorization[-1] - memorization[0], 0.0),
    departs=moved[1:-1].any(axis=0),
    in_mask=in_mask,
    correct=correct,
    in_accuracy=inside,
    out_accuracy=out,
  )


def _accuracies(law, num_sizes, count, rng):
  """True accuracies in and out of the subset, `[S, N]` each."""
  first = np.zeros(count)
  move = np.zeros(count)  # of the accuracy out of the subset
  inside = np.full((num_sizes, count), 0.99)
  kind = rng.random(count)
  if law == "beta":
    first = rng.beta(0.6, 0.6, count)
    up = np.where(first < 0.4, True, rng.random(count) < 0.5) & (first < 0.6)
    move = np.where(kind < 0.3, np.where(up, 0.4, -0.4), 0.0)
    clash = (first + move < 0) | (first + move > 1)
    move[clash] = 0.0
  elif law == "two_points":
    easy = rng.random(count) < 0.5
    first = np.where(easy, 0.95, 0.55)
    move = np.where(kind < 0.2, np.where(easy, -0.4, 0.4), 0.0)
  else:
    first = rng.uniform(0.3, 0.7, count)
    move = np.where(kind < 0.4, rng.uniform(-0.6, 0.6, count), 0.0)
    move = np.clip(first + move, 0, 1) - first
  # From which size on an example has moved.
  since = rng.integers(1, num_sizes, count)
  has_moved = np.arange(num_sizes)[:, None] >= since
  out = first + np.where(has_moved, move, 0.0)
  if law == "continuous":
    lost = np.where(kind > 0.7, rng.uniform(0, 0.3, count), 0.0)
    out = out - np.where(has_moved, lost, 0.0)
    inside = inside - np.where(has_moved, lost, 0.0)
  return inside, out
