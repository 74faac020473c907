"""Simulated runs whose outputs are linear in their subsets, plus noise."""

import numpy as np

from memo_tf.experiment import subsets


def linear_runs(
  num_runs: int,
  num_train: int,
  num_test: int,
  *,
  noise: float,
  common: float = 0.0,
  seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The true attribution, subsets, and outputs of runs.

  Args:
    num_runs, num_train, num_test: M, N and T.
    noise: standard deviation of what chance adds to an output, in units of
      that of the sum over a subset.
    common: the part of it that all outputs of a run share, in [0, 1].
    seed: of subsets and noise; the attribution depends on N and T only.

  Returns:
    `[N, T]`, bool `[M, N]` and `[M, T]`.
  """
  fixed = np.random.default_rng(0)
  truth = fixed.normal(size=(num_train, 1)) + fixed.normal(
    size=(num_train, num_test)
  )
  in_mask = subsets.in_masks(num_train, num_runs, 0.7, seed=seed)
  rng = np.random.default_rng([seed, 1])
  chance = np.sqrt(common) * rng.normal(size=(num_runs, 1))
  chance = chance + np.sqrt(1 - common) * rng.normal(size=(num_runs, num_test))
  outputs = in_mask @ truth
  return truth, in_mask, outputs + noise * outputs.std(axis=0) * chance
