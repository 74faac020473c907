"""Rules that name the shape of a trajectory, m[1] ... m[S] by size.

Lukasik et al. (2024, arXiv:2310.05337) sort trajectories into constant,
increasing, decreasing and cap-shaped by a "change in memorization" alpha. They
do not publish the rule, so each of these is a named setting. A change counts if
it is at least alpha = `min_change`. Let

    up = m[S] - m[1]       range = max m - min m
    rise = max over j < k of m[k] - m[j]     (the greatest run-up)
    fall = max over j < k of m[j] - m[k]     (the greatest drawdown)
    peak = max over inner k of min(m[k] - m[1], m[k] - m[S])
    dip  = max over inner k of min(m[1] - m[k], m[S] - m[k])

* `default`: constant if range < alpha; increasing if up >= alpha and
  fall < alpha; decreasing if up <= -alpha and rise < alpha; else, if peak or
  dip is at least alpha, cap or u by the larger (cap if equal); else other.
* `endpoints`: increasing if up >= alpha; decreasing if up <= -alpha; else cap
  if peak >= alpha, u if dip >= alpha (the larger if both); else constant.
* `argmax`: constant if range < alpha; else by the sizes of the highest and the
  lowest score (the first among equals): increasing if lowest first and highest
  last; decreasing if highest first and lowest last; cap if only the highest is
  at an inner size; u if only the lowest is; else other.
* `z`: as `default`, but a change from size j to k counts if it is at least
  z * SE(m[k] - m[j]), whatever its size; range < alpha becomes "no change
  counts". z = 3 calls about 5 % of the constant trajectories of seven sizes
  changing (the studentized range). Needs standard errors; takes no
  `min_change`.
* `template`: the least-squares fit of each shape (constant, increasing,
  decreasing, cap, u); the least BIC = sum of squared residuals in units of the
  standard error, plus (levels of the fit + 1 for a shape of two arms) * ln S;
  without standard errors alpha / 2 replaces them. A fit whose range is below
  alpha is constant. Never other.

Comparisons allow for 1e-9, so that 0.7 - 0.5 is a change of 0.2.
"""

import numpy as np

from memo_tf.analysis.trajectories import templates

SHAPE_CLASSES = ("constant", "increasing", "decreasing", "cap", "u", "other")
DEFAULT_Z = 3.0
_TOLERANCE = 1e-9
CONSTANT, INCREASING, DECREASING, CAP, U, OTHER = range(6)


def default(memorization: np.ndarray, min_change: float) -> np.ndarray:
  """Indices in `SHAPE_CLASSES` by the default rule: `[S, N]` to int `[N]`."""
  m, alpha = memorization, min_change - _TOLERANCE
  up = m[-1] - m[0]
  fall = (np.maximum.accumulate(m) - m).max(axis=0)
  rise = (m - np.minimum.accumulate(m)).max(axis=0)
  peak, dip = _excursions(m)
  return np.select(
    [
      np.ptp(m, axis=0) < alpha,
      (up >= alpha) & (fall < alpha),
      (up <= -alpha) & (rise < alpha),
      (peak >= alpha) & (peak >= dip),
      dip >= alpha,
    ],
    [CONSTANT, INCREASING, DECREASING, CAP, U],
    OTHER,
  )


def endpoints(memorization: np.ndarray, min_change: float) -> np.ndarray:
  """Indices in `SHAPE_CLASSES` by the rule of both ends, int `[N]`."""
  m, alpha = memorization, min_change - _TOLERANCE
  up = m[-1] - m[0]
  peak, dip = _excursions(m)
  return np.select(
    [
      up >= alpha,
      up <= -alpha,
      (peak >= alpha) & (peak >= dip),
      dip >= alpha,
    ],
    [INCREASING, DECREASING, CAP, U],
    CONSTANT,
  )


