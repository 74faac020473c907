"""Scores from margins by their formulas, one example and one number at a time.

Written from docs/method/margins.md, without the package: slow, and in loops, to
compare `memo_tf.estimators` with. An estimate of an example and group is a
tuple: point, low and high end, variance, reason for counts. Points are without
the prior on z, which is `with_law_of_all`.
"""

import math
import statistics

import numpy as np
from scipy import special
from scipy import stats

EDGES = (0.001, 0.01, 0.05, 0.15, 0.3, 0.7, 0.85, 0.95, 0.99, 0.999)
MIDDLE = range(3, 8)
NEXT_TO_ENDS = (0, 1, 9, 10)


def phi(z):
  return math.erfc(-z / math.sqrt(2)) / 2


def density(z):
  return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def variance(values):
  mean = statistics.fmean(values)
  return math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1)


def trigamma(x):
  return special.zeta(2, x)


def prior_degrees_of(excess):
  """d0, twice the x whose trigamma is the excess, by bisection."""
  low, high = 1e-3, 5e5
  if excess <= trigamma(high):
    return 2 * high
  for _ in range(200):
    middle = (low + high) / 2
    low, high = (middle, high) if trigamma(middle) > excess else (low, middle)
  return low + high


def bends_of(means):
  """Where the line through the log variances bends."""
  x = sorted(means)
  places = []
  for k in range(8):
    places.append(round(k / 7 * (len(x) - 1)))
    level = x[0] + k / 7 * (x[-1] - x[0])
    places.append(min(sum(value < level for value in x), len(x) - 1))
  kept = [0]
  for place in sorted(places):
    if place - kept[-1] >= 20:
      kept.append(place)
  return sorted({x[place] for place in kept})


def hat(x, bends, k):
  """1 at the k-th bend, 0 at the others, straight between; level beyond."""
  x = min(x, bends[-1])
  if x == bends[k]:
    return 1.0
  if k > 0 and bends[k - 1] < x < bends[k]:
    return (x - bends[k - 1]) / (bends[k] - bends[k - 1])
  if k + 1 < len(bends) and bends[k] < x < bends[k + 1]:
    return (bends[k + 1] - x) / (bends[k + 1] - bends[k])
  return 0.0


def moderated(variances, degrees, means):
  """(s^2 of each sample, d0, s0^2 of each), of usable samples."""
  logs = [
    math.log(v) - special.psi(d / 2) + math.log(d / 2)
    for v, d in zip(variances, degrees)
  ]
  bends = bends_of(means)
  if len(bends) < 2:
    line, used = [statistics.fmean(logs)] * len(logs), 1
  else:
    basis = np.array(
      [[hat(x, bends, k) for k in range(len(bends))] for x in means]
    )
    line = list(basis @ np.linalg.solve(basis.T @ basis, basis.T @ logs))
    used = len(bends)
  scatter = sum((y - f) ** 2 for y, f in zip(logs, line)) / (len(logs) - used)
  chance = statistics.fmean(trigamma(d / 2) for d in degrees)
  d0 = prior_degrees_of(scatter - chance)
  prior = [math.exp(f + special.psi(d0 / 2) - math.log(d0 / 2)) for f in line]
  return (
    [(d0 * p + d * v) / (d0 + d) for p, d, v in zip(prior, degrees, variances)],
    d0,
    prior,
  )


class Group:
  """One group of runs, from the margins of each example's runs.

  `runs[n]` has the margins of example n; `named` the examples that are to be
  estimated from counts. `z[n]` is None where they are.
  """

  def __init__(self, runs, named):
    used = [
      n
      for n, own in enumerate(runs)
      if len(own) >= 3 and len(set(own)) > 1 and not named[n]
    ]
    squares, self.d0, _ = moderated(
      [variance(runs[n]) for n in used],
      [len(runs[n]) - 1 for n in used],
      [statistics.fmean(runs[n]) for n in used],
    )
    self.count = [len(own) for own in runs]
    self.share = [
      sum(x > 0 for x in own) / len(own) if own else math.nan for own in runs
    ]
    self.z = [None] * len(runs)
    for n, square in zip(used, squares):
      self.z[n] = statistics.fmean(runs[n]) / math.sqrt(square)

  def free(self, n):
    """f, degrees of freedom of the standard deviation."""
    return self.d0 + self.count[n] - 1

  def variance_of_z(self, n):
    return 1 / self.count[n] + self.z[n] ** 2 / (2 * self.free(n))

  def point(self, n):
    return phi(self.z[n] / math.sqrt(1 - 1 / self.count[n]))

  def sampling(self, n):
    return density(self.z[n]) ** 2 * self.variance_of_z(n)


