"""The paired block bootstrap over runs."""

import dataclasses

import numpy as np
from scipy import stats

NUM_RESAMPLES = 200


MIN_BLOCKS = 8


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
