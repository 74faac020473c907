"""Hartigan & Hartigan's dip: distance of a distribution from unimodality.

The dip of a sample is the least sup-distance of its distribution function to a
unimodal one (Hartigan & Hartigan, 1985, The dip test of unimodality). Their
algorithm closes in on the mode between two points: to their left it takes the
greatest convex minorant, to their right the least concave majorant, between
them the least distance that a convex and then concave function can have.

The p-value is the share of uniform samples with a dip as large or larger: the
uniform distribution is, asymptotically, the hardest unimodal one to reject.
sqrt(n) times the dip hardly depends on n, so the simulated samples have at
most `MAX_SIMULATED` points.

Both assume distinct values. Scores from many runs tie: spread ties over the
step between them first (`distribution.bimodality` does).
"""

import functools

import numpy as np

MAX_SIMULATED = 300
NUM_SIMULATED = 500


def dip_statistic(values: np.ndarray) -> float:
  """The dip of `[N]` values, at least 1 / (2 N).

  NaN without values, 0 if all are equal. Ties count as a jump of the
  distribution function, which only a mode may have: they can only make the dip
  too large.
  """
  values = np.sort(np.asarray(values, np.float64))
  num = len(values)
  if not num:
    return float("nan")
  if values[0] == values[-1]:
    return 0.0
  # At a distinct value x the distribution function jumps from below to above.
  x, counts = np.unique(values, return_counts=True)
  above = np.cumsum(counts) / num
  below = above - counts / num
  low, high, dip = 0, len(x) - 1, 0.0
  while True:
    minorant = _hull(x, below, low, high, lower=True)
    majorant = _hull(x, above, low, high, lower=False)
    inside = np.arange(low, high + 1)
    convex = np.interp(x[inside], x[minorant], below[minorant])
    concave = np.interp(x[inside], x[majorant], above[majorant])
    gap = concave - convex
    widest = float(gap.max())
    if widest <= dip:
      return max(dip, 1 / num) / 2
    # The modal interval is between the knots on either side of the gap.
    knot = low + int(gap.argmax())
    if knot in set(minorant.tolist()):
      new_low = knot
      new_high = int(majorant[np.searchsorted(majorant, knot)])
    else:
      new_high = knot
      new_low = int(minorant[np.searchsorted(minorant, knot, "right") - 1])
    left = slice(0, new_low - low + 1)
    right = slice(new_high - low, None)
    dip = max(
      dip,
      float((above[inside][left] - convex[left]).max()),
      float((concave[right] - below[inside][right]).max()),
    )
    if (new_low, new_high) == (low, high) or widest <= dip:
      return max(dip, 1 / num) / 2
    low, high = new_low, new_high


def dip_p_value(dip: float, num_values: int, *, seed: int = 0) -> float:
  """P-value of a dip: the share of uniform samples with one as large.

  Args:
    dip: of `dip_statistic`; NaN gives NaN.
    num_values: N, the size of its sample.
    seed: of the simulated samples.

  Returns:
    (1 + number of samples with such a dip) / (1 + number of samples).
  """
  if np.isnan(dip):
    return float("nan")
  size = min(num_values, MAX_SIMULATED)
  simulated = _uniform_dips(size, seed)
  count = int((simulated >= np.sqrt(num_values / size) * dip).sum())
  return (1 + count) / (1 + len(simulated))


@functools.lru_cache(maxsize=16)
def _uniform_dips(size: int, seed: int) -> np.ndarray:
  """Dips of simulated uniform samples, `[NUM_SIMULATED]`."""
  rng = np.random.default_rng([seed, size])
  return np.array(
    [dip_statistic(rng.random(size)) for _ in range(NUM_SIMULATED)]
  )


def _hull(x, y, low, high, *, lower: bool) -> np.ndarray:
  """Indices of the knots of the greatest convex minorant, or least majorant."""
  sign = 1.0 if lower else -1.0
  xs, ys = x.tolist(), (sign * y).tolist()
  knots: list[int] = []
  for i in range(low, high + 1):
    while len(knots) >= 2:
      a, b = knots[-2], knots[-1]
      if (ys[b] - ys[a]) * (xs[i] - xs[a]) < (ys[i] - ys[a]) * (xs[b] - xs[a]):
        break
      knots.pop()
    knots.append(i)
  return np.array(knots)
