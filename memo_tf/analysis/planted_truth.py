"""Measured memorization of planted examples beside its theoretical value.

With r the subset ratio, C the number of classes, m1 the mean score of the
examples without copies whose labels are of the same kind (clean or wrong), and
a the held-out accuracy of the clean examples without copies:

    wrong label                    1, less what is guessed or not learned
    noise image                    in-accuracy - 1 / C
    k equal images, one label      (1 - r)^(k - 1) m1: holding an image out
                                   matters only where all k are held out
    original of a near duplicate   between (1 - r) m1 and m1
    near duplicate                 none: it may be harder than its original,
                                   as a shifted 8x8 digit is
    a pair of conflicting labels   together (1 - r)(2 - a) + r: a model that
                                   trains on both can get one right

A range is given by its ends, and the last value, a sum, as the mean of the
pair.

Interval: 95 %, normal; squared standard error = that of a jackknife over runs
plus that of the mean over images (copies of an image counted as one draw). The
two overlap, so it is conservative, as Owen's sum for crossed random effects is
(2007, The pigeonhole bootstrap, arXiv:0712.1111).
"""

import dataclasses

import numpy as np

from memo_tf.estimators import in_out

CLEAN, WRONG, NOISE = "clean", "wrong label", "noise image"
CONFLICT = "conflicting labels"
NEAR, NEAR_ORIGINAL = "near duplicate", "original of a near duplicate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindSummary:
  """Mean memorization of one kind of planted examples.

  Attributes:
    kind: in words: `clean`, `wrong label, 2 copies`, ....
    num_examples: number of examples of the kind.
    memorization, ci_low, ci_high: mean score with its 95 % interval; NaN if
      there are too few runs.
    in_accuracy, out_accuracy: means over the examples.
    expected_low, expected_high: theoretical range; equal for a single value,
      NaN without a theoretical value.
  """

  kind: str
  num_examples: int
  memorization: float
  ci_low: float
  ci_high: float
  in_accuracy: float
  out_accuracy: float
  expected_low: float
  expected_high: float

  def expected(self, digits: int) -> str:
    """Theoretical value or range as text; empty without one."""
    low, high = self.expected_low, self.expected_high
    if np.isnan(low):
      return ""
    text = f"{low:.{digits}f}"
    return text if low == high else f"{text} to {high:.{digits}f}"


