"""Runs of two sizes whose scores over training are known.

Half of the examples are memorized, each around its own epoch t: with a held-out
accuracy q that does not change, a run that trained on it has it right after
epoch e with probability

    q + (TOP - q) * F((e - t - lag) / WIDTH),

F the normal distribution function and lag that of the run, normal with
standard deviation LAG, for all its examples alike. The larger size has
t - `earlier`. The other examples are learned around epoch 1, held out or not:
their score is 0.
"""

import dataclasses

import numpy as np
from scipy import stats

from memo_tf.analysis import epochs as epochs_lib
from memo_tf.estimators import resampling
from memo_tf.experiment import subsets

EPOCHS = (2, 5, 10, 20)
TOP, WIDTH, LAG = 0.98, 1.0, 1.0
MOST_HELD_OUT = 0.35


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """Simulated runs and what is true of them.

  Attributes:
    correct: bool `[2, E, M, N]`, smaller size first.
    in_mask: bool `[M, N]`.
    block: int `[M]`.
    scores: `[2, E, N]`, true memorization.
  """

  correct: np.ndarray
  in_mask: np.ndarray
  block: np.ndarray
  scores: np.ndarray

  @property
  def memorized(self) -> np.ndarray:
    """bool `[N]`: which both sizes memorize in truth."""
    return (self.scores[:, -1] >= 0.5).all(axis=0)

  def lead(self) -> float:
    """The true difference of T over the examples memorized in truth."""
    means = self.scores[:, :, self.memorized].mean(axis=2)
    smaller, larger = epochs_lib.mean_epoch(means, EPOCHS)
    return float(smaller - larger)

  def order(self) -> epochs_lib.SizeOrder:
    """What the estimators say."""
    everyone = np.ones((1, self.in_mask.shape[1]), bool)
    bootstrap = resampling.paired_bootstrap(len(self.in_mask), block=self.block)
    assert bootstrap is not None
    one, two = (
      epochs_lib.replicates(c, self.in_mask, everyone, bootstrap.weights).first
      for c in self.correct
    )
    return epochs_lib.size_order(
      *self.correct,
      self.in_mask,
      EPOCHS,
      first=(one, two),
      members=everyone[0],
      block=self.block,
      bootstrap=bootstrap,
    )


def simulate(
  *, num_runs: int, num_examples: int = 200, earlier: float = 0.0, seed: int
) -> Study:
  """A study of two sizes; the larger is `earlier` by so many epochs."""
  rng = np.random.default_rng(seed)
  family = subsets.parse_family("r0.70")
  in_mask = family.in_mask(num_examples, num_runs, seed)
  memorized = np.arange(num_examples) % 2 == 0
  middle = rng.uniform(3.5, 14.0, num_examples)
  held_out = rng.uniform(0, MOST_HELD_OUT, num_examples)
  correct, scores = [], []
  for size in range(2):
    at = middle - size * earlier
    lag = rng.normal(0, LAG, num_runs)[:, None]
    inside, outside = rng.random((2, num_runs, num_examples))
    for epoch in EPOCHS:
      rise = stats.norm.cdf((epoch - at - lag) / WIDTH)
      learned = np.broadcast_to(
        stats.norm.cdf((epoch - 1 - lag) / WIDTH), rise.shape
      )
      p_in = np.where(memorized, held_out + (TOP - held_out) * rise, learned)
      p_out = np.where(memorized, held_out, learned)
      correct.append(np.where(in_mask, inside < p_in, outside < p_out))
      rise = stats.norm.cdf((epoch - at) / np.hypot(WIDTH, LAG))
      scores.append(np.where(memorized, (TOP - held_out) * rise, 0.0))
  shape = (2, len(EPOCHS))
  return Study(
    correct=np.stack(correct).reshape(*shape, num_runs, num_examples),
    in_mask=in_mask,
    block=np.arange(num_runs) // family.block,
    scores=np.stack(scores).reshape(*shape, num_examples),
  )