def stratum_of(p):
  return sum(p >= edge for edge in EDGES)


def misfit_of(products, differences):
  """Mean square of the law's own error in a stratum, and if it is certain."""
  if len(products) < 20:
    return None
  own, common = statistics.fmean(products), statistics.fmean(differences)
  error = statistics.pstdev(products) / math.sqrt(len(products))
  of_common = statistics.pstdev(differences) / math.sqrt(len(differences))
  certain = own > 2 * error or abs(common) > 3 * of_common
  return max(own + min(own, 2 * error), common**2), certain


def group_estimates(runs, halves, named):
  """The estimate of each example, d0, and the two misfits.

  `halves` has the runs of either half of them.
  """
  whole, parts = Group(runs, named), [Group(half, named) for half in halves]
  used = [n for n, z in enumerate(whole.z) if z is not None]
  difference = {n: whole.point(n) - whole.share[n] for n in used}
  product = {
    n: math.prod(part.point(n) - part.share[n] for part in parts)
    for n in used
    if all(part.z[n] is not None for part in parts)
  }
  reason = {n: 0 for n in used}
  own_misfit = {}
  for n in used:
    p, count = whole.point(n), whole.count[n]
    plain = p * (1 - p) / count
    chance = max(plain - whole.sampling(n), plain / 5)
    beyond = max(abs(difference[n]) - 0.5 / count, 0)
    own_misfit[n] = max(beyond**2 - 4 * chance, 0)
    if beyond > 3.3 * math.sqrt(chance):
      reason[n] = 4
  misfit = {}
  for k in range(11):
    members = [n for n in used if stratum_of(whole.point(n)) == k]
    found = misfit_of(
      [product[n] for n in members if n in product],
      [difference[n] for n in members],
    )
    if found is None and k in MIDDLE:
      near = [n for n in used if stratum_of(whole.point(n)) in MIDDLE]
      found = misfit_of(
        [product[n] for n in near if n in product],
        [difference[n] for n in near],
      )
    if found is None or not members:
      continue
    square, certain = found
    gains = []
    for n in members:
      p, share, count = whole.point(n), whole.share[n], whole.count[n]
      plain = max(p * (1 - p) / count, share * (1 - share) / (count - 1))
      gains.append(plain - whole.sampling(n))
    if certain and square > statistics.fmean(gains):
      for n in members:
        reason[n] = reason[n] or 5
    if k in NEXT_TO_ENDS:
      others = [
        parts[h].point(n) - parts[1 - h].share[n]
        for h in (0, 1)
        for n in range(len(runs))
        if parts[h].z[n] is not None and stratum_of(parts[h].point(n)) == k
      ]
      others = [x for x in others if not math.isnan(x)]
      if others:
        square = max(square, statistics.fmean(others) ** 2)
    for n in members:
      misfit[n] = square
  rows = []
  for n in range(len(runs)):
    share, count = whole.share[n], whole.count[n]
    if reason.get(n) != 0:
      given = reason.get(n, 1 if count < 3 else 3)
      if count >= 3 and len(set(runs[n])) == 1:
        given = 2
      spread = share * (1 - share) / count if count else math.nan
      rows.append((share, *wilson(share, count), spread, given))
      continue
    p, z, known = whole.point(n), whole.z[n], n in misfit
    wrong = misfit[n] + own_misfit[n] if known else 0.0
    half = stats.t.ppf(0.975, whole.free(n)) * math.sqrt(
      whole.variance_of_z(n) + (0.0 if known else 0.01)
    )
    extra = stats.norm.ppf(0.975) ** 2 * wrong
    low = p - math.sqrt((p - phi(z - half)) ** 2 + extra)
    high = p + math.sqrt((phi(z + half) - p) ** 2 + extra)
    if not known:
      wrong = 0.01 * density(z) ** 2
    rows.append(
      (p, max(low, 0.0), min(high, 1.0), whole.sampling(n) + wrong, 0)
    )
  kept = [n for n in product if reason[n] == 0]
  ambiguous = [n for n in kept if 0.3 <= whole.point(n) <= 0.7]
  misfits = [
    math.sqrt(max(statistics.fmean(product[n] for n in some), 0))
    if some
    else math.nan
    for some in (kept, ambiguous)
  ]
  return rows, whole.d0, misfits


