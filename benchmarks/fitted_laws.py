"""Runs simulated from the laws that a study's own margins follow.

In each group (held out, trained on) an example's margins are taken as normal,
with the moderated standard deviation that its runs show. Its mean in standard
deviations, z, is drawn from what its runs leave possible: z as estimated is
noisy, and taken as the truth it would scatter too much. The law of z over all
examples is found by maximum likelihood on a grid (as in `mixing_prior`), and z
is drawn from its posterior, so that simulated examples are as often ambiguous
as real ones are.
"""

import numpy as np
from scipy import special

from memo_tf.estimators import margins
from memo_tf.estimators import moderated

_GRID = np.arange(-8, 8.05, 0.1)
_ROUNDS = 200


class FittedLaws:
  """Laws of the margins of N training and T test examples, drawn once.

  Args:
    stack: `RunStack` of the runs.
    rng: for z.

  Attributes:
    z: `[2, N]`, of held-out runs and of those that trained on the example.
    test_z: `[T]`, of all runs.
    out, memorization: `[N]`, the true held-out accuracy and score.
    test: `[T]`, the true accuracy.
  """

  def __init__(self, stack, rng: np.random.Generator):
    tally = margins.tally_of(stack.margin, stack.in_mask, correct=stack.correct)
    groups = [tally.standardized(group) for group in (0, 1)]
    means = [tally.moments(group).mean for group in (0, 1)]
    self._sd = np.stack(
      [_known(mean / own.z) for mean, own in zip(means, groups)]
    )
    self.z = np.stack(
      [_drawn(own.z, own.noise, own.degrees, rng) for own in groups]
    )
    runs = len(stack.test_margin)
    mean = stack.test_margin.mean(axis=0, dtype=np.float64)
    own = stack.test_margin.var(axis=0, ddof=1, dtype=np.float64)
    pooled = moderated.moderated_variance(
      own, np.full(len(mean), runs - 1), mean
    )
    self._test_sd = _known(np.sqrt(pooled.variance))
    noise = np.full(len(mean), 1 / runs)
    self.test_z = _drawn(mean / self._test_sd, noise, pooled.degrees, rng)
    right = special.ndtr(self.z)
    self.out, self.memorization = right[0], right[1] - right[0]
    self.test = special.ndtr(self.test_z)

  def margin(self, in_mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Margins `[M, N]` of runs with these subsets."""
    noise = rng.normal(size=in_mask.shape)
    found = np.where(
      in_mask,
      self._sd[1] * (self.z[1] + noise),
      self._sd[0] * (self.z[0] + noise),
    )
    return found.astype(np.float32)

  def test_margin(self, num_runs: int, rng: np.random.Generator) -> np.ndarray:
    """Margins `[M, T]`, which no training example influences."""
    noise = rng.normal(size=(num_runs, len(self.test_z)))
    return (self._test_sd * (self.test_z + noise)).astype(np.float32)


def _known(deviation: np.ndarray) -> np.ndarray:
  """Standard deviations, the median where there is none."""
  usable = np.isfinite(deviation) & (deviation > 0)
  return np.where(usable, deviation, np.median(deviation[usable]))


def _drawn(observed, noise, degrees, rng) -> np.ndarray:
  """One draw of each z from its posterior; examples without one: from all."""
  known = np.isfinite(observed)
  clipped = np.clip(observed[known], _GRID[0], _GRID[-1])[:, None]
  variance = noise[known, None] + _GRID**2 / (2 * degrees[known, None])
  log = -np.square(clipped - _GRID) / (2 * variance) - np.log(variance) / 2
  likelihood = np.exp(log - log.max(axis=1, keepdims=True))
  weights = np.full(len(_GRID), 1 / len(_GRID))
  for _ in range(_ROUNDS):
    weights *= (1 / (likelihood @ weights)) @ likelihood / known.sum()
  posterior = np.tile(weights, (len(observed), 1))
  posterior[known] *= likelihood
  posterior /= posterior.sum(axis=1, keepdims=True)
  levels = rng.random((len(observed), 1))
  index = (posterior.cumsum(axis=1) < levels).sum(axis=1)
  return _GRID[np.minimum(index, len(_GRID) - 1)]
