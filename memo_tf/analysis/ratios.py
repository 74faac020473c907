"""How memorization depends on the fraction of the data that a run has.

Scores are for models trained on 70 % of the data. Families of other ratios say
whether images keep their rank, how mean memorization changes, and what it would
be with all the data (docs/method/ratios.md). Runs of different families are
independent: nothing is paired.

**Rank.** Spearman's correlation of two families, mean of the four pairs of a
half (even or odd blocks) of one and a half of the other, divided by the root of
the product of those between the halves of each: 1 where the order is the same
and only noise differs. Its interval is a jackknife over the blocks of both.

**All the data.** Lines through the means by ratio p, weighted by their standard
errors, in p and in log p, at p = 1. No law is known: the interval covers both
lines' intervals. It is an extrapolation, and misses what no line shows.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

import numpy as np
from scipy import stats

from memo_tf.estimators import reliability

_LEVEL = 0.975
FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  "linear": lambda p: p,
  "logarithmic": np.log,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunsOfRatio:
  """The runs of one family.

  Attributes:
    correct, in_mask: bool `[M, N]`.
    group: `[M]` int, as `agreement.groups_of` gives it; at least 4 groups.
  """

  correct: np.ndarray
  in_mask: np.ndarray
  group: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankStability:
  """Spearman's correlation between two ratios.

  Attributes:
    correlation: of halves of the runs.
    corrected: without noise; NaN where a family does not correlate with itself.
    ci_low, ci_high: 95 % interval of `corrected`.
  """

  correlation: float
  corrected: float
  ci_low: float
  ci_high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extrapolation:
  """Mean memorization with all the data.

  Attributes:
    linear, logarithmic: by the two lines.
    ci_low, ci_high: an interval that covers the 95 % intervals of both.
  """

  linear: float
  logarithmic: float
  ci_low: float
  ci_high: float


def rank_stability(first: RunsOfRatio, second: RunsOfRatio) -> RankStability:
  """The correlation of two families' scores, without noise.

  Raises:
    ValueError: if one has fewer than 4 groups.
  """
  sides = [_Side(first), _Side(second)]
  whole = [side.halves(np.ones(side.count)) for side in sides]
  correlation, corrected = _correlations(*whole)
  variance = 0.0
  for index, side in enumerate(sides):
    parts = []
    for row in np.ones((side.count, side.count)) - np.eye(side.count):
      halves = list(whole)
      halves[index] = side.halves(row)
      parts.append(_correlations(halves[0], halves[1])[1])
    factor = (side.count - 1) / side.count
    variance += factor * ((np.array(parts) - np.mean(parts)) ** 2).sum()
  degrees = min(side.count for side in sides) - 1
  half = float(stats.t.ppf(_LEVEL, degrees) * np.sqrt(variance))
  return RankStability(
    correlation=correlation,
    corrected=corrected,
    ci_low=corrected - half,
    ci_high=corrected + half,
  )


class _Side:
  """Scores of the even and odd groups of one family."""

  def __init__(self, runs: RunsOfRatio):
    self.count = int(runs.group.max()) + 1
    if self.count < 4:
      raise ValueError(
        "A family must have at least 4 groups of runs, two in each half. "
        f"Received: {self.count}"
      )
    self._parity = np.arange(self.count) % 2
    self._scores = reliability.memorization_of_blocks(
      runs.correct, runs.in_mask, runs.group
    )

  def halves(self, weights: np.ndarray) -> np.ndarray:
    """`[2, N]`: scores of both halves, of groups with weights `[B]`."""
    return self._scores(
      np.stack([weights * (self._parity == half) for half in (0, 1)])
    )


def _correlations(first, second) -> tuple[float, float]:
  """Between two families' halves `[2, N]`, and corrected by those within."""
  known = ~np.isnan(np.concatenate([first, second])).any(axis=0)
  ranks = stats.rankdata(np.concatenate([first, second])[:, known], axis=1)
  with np.errstate(invalid="ignore"):
    found = np.corrcoef(ranks)
  between = float(found[:2, 2:].mean())
  within = [float(found[0, 1]), float(found[2, 3])]
  if not min(within) > 0:
    return between, float("nan")
  return between, between / float(np.sqrt(within[0] * within[1]))


def extrapolation(
  ratios: Sequence[float],
  means: Sequence[float],
  standard_errors: Sequence[float],
  degrees: int,
) -> Extrapolation:
  """Mean memorization at a ratio of 1.

  Args:
    ratios: of the families, at least two different ones in (0, 1).
    means: mean memorization of each.
    standard_errors: of the means, above 0.
    degrees: of freedom of the standard errors.

  Raises:
    ValueError: if there are not two ratios, or a standard error is not above 0.
  """
  errors = np.asarray(standard_errors, float)
  if len(set(ratios)) < 2 or not (errors > 0).all():
    raise ValueError(
      "Two ratios or more are needed, and standard errors above 0. Received: "
      f"ratios={list(ratios)}, standard_errors={errors.tolist()}"
    )
  quantile = float(stats.t.ppf(_LEVEL, degrees))
  found, ends = {}, []
  for name, form in FORMS.items():
    x = form(np.asarray(ratios, float))
    design = np.stack([np.ones_like(x), x], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    line = covariance @ design.T @ (np.asarray(means, float) / errors)
    at = np.array([1.0, float(form(np.ones(1))[0])])
    value = float(at @ line)
    half = quantile * float(np.sqrt(at @ covariance @ at))
    found[name] = value
    ends += [value - half, value + half]
  return Extrapolation(**found, ci_low=min(ends), ci_high=max(ends))
