"""Probability of being right in one group of runs, from its margins.

A run is right where its margin, the label's logit minus the largest other, is
above 0. Within one example the margins of different runs are close to normal,
so that the probability is Phi(mean / standard deviation), and both are learned
from all of the margins, not from their signs alone.

With n runs of mean m, and a standard deviation s that is moderated by those of
all examples (`moderated`) and has f degrees of freedom:

    z         m / s, of variance 1 / n + z^2 / (2 f)
    point     Phi(z / sqrt(1 - 1 / n)), which is nearly unbiased; or the mean
              over the law of z that all examples show (`mixing_prior`)
    interval  Phi(z -+ t_f * sqrt(variance of z))

**Where margins are not normal.** The share of right runs is unbiased whatever
their law is, so that Phi is compared with it:

* Over examples of similar probability, the product of the two differences in
  two halves of the runs has the mean square of the law's own error, the
  *misfit*, as its mean. It widens the intervals. Where it is beyond chance and
  costs more than margins gain, these examples fall back to their shares, with
  Wilson's intervals.
* In each example: where they differ by more than chance explains (Hausman,
  1978), the example falls back.
"""

import dataclasses

import numpy as np
from scipy import special
from scipy import stats

from memo_tf.estimators import intervals
from memo_tf.estimators import mixing_prior
from memo_tf.estimators import moderated

MIN_RUNS = 3
# Why an example's probability is its share of right runs.
REASONS = (
  "",
  "fewer than 3 runs in a group",
  "margins not finite or all equal",
  "named by the caller",
  "margins contradict the share of right runs",
  "misfit of similar examples",
)
_FEW, _UNUSABLE, _NAMED, _CONTRADICTED, _MISFIT = range(1, 6)
# Edges of strata of the probability.
_STRATA = (1e-3, 0.01, 0.05, 0.15, 0.3, 0.7, 0.85, 0.95, 0.99, 0.999)
_RARE = (0, 1, 9, 10)
# Those that stand in for one another where one has too few examples.
_MIDDLE = (3, 4, 5, 6, 7)
_MIN_STRATUM = 20
# How far in standard deviations margins and shares may differ.
_MOST_DIFFERENCE = 3.3
# Variance of z that stands for a misfit that is not known.
_UNKNOWN_MISFIT = 0.01
# The law of z needs examples. Where runs say more it gains on some data and
# loses on others (docs/results.md).
_LEAST_FOR_PRIOR = 50
_MOST_RUNS_FOR_PRIOR = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupMoments:
  """What is known of one group of runs; every array is `[N]`.

  Attributes:
    count: number of runs.
    mean, squares: of the margins: mean, and sum of squared differences from it.
    share: of runs that are right; NaN without runs.
  """

  count: np.ndarray
  mean: np.ndarray
  squares: np.ndarray
  share: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standardized:
  """Standardized mean margins of one group; every array is `[N]`.

  Attributes:
    z: mean / standard deviation; NaN where margins are not used.
    noise: the variance of z is noise + z^2 / (2 degrees).
    degrees: of freedom of the standard deviation.
    prior_degrees: d0, see `moderated`.
    reason: index in `REASONS`, 0 where margins are used.
  """

  z: np.ndarray
  noise: np.ndarray
  degrees: np.ndarray
  prior_degrees: float
  reason: np.ndarray

  @property
  def variance(self) -> np.ndarray:
    return self.noise + np.square(self.z) / (2 * self.degrees)

  def density(self) -> np.ndarray:
    """Of the standard normal at z."""
    return np.exp(-np.square(self.z) / 2) / np.sqrt(2 * np.pi)

  def sampling_variance(self) -> np.ndarray:
    """Variance of `probability`, by the delta method."""
    return np.square(self.density()) * self.variance

  def probability(self) -> np.ndarray:
    """Phi, corrected so that it is nearly unbiased; NaN where z is."""
    return special.ndtr(self.z / np.sqrt(1 - self.noise))

  def smoothed(self) -> np.ndarray:
    """As `probability`, with the law of z over all examples as a prior.

    Only where it is as noisy as with 10 runs or fewer.
    """
    result, known = self.probability(), ~np.isnan(self.z)
    few = known & (self.noise >= 1 / _MOST_RUNS_FOR_PRIOR)
    if known.sum() >= _LEAST_FOR_PRIOR and few.any():
      points = mixing_prior.posterior_mean(
        self.z[known], self.noise[known], self.degrees[known], special.ndtr
      )
      result[few] = points[few[known]]
    return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupEstimate:
  """Probability of being right in one group; every array is `[N]`.

  Attributes:
    probability: the point.
    centre: the same without a prior, about which the interval is.
    low, high: the interval.
    variance: of the centre, misfit included.
    reason: index in `REASONS`, 0 where margins are used.
    misfit: mean square of the law's own error over the examples whose margins
      are used: of all, and of those with a probability of 0.3 to 0.7; NaN if
      not known. Chance can make it negative.
    prior_degrees: d0, see `moderated`.
  """

  probability: np.ndarray
  centre: np.ndarray
  low: np.ndarray
  high: np.ndarray
  variance: np.ndarray
  reason: np.ndarray
  misfit: tuple[float, float]
  prior_degrees: float