def kinds(
  plant: np.ndarray, is_noisy: np.ndarray, origin_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Kind of each training example, and how many copies of its image there are.

  Args:
    plant: `[N]` str, as in `examples.parquet`.
    is_noisy: `[N]` bool, whether the given label is wrong.
    origin_ids: `[N]` int, the original's id; -1 for a noise image.

  Returns:
    `[N]` str, the kind, and `[N]` int, the number of equal or nearly equal
    images, including itself.
  """
  plant = np.asarray(plant).astype(str)
  is_noisy = np.asarray(is_noisy, bool)
  origin_ids = np.asarray(origin_ids, np.int64)
  ids = np.arange(len(plant))
  known = origin_ids >= 0
  counts = np.bincount(origin_ids[known], minlength=len(plant))
  copies = np.where(known, counts[origin_ids], 1)
  # An original has the kind of its copies.
  family = np.full(len(plant), "", object)
  added = known & (origin_ids != ids)
  family[origin_ids[added]] = plant[added]
  family = np.where(known, family[origin_ids], "")
  found = np.where(is_noisy, WRONG, CLEAN).astype(object)
  found[plant == "noise_image"] = NOISE
  found[family == "conflicting_duplicate"] = CONFLICT
  found[family == "near_duplicate"] = NEAR_ORIGINAL
  found[plant == "near_duplicate"] = NEAR
  for name in ("exact_duplicate", "wrong_label_duplicate"):
    for n in np.flatnonzero(family == name):
      found[n] = f"{found[n]}, {copies[n]} copies"
  return found.astype(str), copies


def summarize(
  correct: np.ndarray,
  in_mask: np.ndarray,
  kind: np.ndarray,
  copies: np.ndarray,
  origin_ids: np.ndarray,
  *,
  ratio: float,
  num_classes: int,
) -> list[KindSummary]:
  """Mean memorization of each kind of planted examples.

  Args:
    correct: `[M, N]` bool, against the given label.
    in_mask: `[M, N]` bool.
    kind, copies: `[N]`, from `kinds`.
    origin_ids: `[N]` int; examples of one origin count as one draw.
    ratio: r, in (0, 1).
    num_classes: C.

  Returns:
    One summary per kind: clean and wrong first, then by name. Examples without
    in-runs or without out-runs are left out.
  """
  kind, copies = np.asarray(kind).astype(str), np.asarray(copies)
  num_in = in_mask.sum(axis=0)
  known = (num_in > 0) & (num_in < len(in_mask))
  names = sorted(set(kind[known]), key=lambda n: (n not in (CLEAN, WRONG), n))
  measured = {}
  for name in names:
    rows = known & (kind == name)
    measured[name] = _measure(
      correct[:, rows], in_mask[:, rows], np.asarray(origin_ids)[rows]
    )
  result = []
  for name in names:
    first = np.flatnonzero(known & (kind == name))[0]
    low, high = _expected(
      name, int(copies[first]), measured, ratio, num_classes
    )
    result.append(
      KindSummary(
        kind=name,
        num_examples=int((known & (kind == name)).sum()),
        expected_low=low,
        expected_high=high,
        **measured[name],
      )
    )
  return result


def _expected(
  name: str, copies: int, measured: dict, ratio: float, num_classes: int
) -> tuple[float, float]:
  """Theoretical range of a kind's mean score; NaN without one."""
  nothing = {"memorization": np.nan, "out_accuracy": np.nan}
  if name in (CLEAN, NEAR):
    return np.nan, np.nan
  if name == WRONG:
    return 1.0, 1.0
  if name == NOISE:
    expected = measured[NOISE]["in_accuracy"] - 1 / num_classes
    return expected, expected
  if name == CONFLICT:
    clean = measured.get(CLEAN, nothing)["out_accuracy"]
    expected = ((1 - ratio) * (2 - clean) + ratio) / 2
    return expected, expected
  base = WRONG if name.startswith(WRONG) else CLEAN
  single = measured.get(base, nothing)["memorization"]
  low = (1 - ratio) ** (copies - 1) * single
  return low, single if name == NEAR_ORIGINAL else low


def _measure(correct, in_mask, origin_ids) -> dict[str, float]:
  """Means over the examples, and the interval of the mean score."""
  sums = in_out.in_out_sums(correct, in_mask)
  in_mean, out_mean = sums.means()
  scores = in_mean - out_mean
  mean = scores.mean()
  variance = _jackknife(correct, in_mask, sums) + _spread(scores, origin_ids)
  half = 1.959964 * np.sqrt(variance)
  return {
    "memorization": float(mean),
    "ci_low": float(mean - half),
    "ci_high": float(mean + half),
    "in_accuracy": float(in_mean.mean()),
    "out_accuracy": float(out_mean.mean()),
  }


def _jackknife(correct, in_mask, sums: in_out.InOutSums) -> float:
  """Variance of the mean score over the runs, each left out once."""
  num_runs = len(in_mask)
  without = in_out.InOutSums(
    sums.sum_in - (correct & in_mask),
    sums.sum_out - (correct & ~in_mask),
    sums.num_in - in_mask,
    sums.num_out - ~in_mask,
  )
  in_mean, out_mean = without.means()
  scores = in_mean - out_mean
  # A run may be the only one that held an example out: the other examples
  # still count. If there are none, the interval is not known.
  known = np.isfinite(scores)
  if not known.any(axis=1).all():
    return float("nan")
  means = np.mean(scores, axis=1, where=known)
  return float((num_runs - 1) / num_runs * ((means - means.mean()) ** 2).sum())


def _spread(scores: np.ndarray, origin_ids: np.ndarray) -> float:
  """Variance of the mean over images; an original and its copies are a draw."""
  # Noise images have no original: each is a separate draw.
  own = -1 - np.arange(len(scores))
  draws = np.where(origin_ids < 0, own, origin_ids)
  _, draw = np.unique(draws, return_inverse=True)
  sums = np.bincount(draw, scores - scores.mean())
  if len(sums) < 2:
    return 0.0
  factor = len(sums) / (len(sums) - 1)
  return float(factor * (sums**2).sum() / len(scores) ** 2)
