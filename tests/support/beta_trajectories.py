"""Simulated studies over sizes whose trajectories are known.

An example's out-probability at a size is drawn from that size's Beta
distribution, its in-probability is at least 0.95, and its memorization is the
difference. The shares of the shape classes are chosen:

* constant: one draw from the distribution of a random size, for all sizes;
* increasing, decreasing: the two ends from the distributions of the first and
  the last size, at least `clear_change` apart; between them at random,
  monotone;
* cap, u: both ends and an inner peak from the distributions of their sizes, the
  peak at least `clear_change` beyond both; monotone on either side;
* other: up, down and up again (or the mirror image) by at least
  `clear_change`, from one level to another and back; at least four sizes.

Runs of all sizes share their subsets. With `run_correlation` above 0, an
example's outcomes at all sizes also share a component of each run (a Gaussian
copula), as where a held-out image is easy because a similar one is in the
subset.
"""

import dataclasses

import numpy as np
from scipy import special

from memo_tf.analysis.trajectories import rules

MIN_IN_PROBABILITY = 0.95
CLEAR_CHANGE = 0.4
DEFAULT_SHARES = {
  "constant": 0.4,
  "increasing": 0.15,
  "decreasing": 0.3,
  "cap": 0.1,
  "u": 0.05,
}
_TRIES = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedStudy:
  """Truth and runs of a study over S sizes.

  Attributes:
    in_probability, out_probability: `[S, N]`, the truth.
    shape_class: `[N]` str, what was drawn.
    in_mask: `[M, N]` bool, shared by all sizes.
    correct: `[S, M, N]` bool.
    block: consecutive runs in which every example is in equally often.
  """

  in_probability: np.ndarray
  out_probability: np.ndarray
  shape_class: np.ndarray
  in_mask: np.ndarray
  correct: np.ndarray
  block: int

  @property
  def memorization(self) -> np.ndarray:
    """The true trajectories, `[S, N]`."""
    return self.in_probability - self.out_probability

  def estimates(self) -> tuple[np.ndarray, np.ndarray]:
    """Measured memorization and its plug-in standard error, `[S, N]` each."""
    inside = self.in_mask
    num_in = inside.sum(axis=0)
    num_out = len(inside) - num_in
    a = (self.correct & inside).sum(axis=1) / num_in
    b = (self.correct & ~inside).sum(axis=1) / num_out
    error = np.sqrt(a * (1 - a) / num_in + b * (1 - b) / num_out)
    return a - b, error


def simulate_study(
  *,
  num_sizes: int,
  num_examples: int,
  num_subsets: int,
  shares: dict[str, float] | None = None,
  beta: tuple[tuple[float, float], ...] | tuple[float, float] = (0.6, 0.6),
  ratio: float = 0.7,
  clear_change: float = CLEAR_CHANGE,
  run_correlation: float = 0.0,
  seed: int = 0,
) -> SimulatedStudy:
  """Simulates a study.

  Args:
    num_sizes: S, at least 2 (3 for cap and u, 4 for other).
    num_examples: N.
    num_subsets: M.
    shares: of each shape class; those of `DEFAULT_SHARES` by default. Scaled to
      sum to 1; counts are rounded, the largest class takes the rest.
    beta: the two parameters of the out-probability's Beta distribution, one
      pair for all sizes or one pair per size.
    ratio: of a subset; blocks of 10 runs with exact margins, so in tenths.
    clear_change: least change of a case that is not constant, in (0, 0.9].
    run_correlation: correlation of the latent normals behind the outcomes of an
      example at two sizes in one run, in [0, 1).
    seed: of every draw.

  Returns:
    A `SimulatedStudy`.

  Raises:
    ValueError: for arguments out of range, or distributions that hardly ever
      give such large changes.
  """
  shares = dict(DEFAULT_SHARES if shares is None else shares)
  _check(
    num_sizes >= 2 and num_examples >= 1 and num_subsets >= 2,
    "Sizes, examples and subsets must be at least 2, 1 and 2",
    (num_sizes, num_examples, num_subsets),
  )
  _check(
    set(shares) <= set(rules.SHAPE_CLASSES)
    and min(shares.values(), default=-1) >= 0
    and sum(shares.values()) > 0,
    f"`shares` must be of {', '.join(rules.SHAPE_CLASSES)}, none below 0",
    shares,
  )
  for name, least in (("cap", 3), ("u", 3), ("other", 4)):
    _check(
      not shares.get(name) or num_sizes >= least,
      f"{name} takes {least} sizes",
      num_sizes,
    )
  _check(
    0 < clear_change <= 0.9, "`clear_change` must be in (0, 0.9]", clear_change
  )
  _check(
    0 <= run_correlation < 1,
    "`run_correlation` must be in [0, 1)",
    run_correlation,
  )
  _check(
    round(10 * ratio, 9) == round(10 * ratio) and 0 < ratio < 1,
    "`ratio` must be a tenth of 1 to 9",
    ratio,
  )
  laws = np.broadcast_to(np.asarray(beta, np.float64), (num_sizes, 2))
  _check((laws > 0).all(), "`beta` must be above 0", beta)
  rng = np.random.default_rng(seed)
  names = _names(shares, num_examples, rng)
  out = np.empty((num_sizes, num_examples))
  for name in np.unique(names):
    here = np.flatnonzero(names == name)
    out[:, here] = _draw(name, laws, clear_change, len(here), rng)
  inside = np.broadcast_to(
    rng.uniform(MIN_IN_PROBABILITY, 1, num_examples), out.shape
  ).copy()
  in_mask = _balanced(num_subsets, num_examples, round(10 * ratio), rng)
  correct = draw_runs(inside, out, in_mask, run_correlation, rng)
  return SimulatedStudy(
    in_probability=inside,
    out_probability=out,
    shape_class=names,
    in_mask=in_mask,
    correct=correct,
    block=10,
  )


