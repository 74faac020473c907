"""Paired block bootstrap over runs.

The runs of a balanced block of subsets depend on each other, and all sizes and
recipes of a study share their subsets. So whole blocks of runs are drawn with
replacement, and one draw serves every size and recipe: differences between
them are paired. A replicate is a row of weights, how often each run was drawn,
which `in_out.in_out_means` takes.
"""

import dataclasses

import numpy as np
from scipy import stats

NUM_RESAMPLES = 200
# With fewer blocks a standard deviation over them is hardly known.
MIN_BLOCKS = 8
DRAWS = ("counts", "indices")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedBootstrap:
  """Replicates of a study's runs.

  Attributes:
    weights: `[R + 1, M]` float64, how often each run counts; the first row is
      the runs as they are, all ones.
    num_blocks: how many blocks, or single runs, were drawn from, at least 2.
  """

  weights: np.ndarray
  num_blocks: int

  def intervals(self, values: np.ndarray) -> np.ndarray:
    """95 % intervals of K statistics.

    Args:
      values: `[R + 1, K]`, by row of `weights`. Replicates with a NaN, which
        lack a group of runs altogether, are left out.

    Returns:
      `[K, 3]`: the estimate, and the estimate less and plus t(B - 1) standard
      errors, B blocks. The standard error is that of the bootstrap times
      sqrt(B / (B - 1)): with few blocks a percentile interval is too narrow.
    """
    blocks = self.num_blocks
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
  min_blocks: int = MIN_BLOCKS,
  draw: str = "counts",
  seed: int = 0,
) -> PairedBootstrap | None:
  """Draws blocks of runs with replacement.

  Args:
    num_runs: M.
    block: as in `block_of_run`.
    num_resamples: R.
    min_blocks: with fewer blocks, single runs are drawn. This ignores what a
      balanced block saves in variance.
    draw: how the random numbers are taken, one of `DRAWS`: `counts`, how often
      each block is drawn, or `indices`, which block is drawn. Both have the
      same law; an interval reproduces only with the same one.
    seed: of the draws. The same arguments give the same draws.

  Returns:
    The replicates; None if there are fewer than two blocks (or runs).
  """
  if draw not in DRAWS:
    raise ValueError(f"`draw` must be one of {DRAWS}. Received: {draw!r}")
  group = block_of_run(num_runs, block)
  if group.max(initial=-1) + 1 < min_blocks:
    group = np.arange(num_runs)
  num_blocks = int(group.max(initial=-1)) + 1
  if num_blocks < 2:
    return None
  rng = np.random.default_rng(seed)
  if draw == "counts":
    drawn = rng.multinomial(
      num_blocks, np.full(num_blocks, 1 / num_blocks), num_resamples
    )
  else:
    indices = rng.integers(num_blocks, size=(num_resamples, num_blocks))
    drawn = np.stack([np.bincount(i, minlength=num_blocks) for i in indices])
  weights = np.concatenate([np.ones((1, num_blocks)), drawn])[:, group]
  return PairedBootstrap(weights=weights, num_blocks=num_blocks)


def interval(
  estimate: float,
  replicates: np.ndarray,
  *,
  num_drawn: int | None = None,
  bounds: tuple[float, float] | None = None,
  confidence: float = 0.95,
) -> tuple[float, float]:
  """Interval around an estimate, from the spread of its replicates.

  Args:
    estimate: a number.
    replicates: `[R]`, each already as far from the estimate as for infinitely
      many draws: times sqrt(B / (B - 1)) for B blocks drawn.
    num_drawn: B, at least 2: the quantile is Student's of B - 1 degrees; None
      takes the normal one.
    bounds: of the statistic's range; the interval is then symmetric on the
      scale of arctanh, and stays within them.
    confidence: in (0, 1).

  Returns:
    Lower and upper limit; NaN if the estimate or most replicates are missing.
  """
  known = replicates[~np.isnan(replicates)]
  if np.isnan(estimate) or len(known) < 2 or 2 * len(known) < len(replicates):
    return float("nan"), float("nan")
  degrees = np.inf if num_drawn is None else num_drawn - 1
  reach = stats.t.ppf(0.5 + confidence / 2, degrees)
  if bounds is None:
    reach *= known.std(ddof=1)
    return float(estimate - reach), float(estimate + reach)
  middle, half = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
  inner = 1 - 1e-6  # arctanh of an end is infinite
  scaled = np.arctanh(np.clip((known - middle) / half, -inner, inner))
  centre = np.arctanh(np.clip((estimate - middle) / half, -inner, inner))
  reach *= scaled.std(ddof=1)
  low, high = middle + half * np.tanh([centre - reach, centre + reach])
  # An estimate at an end stays within its own interval.
  return float(min(low, estimate)), float(max(high, estimate))


def block_of_run(num_runs: int, block: int | np.ndarray) -> np.ndarray:
  """Block that each run belongs to, int `[M]`, numbered from 0 without gaps.

  Args:
    num_runs: M.
    block: how many consecutive runs depend on each other (the last block may
      be shorter), or `[M]` int, the block of each run under any numbering.
  """
  group = np.arange(num_runs) // block if np.ndim(block) == 0 else block
  return np.unique(group, return_inverse=True)[1]