def wilson(share, count):
  if not count:
    return math.nan, math.nan
  z = stats.norm.ppf(0.975)
  centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
  spread = math.sqrt(
    share * (1 - share) / count + z**2 / (4 * count**2)
  ) * z / (1 + z**2 / count)  # fmt: skip
  return centre - spread, centre + spread


def runs_of(margin, in_mask, group, rows):
  """The margins of each example's runs of a group, among these runs."""
  return [
    [float(margin[m, n]) for m in rows if in_mask[m, n] == bool(group)]
    for n in range(margin.shape[1])
  ]


def scores(margin, in_mask, named):
  """Columns of `MarginScores` as lists, by name."""
  every = range(len(margin))
  groups = []
  for group in (0, 1):
    parts = [runs_of(margin, in_mask, group, every[h::2]) for h in (0, 1)]
    groups.append(
      group_estimates(runs_of(margin, in_mask, group, every), parts, named)
    )
  (outside, d0_out, misfits), (inside, d0_in, _) = groups
  found = {
    "prior_degrees_in": d0_in,
    "prior_degrees_out": d0_out,
    "misfit": misfits[0],
    "ambiguous_misfit": misfits[1],
    "memorization": [i[0] - o[0] for i, o in zip(inside, outside)],
    "in_accuracy": [i[0] for i in inside],
    "out_accuracy": [o[0] for o in outside],
    "standard_error": [math.sqrt(i[3] + o[3]) for i, o in zip(inside, outside)],
    "fallback_in": [i[4] for i in inside],
    "fallback_out": [o[4] for o in outside],
    "ci_low": [],
    "ci_high": [],
  }
  for i, o in zip(inside, outside):
    found["ci_low"].append(
      i[0] - o[0] - math.sqrt((i[0] - i[1]) ** 2 + (o[2] - o[0]) ** 2)
    )
    found["ci_high"].append(
      i[0] - o[0] + math.sqrt((i[2] - i[0]) ** 2 + (o[0] - o[1]) ** 2)
    )
  return found


def with_law_of_all(z, noise, degrees):
  """Posterior mean of Phi of each unknown z, by 60 rounds of EM."""
  grid = [k / 10 for k in range(-60, 61)]
  likelihood = []
  for own, level, f in zip(z, noise, degrees):
    own = min(max(own, -6.0), 6.0)
    spreads = [math.sqrt(level + x**2 / (2 * f)) for x in grid]
    likelihood.append(
      [density((own - x) / s) / s for x, s in zip(grid, spreads)]
    )
  weights = [1 / len(grid)] * len(grid)
  for _ in range(60):
    found = [0.0] * len(grid)
    for row in likelihood:
      evidence = sum(map(math.prod, zip(row, weights)))
      for k, (own, weight) in enumerate(zip(row, weights)):
        found[k] += own * weight / evidence / len(z)
    weights = found
  return [
    sum(own * w * phi(x) for own, w, x in zip(row, weights, grid))
    / sum(map(math.prod, zip(row, weights)))
    for row in likelihood
  ]


