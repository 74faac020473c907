"""Hartigan & Hartigan's dip: how far a distribution is from one mode.

The dip of a sample is the least sup-distance of its distribution function to a
unimodal one (Hartigan & Hartigan, 1985, The dip test of unimodality). It is found
by their algorithm: between two points that close in on the mode, the greatest
convex minorant has to the left and the least concave majorant to the right of it
the least distance that a convex and then concave function can have.

p is the share of uniform samples with a dip as large or larger: the uniform is,
asymptotically, the hardest unimodal law to tell. sqrt(n) times the dip hardly
depends on n, so the samples have at most `MAX_SIMULATED` points.

Both are for values that differ: of many runs' shares, which tie, spread the ties
over the step between them first (`distribution.bimodality` does).
"""

import functools

import numpy as np

MAX_SIMULATED = 300
NUM_SIMULATED = 500


def dip_statistic(values: np.ndarray) -> float:
  """The dip of `[N]` different values, from 1 / (2 N) on.

  NaN of none, 0 if all are equal. Some equal ones count as a jump, which only a
  mode may have: the dip is then at most too large.
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
    place = low + int(gap.argmax())
    if place in set(minorant.tolist()):
      new_low = place
      new_high = int(majorant[np.searchsorted(majorant, place)])
    else:
      new_high = place
      new_low = int(minorant[np.searchsorted(minorant, place, "right") - 1])
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
  """Share of uniform samples with a dip of at least `dip`, one added to both."""
  if np.isnan(dip):
    return float("nan")
  size = min(num_values, MAX_SIMULATED)
  simulated = _uniform_dips(size, seed)
  count = int((simulated >= np.sqrt(num_values / size) * dip).sum())
  return (1 + count) / (1 + len(simulated))


@functools.lru_cache(maxsize=16)
def _uniform_dips(size: int, seed: int) -> np.ndarray:
  rng = np.random.default_rng([seed, size])
  return np.array(
    [dip_statistic(rng.random(size)) for _ in range(NUM_SIMULATED)]
  )


def _hull(x, y, low, high, *, lower: bool) -> np.ndarray:
  """Places of the knots of the greatest convex minorant, or least majorant."""
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
