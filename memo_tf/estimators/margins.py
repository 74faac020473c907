"""Memorization from margins: the plain score's estimand with fewer runs.

The same quantity as `memorization` estimates, the probability of being right in
runs that trained on an example minus that in the others; each of the two is
estimated from the margins of its runs (`margin_groups`) instead of from the
share that is right. Where margins are not normal, an example's group falls back
to its share, so that the estimate is then the plain one.

The estimator, its tally and its result are one idea: hence the length.
"""

import dataclasses

import numpy as np
import pandas as pd

from memo_tf.estimators import margin_groups
from memo_tf.estimators import memorization as memorization_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarginScores:
  """Memorization of N examples from margins; every array is `[N]`.

  Attributes:
    memorization: in_accuracy - out_accuracy, moved into the interval if it is
      outside; float64 in [-1, 1]; NaN where either group is empty.
    in_accuracy, out_accuracy: probability of being right in each group.
    num_in, num_out: number of runs in each group, int64.
    standard_error: of memorization, misfit included.
    ci_low, ci_high: confidence interval, by the method of variance estimates
      recovery (Newcombe, 1998) from those of the two groups. It holds the
      score, but is not centred on it: intervals take no prior.
    fallback_in, fallback_out: int8, index in `margin_groups.REASONS` of why a
      group's share of right runs was taken; 0 where margins were used.
    misfit, ambiguous_misfit: root mean square error of the normal law itself in
      the held-out probability, as estimated, where margins were used: over all
      examples, and over those of a probability of 0.3 to 0.7. 0 where chance
      explains all; NaN if not known.
    prior_degrees_in, prior_degrees_out: degrees of freedom of the prior of the
      variances (`moderated`); NaN if there is none.
    estimand: as in `MemorizationScores`.
  """

  memorization: np.ndarray
  in_accuracy: np.ndarray
  out_accuracy: np.ndarray
  num_in: np.ndarray
  num_out: np.ndarray
  standard_error: np.ndarray
  ci_low: np.ndarray
  ci_high: np.ndarray
  fallback_in: np.ndarray
  fallback_out: np.ndarray
  misfit: float
  ambiguous_misfit: float
  prior_degrees_in: float
  prior_degrees_out: float
  estimand: str = "conditional"

  def fallbacks(self) -> dict[str, int]:
    """Number of examples by the reason of a fallback in either group."""
    both = np.stack([self.fallback_in, self.fallback_out])
    return {
      reason: int((both == code).any(axis=0).sum())
      for code, reason in enumerate(margin_groups.REASONS)
      if code and (both == code).any()
    }

  def to_dataframe(self) -> pd.DataFrame:
    """Table with one row per example and a column per array."""
    columns = {
      name: value
      for name, value in vars(self).items()
      if isinstance(value, np.ndarray)
    }
    ids = np.arange(len(self.memorization))
    return pd.DataFrame({"example_id": ids, **columns})


def margin_scores(
  margin: np.ndarray,
  in_mask: np.ndarray,
  *,
  correct: np.ndarray | None = None,
  use_counts: np.ndarray | None = None,
  prior: bool = True,
  confidence: float = 0.95,
  estimand: str = "conditional",
) -> MarginScores:
  """Estimates the memorization score of every example from margins.

  Args:
    margin: `[M, N]` float, logit of the label minus the largest other, of run m
      on training example n, evaluated without augmentation.
    in_mask: `[M, N]` bool, whether run m trained on example n.
    correct: `[M, N]` bool, whether the run is right; None: margin > 0. Needed
      where margins are NaN.
    use_counts: `[N]` bool, examples to estimate from `correct` alone: those
      with duplicates in the data, whose margins have two modes.
    prior: whether points of groups of at most 10 runs use the law of all
      examples; intervals never do.
    confidence: of the intervals, in (0, 1).
    estimand: as in `memorization_scores`.

  Returns:
    A `MarginScores` over the N examples.

  Raises:
    ValueError: if the shapes differ or are not rank 2, `in_mask` is not
      boolean, a margin is NaN and `correct` is not given, or as
      `memorization_scores`.
  """
  tally = tally_of(margin, in_mask, correct=correct, estimand=estimand)
  return tally.scores(use_counts=use_counts, prior=prior, confidence=confidence)


