"""How memorization is distributed over examples, by model size: is it bimodal?

Measures: the mass of scores below 0.1 and from 0.9 on; Sarle's coefficient
(skewness^2 + 1) / (kurtosis + 3 (n - 1)^2 / ((n - 2)(n - 3))), which is 5/9 for
the uniform distribution; the dip (module `dip`), after spreading the scores,
which tie, over the step between two of them.

Intervals are those of `resampling.PairedBootstrap`. A bootstrap replicate of
the scores carries the noise of the runs twice, so what is not a mean has the
standard deviation of the replicates around their own mean. Noise also fills the
valley between two modes: fewer runs show less bimodality.
"""

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis.sizes import dip as dip_lib
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import resampling

NUM_DIP_RESAMPLES = 20
EDGES = np.round(np.arange(-4, 21) * 0.05, 2)  # -0.2 … 1.0
LOW_MASS, HIGH_MASS = 0.1, 0.9
_TOLERANCE = 1e-9


def bimodality(
  correct: np.ndarray,
  in_mask: np.ndarray,
  bootstrap: resampling.PairedBootstrap,
  *,
  seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Bimodality and histogram of the scores by size.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
    bootstrap: replicates of the runs.
    seed: of how ties are spread for the dip.

  Returns:
    A table with one row per size: `low_mass`, `high_mass`, `sarle`, `dip`, each
    with `_low` and `_high`, and `dip_p`; and the changes `low_mass_change`,
    `high_mass_change`, `sarle_change` from the first size, with the same two.
    And a table with one row per size and bin: size, bin_low, bin_high, share,
    share_low, share_high; scores beyond the ends count in the first and the
    last bin.
  """
  step = 1 / max(1, int(np.median((~in_mask).sum(axis=0))))
  spread = np.random.default_rng(seed).uniform(-0.5, 0.5, in_mask.shape[1])

  def shape(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
    scores = trends.known(in_mean - out_mean)
    counts = histogram(scores)
    return np.concatenate([[*masses(scores), sarle(scores)], counts])

  def dip(in_mean: np.ndarray, out_mean: np.ndarray) -> np.ndarray:
    scores = in_mean - out_mean + step * spread
    return np.array([dip_lib.dip_statistic(trends.known(scores))])

  values = trends.statistic_by_size(correct, in_mask, bootstrap, shape)
  names = ("low_mass", "high_mass", "sarle")
  by_size = trends.table(bootstrap, values[:, :, :3], names)
  against_first = trends.table(
    bootstrap,
    values[:, :, :3] - values[:, :1, :3],
    [f"{name}_change" for name in names],
  )
  dips = trends.statistic_by_size(
    correct, in_mask, bootstrap, dip, num_resamples=NUM_DIP_RESAMPLES
  )
  by_size = pd.concat(
    [by_size, against_first, trends.table(bootstrap, dips, ("dip",))],
    axis=1,
  )
  num_known = int((in_mask.any(axis=0) & ~in_mask.all(axis=0)).sum())
  by_size["dip_p"] = [
    dip_lib.dip_p_value(d, num_known, seed=seed) for d in dips[0, :, 0]
  ]
  for name in ("low_mass", "high_mass"):
    for end in ("low", "high"):
      by_size[f"{name}_{end}"] = by_size[f"{name}_{end}"].clip(0, 1)
  rows = []
  for size in range(len(correct)):
    ends = np.clip(bootstrap.intervals(values[:, size, 3:]), 0, 1)
    for b in range(len(EDGES) - 1):
      rows.append(
        {
          "size": size,
          "bin_low": EDGES[b],
          "bin_high": EDGES[b + 1],
          "share": ends[b, 0],
          "share_low": ends[b, 1],
          "share_high": ends[b, 2],
        }
      )
  return by_size, pd.DataFrame(rows)


def histogram(scores: np.ndarray) -> np.ndarray:
  """Shares of `[N]` scores in the bins of `EDGES`; the end bins are open."""
  if not len(scores):
    return np.full(len(EDGES) - 1, np.nan)
  bins = np.searchsorted(EDGES, scores + _TOLERANCE, side="right") - 1
  bins = np.clip(bins, 0, len(EDGES) - 2)
  return np.bincount(bins, minlength=len(EDGES) - 1) / len(scores)


def masses(scores: np.ndarray) -> tuple[float, float]:
  """Shares of `[N]` scores below 0.1 and of at least 0.9."""
  if not len(scores):
    return float("nan"), float("nan")
  return (
    float((scores < LOW_MASS - _TOLERANCE).mean()),
    float((scores >= HIGH_MASS - _TOLERANCE).mean()),
  )


def sarle(scores: np.ndarray) -> float:
  """Sarle's bimodality coefficient of `[N]` scores.

  Both moments are unbiased. A value above 5/9, that of the uniform
  distribution, suggests two modes (or much skewness); 1 is the largest value.

  Returns:
    A number; NaN for fewer than four scores or if all are equal.
  """
  num = len(scores)
  if num < 4 or np.ptp(scores) == 0:
    return float("nan")
  skewness = stats.skew(scores, bias=False)
  kurtosis = stats.kurtosis(scores, bias=False)
  correction = 3 * (num - 1) ** 2 / ((num - 2) * (num - 3))
  return float((skewness**2 + 1) / (kurtosis + correction))