def points_of_sizes(margin, in_mask):
  """Points of the out- and the in-group `[2][S][N]` of sizes together."""
  every, num = range(len(in_mask)), in_mask.shape[1]
  named = [False] * num
  result = []
  for group in (0, 1):
    runs = [runs_of(m, in_mask, group, every) for m in margin]
    halves = [
      [runs_of(m, in_mask, group, every[h::2]) for m in margin] for h in (0, 1)
    ]
    sizes = [Group(own, named) for own in runs]
    parts = [[Group(own, named) for own in half] for half in halves]
    shrunk = shrunk_points(sizes, parts)
    result.append([])
    for s, own in enumerate(runs):
      rows, _, _ = group_estimates(own, [half[s] for half in halves], named)
      result[-1].append(
        [
          share if reason else min(max(shrunk[s].get(n, share), low), high)
          for n, (share, low, high, _, reason) in enumerate(rows)
        ]
      )
  return result


def shrunk_points(sizes, parts):
  """Phi of each size by example, drawn towards what its sizes share."""
  everywhere = [
    n
    for n in range(len(sizes[0].z))
    if all(size.z[n] is not None for size in sizes)
  ]
  compared = [
    n
    for n in everywhere
    if abs(statistics.fmean(size.z[n] for size in sizes)) < 2.5
    and all(size.z[n] is not None for half in parts for size in half)
  ]
  if len(compared) < 20:
    return [{} for _ in sizes]

  def deviations(some, examples):
    level = [statistics.fmean(s.z[n] for n in compared) for s in some]
    found = {}
    for n in examples:
      above = [s.z[n] - a for s, a in zip(some, level)]
      shared = statistics.fmean(above)
      found[n] = shared, [x - shared for x in above]
    return level, found

  level, whole = deviations(sizes, everywhere)
  first, second = (deviations(half, compared)[1] for half in parts)
  free = len(sizes) - 1
  between = statistics.fmean(
    math.fsum(map(math.prod, zip(first[n][1], second[n][1]))) / free
    for n in compared
  )
  between = max(between, 0.0)
  total = statistics.fmean(
    math.fsum(d**2 for d in whole[n][1]) / free for n in compared
  )
  noise = {
    n: statistics.fmean(s.variance_of_z(n) for s in sizes) for n in everywhere
  }
  own = (total - between) / statistics.fmean(noise[n] for n in compared)
  own = min(max(own, 0.05), 1.0)
  points = [{} for _ in sizes]
  for n in everywhere:
    alone = own * noise[n]
    kept = between / (between + alone)
    # The noise that sizes share, that of their mean, that of the deviation.
    left = (noise[n] - alone) + alone / len(sizes)
    left += (1 - 1 / len(sizes)) * kept * alone
    for s, size in enumerate(sizes):
      z = level[s] + whole[n][0] + kept * whole[n][1][s]
      less = left / noise[n] / size.count[n]
      points[s][n] = phi(z / math.sqrt(1 - less))
  return points


def pairs(margin, in_mask, train_ids, test_ids, num_tested):
  """(influence, q-value) of each pair."""
  columns = [[float(x) for x in column] for column in margin.T]
  _, d0, prior = moderated(
    [variance(own) for own in columns],
    [len(margin) - 1] * len(columns),
    [statistics.fmean(own) for own in columns],
  )
  influence, p_values = [], []
  for n, t in zip(train_ids, test_ids):
    sides = [
      [x for x, inside in zip(columns[t], in_mask[:, n]) if inside == side]
      for side in (True, False)
    ]
    squares = sum((len(x) - 1) * variance(x) for x in sides)
    degrees = d0 + len(margin) - 2
    s = math.sqrt((d0 * prior[t] + squares) / degrees)
    inside, outside = map(statistics.fmean, sides)
    error = s * math.sqrt(sum(1 / len(x) for x in sides))
    p_values.append(stats.t.sf((inside - outside) / error, degrees))
    right = [
      phi(statistics.fmean(x) / s / math.sqrt(1 - 1 / len(x))) for x in sides
    ]
    influence.append(right[0] - right[1])
  q_values = [
    min(
      1.0,
      *(
        other * num_tested / sum(p <= other for p in p_values)
        for other in p_values
        if other >= own
      ),
    )
    for own in p_values
  ]
  return influence, q_values