def _names(shares, num_examples, rng) -> np.ndarray:
  """Class of each example in random order."""
  total = sum(shares.values())
  counts = {k: round(num_examples * v / total) for k, v in shares.items()}
  largest = max(shares, key=lambda k: shares[k])
  counts[largest] += num_examples - sum(counts.values())
  names = np.repeat(list(counts), list(counts.values()))
  return rng.permutation(names)


def _draw(name, laws, change, count, rng) -> np.ndarray:
  """Out-probabilities `[S, count]`; memorization moves the other way."""
  last = len(laws) - 1
  if name == "constant":
    size = rng.integers(len(laws), size=count)
    return np.tile(rng.beta(laws[size, 0], laws[size, 1]), (len(laws), 1))
  out = np.empty((len(laws), count))
  missing = np.arange(count)
  for _ in range(_TRIES):
    if not len(missing):
      return out
    out[:, missing], good = _candidates(
      name, laws, change, last, len(missing), rng
    )
    missing = missing[~good]
  raise ValueError(
    f"The Beta laws hardly ever give {name} trajectories with a change of "
    f"{change}. Received: beta={laws.tolist()}"
  )


def _candidates(name, laws, change, last, count, rng):
  """Draws that may fail: `[S, count]` and whether they are of the class."""
  anchors = rng.beta(laws[:, :1], laws[:, 1:], (len(laws), count))
  first, final = anchors[0], anchors[-1]
  if name in ("increasing", "decreasing"):
    sign = 1 if name == "decreasing" else -1
    path = _between(first, final, len(laws), rng)
    return path, sign * (final - first) >= change
  turn = 1 if name == "u" else -1  # a cap of memorization dips in out
  if name in ("cap", "u"):
    place = rng.integers(1, last, count)
    peak = anchors[place, np.arange(count)]
    path = np.empty_like(anchors)
    for k in range(1, last):
      here = place == k
      path[: k + 1, here] = _between(first[here], peak[here], k + 1, rng)
      path[k:, here] = _between(peak[here], final[here], last + 1 - k, rng)
    beyond = turn * (peak - first), turn * (peak - final)
    return path, np.minimum(*beyond) >= change
  # other: a swing between two inner turns, from and to an end beside the other
  # turn, so that neither turn stands out above or below both ends.
  high = np.maximum(anchors[1], anchors[-2])
  low = np.minimum(anchors[1], anchors[-2])
  flip = rng.random(count) < 0.5
  path = np.empty_like(anchors)
  middle = _between(high, low, len(laws) - 2, rng)
  path[1:-1] = middle
  path[0] = low + rng.uniform(-0.05, 0.05, count)
  path[-1] = high + rng.uniform(-0.05, 0.05, count)
  good = (high - low >= change) & (path[0] >= 0) & (path[-1] <= 1)
  good &= (path[0] <= 1) & (path[-1] >= 0)
  return np.where(flip, path, path[::-1]), good


def _between(start, end, num_sizes, rng) -> np.ndarray:
  """Monotone paths from `start` to `end`, `[num_sizes, count]`."""
  steps = np.sort(rng.random((num_sizes, len(start))), axis=0)
  steps[0], steps[-1] = 0, 1
  return start + steps * (end - start)


def _balanced(num_subsets, num_examples, num_in, rng) -> np.ndarray:
  """bool `[M, N]`: every example in `num_in` runs of each block of 10."""
  blocks = [
    rng.random((10, num_examples)).argsort(axis=0) < num_in
    for _ in range(-(-num_subsets // 10))
  ]
  return np.concatenate(blocks)[:num_subsets]


def draw_runs(inside, out, in_mask, correlation, rng) -> np.ndarray:
  """Outcomes bool `[S, M, N]` of known probabilities, `[S, N]` each.

  `correlation` is the `run_correlation` of `simulate_study`.
  """
  num_sizes = len(inside)
  correct = np.empty((num_sizes, *in_mask.shape), bool)
  shared = rng.standard_normal(in_mask.shape) if correlation else 0.0
  for s in range(num_sizes):
    probability = np.where(in_mask, inside[s], out[s])
    if correlation:
      own = rng.standard_normal(in_mask.shape)
      latent = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
      correct[s] = latent < special.ndtri(probability)
    else:
      correct[s] = rng.random(in_mask.shape) < probability
  return correct


def _check(holds, rule, value) -> None:
  if not holds:
    raise ValueError(f"{rule}. Received: {value}")