def argmax(memorization: np.ndarray, min_change: float) -> np.ndarray:
  """Indices by the rule of the highest and the lowest size, int `[N]`."""
  m, last = memorization, len(memorization) - 1
  high, low = m.argmax(axis=0), m.argmin(axis=0)
  high_inside = (high > 0) & (high < last)
  low_inside = (low > 0) & (low < last)
  return np.select(
    [
      np.ptp(m, axis=0) < min_change - _TOLERANCE,
      (low == 0) & (high == last),
      (high == 0) & (low == last),
      high_inside & ~low_inside,
      low_inside & ~high_inside,
    ],
    [CONSTANT, INCREASING, DECREASING, CAP, U],
    OTHER,
  )


def z(
  memorization: np.ndarray, covariance: np.ndarray, z_value: float
) -> np.ndarray:
  """Indices in `SHAPE_CLASSES` by the rule of significant changes, int `[N]`.

  Args:
    memorization: `[S, N]`.
    covariance: `[S, S, N]`, of an example's scores over sizes.
    z_value: least change that counts, in standard errors of the difference.
  """
  m, num_sizes = memorization, len(memorization)
  variance = np.einsum("ssn->sn", covariance)
  error = np.sqrt(
    np.maximum(variance[:, None] + variance[None] - 2 * covariance, 0)
  )
  # change[j, k]: from j to k, in units of the least change that counts.
  with np.errstate(divide="ignore", invalid="ignore"):
    change = (m[None] - m[:, None]) / (z_value * error)
  change = np.nan_to_num(change, nan=0.0, posinf=np.inf, neginf=-np.inf)
  enough = 1 - _TOLERANCE
  later = np.triu(np.ones((num_sizes, num_sizes), bool), 1)[..., None]
  rise = np.where(later, change, -np.inf).max(axis=(0, 1))
  fall = np.where(later, -change, -np.inf).max(axis=(0, 1))
  up = change[0, -1]
  peak = np.minimum(change[0, 1:-1], -change[1:-1, -1])
  dip = np.minimum(-change[0, 1:-1], change[1:-1, -1])
  peak = peak.max(axis=0, initial=-np.inf)
  dip = dip.max(axis=0, initial=-np.inf)
  return np.select(
    [
      (rise < enough) & (fall < enough),
      (up >= enough) & (fall < enough),
      (up <= -enough) & (rise < enough),
      (peak >= enough) & (peak >= dip),
      dip >= enough,
    ],
    [CONSTANT, INCREASING, DECREASING, CAP, U],
    OTHER,
  )


def template(
  memorization: np.ndarray,
  standard_error: np.ndarray | None,
  min_change: float,
) -> np.ndarray:
  """Indices in `SHAPE_CLASSES` by the best-fitting shape, int `[N]`."""
  m = memorization
  scale = min_change / 2 if standard_error is None else standard_error
  scale = np.maximum(scale, _TOLERANCE)
  fits, criteria = [], []
  for name, fit_shape in templates.TEMPLATES.items():
    fit = fit_shape(m)
    parameters = templates.num_levels(fit) + (name in ("cap", "u"))
    misfit = np.square((m - fit) / scale).sum(axis=0)
    fits.append(fit)
    criteria.append(misfit + parameters * np.log(len(m)))
  best = np.argmin(criteria, axis=0)
  span = np.ptp(np.stack(fits), axis=1)[best, np.arange(m.shape[1])]
  return np.where(span < min_change - _TOLERANCE, CONSTANT, best)


# Rules that need only the scores and a threshold.
SIMPLE_RULES = {"default": default, "endpoints": endpoints, "argmax": argmax}
RULES = (*SIMPLE_RULES, "z", "template")


def _excursions(m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The highest inner peak above both ends and the deepest dip, `[N]` each."""
  inner = m[1:-1]
  peak = (inner - np.maximum(m[0], m[-1])).max(axis=0, initial=-np.inf)
  dip = (np.minimum(m[0], m[-1]) - inner).max(axis=0, initial=-np.inf)
  return peak, dip