def standardize(
  moments: GroupMoments, unusable: np.ndarray, named: np.ndarray
) -> Standardized:
  """z of every example.

  Args:
    moments: of the group.
    unusable: bool `[N]`, where a margin is not finite.
    named: bool `[N]`, where the share is to be taken.
  """
  degrees = np.maximum(moments.count - 1.0, 0.0)
  reason = np.zeros(len(degrees), np.int8)
  reason[named] = _NAMED
  reason[unusable | ~(moments.squares > 0)] = _UNUSABLE
  reason[moments.count < MIN_RUNS] = _FEW
  with np.errstate(divide="ignore", invalid="ignore"):
    own = np.where(reason == 0, moments.squares / degrees, np.nan)
    pooled = moderated.moderated_variance(own, degrees, moments.mean)
    return Standardized(
      z=moments.mean / np.sqrt(pooled.variance),
      noise=1 / moments.count,
      degrees=pooled.degrees,
      prior_degrees=pooled.prior_degrees,
      reason=reason,
    )


def estimate(
  moments: GroupMoments,
  halves: tuple[GroupMoments, GroupMoments],
  unusable: np.ndarray,
  named: np.ndarray,
  *,
  confidence: float,
  prior: bool,
  points: Standardized | None = None,
) -> GroupEstimate:
  """Probabilities of being right, with intervals.

  Args:
    moments: of all runs of the group.
    halves: of two halves of them, for the misfit.
    unusable, named: as in `standardize`.
    confidence: of the intervals, in (0, 1).
    prior: whether points use the law of z over all examples.
    points: what the points are taken from; None: the runs' own z.
  """
  own = standardize(moments, unusable, named)
  parts = [standardize(half, unusable, named) for half in halves]
  with np.errstate(divide="ignore", invalid="ignore"):
    fitted = tuple(part.probability() for part in parts)
    misfit, reason, product = _misfits(own, moments, halves, fitted)
    centre, used = own.probability(), reason == 0
    low, high = _interval(own, misfit, centre, confidence)
    source = own if points is None else points
    point = source.smoothed() if prior else source.probability()
    share, count = moments.share, moments.count
    wilson = intervals.wilson_interval(share, count, confidence)
    low = np.where(used, low, wilson[0])
    high = np.where(used, high, wilson[1])
    variance = np.where(
      used,
      own.sampling_variance() + _as_variance(misfit, own),
      share * (1 - share) / count,
    )
  ambiguous = used & (np.abs(centre - 0.5) <= 0.2)
  return GroupEstimate(
    probability=np.clip(np.where(used, point, share), low, high),
    centre=np.where(used, centre, share),
    low=low,
    high=high,
    variance=variance,
    reason=reason,
    misfit=(_mean(product[used]), _mean(product[ambiguous])),
    prior_degrees=own.prior_degrees,
  )