def tally_of(
  margin: np.ndarray,
  in_mask: np.ndarray,
  *,
  correct: np.ndarray | None = None,
  indices: np.ndarray | None = None,
  estimand: str = "conditional",
) -> "MarginTally":
  """A `MarginTally` of M runs; arguments as in `margin_scores`.

  `indices` `[M]` are the numbers of the runs' subsets; None: 0 to M - 1.
  """
  margin, in_mask = np.asarray(margin), np.asarray(in_mask)
  if margin.ndim != 2 or margin.shape != in_mask.shape:
    raise ValueError(
      "`margin` and `in_mask` must both be [M, N]. Received: "
      f"{margin.shape} and {in_mask.shape}"
    )
  size = None
  if estimand == "paper" and in_mask.size:
    size = int(in_mask.sum(axis=1).max())
  tally = MarginTally(margin.shape[1], estimand=estimand, subset_size=size)
  tally.add_many(margin, in_mask, correct=correct, indices=indices)
  return tally


class MarginTally:
  """Margin scores from runs that are added one at a time.

  Tallies of several machines can be merged. A tally keeps the moments of two
  halves of the runs, a few numbers per example; however runs are ordered and
  merged, they differ by rounding alone as long as each run keeps its half.

  Args:
    num_examples: N.
    estimand, subset_size: as in `MemorizationTally`.
  """

  def __init__(
    self,
    num_examples: int,
    *,
    estimand: str = "conditional",
    subset_size: int | None = None,
  ):
    self.num_examples = num_examples
    self.estimand = estimand
    self.subset_size = subset_size
    self._num_runs = 0
    # Of two halves of the runs.
    self._margins = self._empty("margin"), self._empty("margin")
    self._rights = self._empty("correctness"), self._empty("correctness")
    # Where a margin is not finite.
    self._unusable = np.zeros(num_examples, bool)

  def _empty(self, kind: str) -> memorization_lib.MemorizationTally:
    return memorization_lib.MemorizationTally(
      self.num_examples,
      outcome_kind=kind,
      estimand=self.estimand,
      subset_size=self.subset_size,
    )

  def add(
    self,
    margin: np.ndarray,
    in_mask: np.ndarray,
    *,
    correct: np.ndarray | None = None,
    index: int | None = None,
  ) -> None:
    """Adds one run: `margin`, `in_mask` and `correct` are `[N]`.

    Args:
      margin, in_mask, correct: as in `margin_scores`, of one run.
      index: number of the run, that of its subset, which determines its half;
        None: the number of runs in this tally so far.
    """
    self.add_many(
      np.asarray(margin)[None],
      np.asarray(in_mask)[None],
      correct=None if correct is None else np.asarray(correct)[None],
      indices=None if index is None else np.array([index]),
    )

  def add_many(
    self,
    margin: np.ndarray,
    in_mask: np.ndarray,
    *,
    correct: np.ndarray | None = None,
    indices: np.ndarray | None = None,
  ) -> None:
    """Adds M runs: `[M, N]` each, and `indices` `[M]`, as in `add`."""
    margin, in_mask = np.asarray(margin), np.asarray(in_mask)
    if indices is None:
      indices = self._num_runs + np.arange(len(margin))
    if not np.issubdtype(margin.dtype, np.floating):
      raise ValueError(
        f"`margin` must be floating point. Received: dtype {margin.dtype}"
      )
    bad = ~np.isfinite(margin)
    if bad.any():
      if correct is None and np.isnan(margin).any():
        raise ValueError(
          "`margin` must not be NaN unless `correct` says which runs are "
          f"right. Received: {int(np.isnan(margin).sum())} NaN"
        )
      correct = margin > 0 if correct is None else correct
      margin = np.where(bad, 0, margin)
    right = margin > 0 if correct is None else np.asarray(correct)
    # Subsets of two sizes alternate: each half needs both sizes.
    half_of = np.asarray(indices) // (2 if self.estimand == "paper" else 1) % 2
    if not in_mask.shape == right.shape == margin.shape or (
      half_of.shape != margin.shape[:1]
    ):
      raise ValueError(
        "`margin`, `in_mask` and `correct` must all be [M, N], `indices` [M]. "
        f"Received: {margin.shape}, {in_mask.shape}, {right.shape} and "
        f"{half_of.shape}"
      )
    for half in (0, 1):
      rows = np.flatnonzero(half_of == half)
      if len(rows):
        self._rights[half].add_many(right[rows], in_mask[rows])
        self._margins[half].add_many(margin[rows], in_mask[rows])
    self._unusable |= bad.any(axis=0)
    self._num_runs += len(margin)

  def merge(self, other: "MarginTally") -> None:
    """Adds all runs of another tally over the same examples."""
    for mine, theirs in zip(
      self._rights + self._margins, other._rights + other._margins
    ):
      mine.merge(theirs)
    self._unusable |= other._unusable
    self._num_runs += other._num_runs

  def scores(
    self,
    *,
    use_counts: np.ndarray | None = None,
    prior: bool = True,
    confidence: float = 0.95,
  ) -> MarginScores:
    """The scores of the runs so far; arguments as in `margin_scores`."""
    return combine(
      self, self.groups(use_counts, prior=prior, confidence=confidence)
    )

  def groups(self, use_counts=None, *, prior, confidence, points=(None, None)):
    """Estimates of the out-group and of the in-group.

    Args:
      use_counts, prior, confidence: as in `margin_scores`.
      points: what the points of each are taken from, see `margin_groups`.
    """
    if not 0 < confidence < 1:
      raise ValueError(
        f"`confidence` must be in (0, 1). Received: {confidence}"
      )
    named = self.named(use_counts)
    return tuple(
      margin_groups.estimate(
        self.moments(group),
        tuple(self.moments(group, (half,)) for half in (0, 1)),
        self._unusable,
        named,
        confidence=confidence,
        prior=prior,
        points=points[group],
      )
      for group in (0, 1)
    )

  def standardized(self, group, use_counts=None, halves=(0, 1)):
    """z of the out-group (0) or the in-group (1), of these halves."""
    return margin_groups.standardize(
      self.moments(group, halves), self._unusable, self.named(use_counts)
    )

  def named(self, use_counts: np.ndarray | None) -> np.ndarray:
    """`use_counts` checked; bool `[N]`."""
    if use_counts is None:
      return np.zeros(self.num_examples, bool)
    use_counts = np.asarray(use_counts)
    if use_counts.shape != (self.num_examples,) or use_counts.dtype != bool:
      raise ValueError(
        f"`use_counts` must be bool [{self.num_examples}]. Received: "
        f"{use_counts.dtype} {use_counts.shape}"
      )
    return use_counts

  def moments(self, group, halves=(0, 1)) -> margin_groups.GroupMoments:
    """Moments of the out-group (0) or the in-group (1), of these halves."""
    margins, rights = self._empty("margin"), self._empty("correctness")
    for half in halves:
      margins.merge(self._margins[half])
      rights.merge(self._rights[half])
    count, mean, squares = (part[group] for part in margins.moments())
    return margin_groups.GroupMoments(
      count=count, mean=mean, squares=squares, share=rights.moments()[1][group]
    )


def combine(tally: MarginTally, groups) -> MarginScores:
  """The scores from the estimates of the out-group and the in-group."""
  outside, inside = groups
  num_out, num_in = (tally.moments(group).count for group in (0, 1))
  difference = inside.centre - outside.centre
  below = np.hypot(inside.centre - inside.low, outside.high - outside.centre)
  above = np.hypot(inside.high - inside.centre, outside.centre - outside.low)
  low, high = difference - below, difference + above
  points = inside.probability - outside.probability
  return MarginScores(
    memorization=np.clip(points, low, high),
    in_accuracy=inside.probability,
    out_accuracy=outside.probability,
    num_in=num_in,
    num_out=num_out,
    standard_error=np.sqrt(inside.variance + outside.variance),
    ci_low=low,
    ci_high=high,
    fallback_in=inside.reason,
    fallback_out=outside.reason,
    misfit=_root(outside.misfit[0]),
    ambiguous_misfit=_root(outside.misfit[1]),
    prior_degrees_in=inside.prior_degrees,
    prior_degrees_out=outside.prior_degrees,
    estimand=tally.estimand,
  )


def _root(square: float) -> float:
  """Root of a mean square that chance can make negative."""
  return float(np.sqrt(np.maximum(square, 0.0)))
