"""The law of many unknown means, from one noisy observation of each.

Nonparametric maximum likelihood (Kiefer & Wolfowitz, 1956): the weights of a
grid of possible means under which the observations are most likely, found by
expectation maximization from equal weights. The mean of a function of an
unknown, given its observation, is then a better estimate than the observation
alone (Jiang & Zhang, 2009, doi:10.1214/08-AOS638).
"""

from collections.abc import Callable

import numpy as np

# Grid of means; those beyond it count as at its end.
_END = 6.0
_STEP = 0.1
_ROUNDS = 60
# Observations whose likelihoods are computed at a time.
_ROWS = 16384


def posterior_mean(
  observed: np.ndarray,
  noise: np.ndarray,
  degrees: np.ndarray,
  function: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
  """Mean of a function of each unknown mean, given its observation.

  Args:
    observed: `[N]`, finite, normal around the unknown means.
    noise, degrees: `[N]`; an observation of the mean z has the variance
      noise + z^2 / (2 degrees).
    function: elementwise.

  Returns:
    `[N]`.
  """
  grid = np.arange(-_END, _END + _STEP / 2, _STEP)
  likelihood = np.empty((len(observed), len(grid)), np.float32)
  clipped = np.clip(observed, -_END, _END)[:, None]
  for start in range(0, len(observed), _ROWS):
    rows = slice(start, start + _ROWS)
    variance = noise[rows, None] + np.square(grid) / (2 * degrees[rows, None])
    log = np.square(clipped[rows] - grid) / variance + np.log(variance)
    # Relative to the row's best: a factor that a row shares does not count.
    likelihood[rows] = np.exp((log.min(axis=1, keepdims=True) - log) / 2)
  weights = np.full(len(grid), 1 / len(grid), np.float32)
  for _ in range(_ROUNDS):
    evidence = likelihood @ weights
    weights *= (1 / evidence) @ likelihood / len(observed)
  values = function(grid).astype(np.float32)
  evidence = likelihood @ weights
  return (likelihood @ (weights * values) / evidence).astype(np.float64)