def _misfits(own, moments, halves, fitted):
  """Mean square of the law's own error, reasons to fall back, and products.

  Args:
    own: `Standardized` of all runs, and their `moments`.
    moments, halves: as in `estimate`.
    fitted: `Standardized.probability` of each half.

  Returns:
    `[N]` each: misfit (NaN if not known), reason, and the product of the two
    halves' differences between margins and share.
  """
  share, count, reason = moments.share, moments.count, own.reason.copy()
  centre, sampling = own.probability(), own.sampling_variance()
  difference = centre - share
  product = (fitted[0] - halves[0].share) * (fitted[1] - halves[1].share)
  plain = centre * (1 - centre) / count
  # For an efficient estimate the difference has the difference of the variances
  # as its variance. Shares come in steps: half of one is given.
  chance = np.maximum(plain - sampling, 0.2 * plain)
  beyond = np.maximum(np.abs(difference) - 0.5 / count, 0)
  reason[beyond > _MOST_DIFFERENCE * np.sqrt(chance)] = _CONTRADICTED
  plain = np.maximum(plain, share * (1 - share) / np.maximum(count - 1, 1))
  misfit = np.full(len(count), np.nan)
  stratum = np.digitize(centre, _STRATA)
  for k in range(len(_STRATA) + 1):
    # With those that were contradicted: they are evidence against the others.
    members = (stratum == k) & (own.reason == 0)
    if not members.any():
      continue
    found = _misfit(product[members], difference[members])
    if found is None and k in _MIDDLE:
      near = np.isin(stratum, _MIDDLE) & (own.reason == 0)
      found = _misfit(product[near], difference[near])
    if found is None:
      continue
    square, is_certain = found
    if is_certain and square > (plain - sampling)[members].mean():
      reason[members & (reason == 0)] = _MISFIT
    if k in _RARE:
      square = max(square, _misfit_of_others(fitted, halves, k))
    misfit[members] = square
  # What chance hardly explains in an example is its own misfit.
  misfit += np.maximum(np.square(beyond) - 4 * chance, 0)
  return misfit, reason, product


def _misfit(product, difference) -> tuple[float, bool] | None:
  """Mean square of the law's error in a stratum; whether it is beyond chance.

  What examples have in common shows in their mean difference, what they do not
  in the mean product of two halves. None if it cannot be told.
  """
  product = product[~np.isnan(product)]
  if len(product) < _MIN_STRATUM:
    return None
  own, common = product.mean(), difference.mean()
  errors = [x.std() / np.sqrt(len(x)) for x in (product, difference)]
  certain = own > 2 * errors[0] or abs(common) > 3 * errors[1]
  # Up to twice as much, by two standard errors: intervals must hold though this
  # is an estimate, and where it shows nothing they need not be wider.
  return max(own + min(own, 2 * errors[0]), common**2), bool(certain)


def _misfit_of_others(fitted, halves, k) -> float:
  """Squared mean difference between one half's margins and the other's share.

  In the strata next to 0 and 1: one run far out moves its example out of them,
  so that only runs that did not choose the stratum can tell.
  """
  differences = np.concatenate(
    [
      (fitted[h] - halves[1 - h].share)[np.digitize(fitted[h], _STRATA) == k]
      for h in (0, 1)
    ]
  )
  mean = _mean(differences)
  return 0.0 if np.isnan(mean) else mean**2


def _as_variance(misfit, own) -> np.ndarray:
  """The misfit, or what stands for it where it is not known."""
  unknown = _UNKNOWN_MISFIT * np.square(own.density())
  return np.where(np.isnan(misfit), unknown, misfit)


def _interval(own, misfit, centre, confidence):
  """Limits of the probability, misfit included."""
  level = 0.5 + confidence / 2
  unknown = np.isnan(misfit)
  variance = own.variance + np.where(unknown, _UNKNOWN_MISFIT, 0.0)
  half = stats.t.ppf(level, own.degrees) * np.sqrt(variance)
  extra = stats.norm.ppf(level) ** 2 * np.where(unknown, 0.0, misfit)
  below = np.sqrt(np.square(centre - special.ndtr(own.z - half)) + extra)
  above = np.sqrt(np.square(special.ndtr(own.z + half) - centre) + extra)
  return np.maximum(centre - below, 0.0), np.minimum(centre + above, 1.0)


def _mean(values: np.ndarray) -> float:
  values = values[~np.isnan(values)]
  return float(values.mean()) if values.size else float("nan")
