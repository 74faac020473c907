"""Variances of many small samples, each moderated by all of them.

A variance from few observations is noisy. Where there are many samples, their
variances follow a law that the samples themselves show, and each is drawn
towards it (Smyth, 2004, doi:10.2202/1544-6115.1027): the logarithms of the
variances, freed of their bias, are regressed on the samples' means; the scatter
that is left beyond that of sampling gives the degrees of freedom d0 of an
inverse-gamma prior; and a sample of d degrees of freedom gets

    s^2 = (d0 * s0^2 + d * v) / (d0 + d),

on d0 + d degrees of freedom.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize
from scipy import special

# Bends of the line through the log variances: as many at quantiles of the means
# as at equal distances, and samples that must lie between two of them.
_BENDS = 8
_SAMPLES_BETWEEN = 20
# More degrees of freedom than this is a variance known for certain.
_MOST_DEGREES = 1e6


class ModeratedVariance(NamedTuple):
  """Moderated variances of samples.

  Attributes:
    variance: float64, of the samples' shape; NaN where it was not usable.
    degrees: of freedom, the prior's and the sample's own.
    prior: what the samples' common law gives for each, s0^2.
    prior_degrees: d0, up to 1e6 where the samples scatter no more than chance;
      NaN with fewer than three usable samples, which are then not moderated.
  """

  variance: np.ndarray
  degrees: np.ndarray
  prior: np.ndarray
  prior_degrees: float


def moderated_variance(
  variance: np.ndarray, degrees: np.ndarray, mean: np.ndarray
) -> ModeratedVariance:
  """Moderates sample variances by their common law.

  Args:
    variance: `[N]`, unbiased variance of each sample. Only finite ones above 0
      of at least one degree of freedom are usable.
    degrees: `[N]`, number of observations minus 1.
    mean: `[N]`, mean of each sample.

  Returns:
    A `ModeratedVariance` over the N samples.
  """
  degrees = np.asarray(degrees, np.float64)
  usable = np.isfinite(variance) & np.isfinite(mean) & (degrees >= 1)
  usable &= np.nan_to_num(variance) > 0
  result = np.full(len(variance), np.nan)
  law = np.full(len(variance), np.nan)
  total = np.where(usable, degrees, np.nan)
  own, d = variance[usable], degrees[usable]
  if usable.sum() < 3:
    result[usable] = own
    return ModeratedVariance(result, total, law, np.nan)
  logs = np.log(own) - special.digamma(d / 2) + np.log(d / 2)
  noise = special.polygamma(1, d / 2)
  fitted, used = _trend(mean[usable], logs)
  excess = np.square(logs - fitted).sum() / max(len(d) - used, 1) - noise.mean()
  prior_degrees = 2 * inverse_trigamma(excess)
  half = prior_degrees / 2
  law[usable] = np.exp(fitted + special.digamma(half) - np.log(half))
  result[usable] = (prior_degrees * law[usable] + d * own) / (prior_degrees + d)
  return ModeratedVariance(
    result, total + prior_degrees, law, float(prior_degrees)
  )


def inverse_trigamma(value: float) -> float:
  """x with trigamma(x) = value; at most 5e5, also for values not above 0."""
  low, high = 1e-3, _MOST_DEGREES / 2
  if value <= special.polygamma(1, high):
    return high
  if value >= special.polygamma(1, low):
    return low
  return optimize.brentq(lambda x: special.polygamma(1, x) - value, low, high)


def _trend(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, int]:
  """Least-squares line through y that bends at some x, and its rank."""
  knots = _knots(np.sort(x))
  if len(knots) < 2:
    return np.full(len(x), y.mean()), 1
  basis = np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], 1)
  weights, _, rank, _ = np.linalg.lstsq(basis, y, rcond=None)
  return basis @ weights, int(rank)


def _knots(x: np.ndarray) -> np.ndarray:
  """Where the line bends, of sorted x: in its bulk and in its tails."""
  shares = np.linspace(0, 1, _BENDS)
  spaced = np.searchsorted(x, x[0] + shares * (x[-1] - x[0]))
  places = np.r_[spaced, np.round(shares * (len(x) - 1)).astype(int)]
  kept = [0]
  # The last level can be above the last x by rounding alone.
  for place in np.sort(np.minimum(places, len(x) - 1)):
    if place - kept[-1] >= _SAMPLES_BETWEEN:
      kept.append(place)
  return np.unique(x[kept])
