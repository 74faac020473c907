"""Estimates of a study's runs, judged against other runs of the same study.

A draw is some runs in whole blocks; draws share no run. The truth of a draw is
the plain score of runs that are not in it, and its noise is taken out: of
squared errors by subtraction, of coverage by adding its own interval
(Newcombe's, by the method of variance estimates recovery).

Images of some held-out accuracy are chosen by runs that are in neither the draw
nor the truth: the other runs are split in two halves of whole blocks, one
chooses and the other judges, in turn. If the truth chose for itself, images
would be chosen for its errors, since far more images are easy than ambiguous,
and a right interval would seem to miss.
"""

import numpy as np
from scipy import stats

from memo_tf.estimators import memorization

# Held-out accuracy of the images of a part, ends included.
PARTS = {"uncertain": (0.05, 0.95), "ambiguous": (0.3, 0.7)}


def draws_of(num_runs: int, block: int, size: int, limit: int) -> list:
  """Up to `limit` disjoint draws of `size` runs, whole blocks at random."""
  blocks = np.random.default_rng(size).permutation(num_runs // block)
  per_draw = size // block
  count = min(limit, len(blocks) // per_draw)
  return [
    _rows(blocks[d * per_draw : (d + 1) * per_draw], block)
    for d in range(count)
  ]


def truths(stack, rows: np.ndarray, block: int) -> list:
  """Plain scores of all other runs, and of two halves of their blocks.

  None instead of a half that has no run.
  """
  count = len(stack.units) // block
  others = np.setdiff1d(np.arange(count), rows // block)
  # At random, since neighbouring blocks may be from one process.
  others = np.random.default_rng(count).permutation(others)
  return [
    plain_scores(stack, _rows(blocks, block)) if len(blocks) else None
    for blocks in (others, others[::2], others[1::2])
  ]


def plain_scores(stack, rows) -> memorization.MemorizationScores:
  return memorization.memorization_scores(
    stack.correct[rows], stack.in_mask[rows]
  )


def judged(points, low, high, known: list) -> dict:
  """Error, rank correlation, coverage and width, by part.

  Args:
    points, low, high: `[N]`, estimates with their intervals.
    known: of `truths`.

  Returns:
    By part a dict of means over its images; "weight" is their number. A part
    without images has NaN and weight 0.
  """
  whole, *halves = known
  everything = np.ones(len(points), bool)
  found = {"all": _judged(points, low, high, whole, everything)}
  for name, (least, most) in PARTS.items():
    own = []
    for chooser, truth in (halves, halves[::-1]):
      if chooser is None or truth is None:
        continue
      share = chooser.out_accuracy
      chosen = (share >= least - 1e-9) & (share <= most + 1e-9)
      own.append(_judged(points, low, high, truth, chosen))
    found[name] = _mean_of(own)
  return found


def _judged(points, low, high, truth, chosen) -> dict:
  """Means over the chosen images, against one truth."""
  noise = sum(
    # One run says nothing of its noise.
    mean * (1 - mean) / np.where(count > 1, count - 1, np.nan)
    for mean, count in (
      (truth.in_accuracy, truth.num_in),
      (truth.out_accuracy, truth.num_out),
    )
  )
  difference = points - truth.memorization
  below = np.hypot(points - low, truth.ci_high - truth.memorization)
  above = np.hypot(high - points, truth.memorization - truth.ci_low)
  covered = (difference <= below) & (-difference <= above)
  members = chosen & ~np.isnan(difference) & ~np.isnan(noise)
  count = int(members.sum())
  if not count:
    return _mean_of([])
  ranks = np.nan
  if count > 2:
    ranks = stats.spearmanr(points[members], truth.memorization[members])[0]
  return {
    "error": float((np.square(difference) - noise)[members].mean()),
    "spearman": float(ranks),
    "coverage": float(covered[members].mean()),
    "width": float((high - low)[members].mean()),
    "weight": count,
  }


def _mean_of(found: list[dict]) -> dict:
  """Means weighted by the numbers of images; of those, the plain mean."""
  keys = ("error", "spearman", "coverage", "width")
  weights = np.array([own["weight"] for own in found], float)
  if not weights.sum():
    return dict.fromkeys(keys, float("nan")) | {"weight": 0}
  return {
    key: weighted_mean([own[key] for own in found], weights) for key in keys
  } | {"weight": float(weights.mean())}


def weighted_mean(values, weights) -> float:
  values, weights = np.asarray(values, float), np.asarray(weights, float)
  known = ~np.isnan(values) & (weights > 0)
  if not known.any():
    return float("nan")
  return float(np.average(values[known], weights=weights[known]))


def gain(plain: list[dict], other: list[dict]) -> list[float]:
  """[low, value, high]: squared error of plain scores over that of others.

  The ratio of the sums over draws and images; the interval leaves out each
  draw once (jackknife of the logarithm, Student's t). Ends are NaN with fewer
  than three draws, all NaN where an error is not above 0.
  """
  sums = np.array(
    [
      [own["error"] * own["weight"] for own in draws]
      for draws in (plain, other)
    ]
  )
  sums = sums[:, ~np.isnan(sums).any(axis=0)]
  count = sums.shape[1]
  if not count or (sums.sum(axis=1) <= 0).any():
    return [float("nan")] * 3
  value = np.log(sums[0].sum() / sums[1].sum())
  left = sums.sum(axis=1, keepdims=True) - sums
  half = np.nan
  if count > 2 and (left > 0).all():
    logs = np.log(left[0] / left[1])
    square = (count - 1) / count * np.square(logs - logs.mean()).sum()
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(square)
  return np.exp([value - half, value, value + half]).tolist()


def runs_for_width(widths: dict[int, float], width: float) -> str:
  """Runs for a mean width, log-linear between sizes of draws; or a bound."""
  known = {size: w for size, w in widths.items() if not np.isnan(w)}
  sizes = sorted(known)
  if not sizes:
    return "unknown"
  values = [known[size] for size in sizes]
  if values[0] <= width:
    return f"at most {sizes[0]}"
  if values[-1] > width:
    return f"more than {sizes[-1]}"
  last = next(i for i, value in enumerate(values) if value <= width)
  near = slice(last - 1, last + 1)
  log = np.interp(-np.log(width), -np.log(values[near]), np.log(sizes[near]))
  return f"{np.exp(log):.0f}"


def _rows(blocks, block: int) -> np.ndarray:
  """The runs of these blocks, in order."""
  return np.sort(
    (np.asarray(blocks)[:, None] * block + np.arange(block)).ravel()
  )
