"""Consistency scores: how often held-out models get an example right.

The consistency of an example at a subset ratio is the mean outcome of the runs
that trained on this share of the data without the example. Over several ratios
it is the example's profile, whose mean is the C-score (Jiang, Zhang, Talwar &
Mozer, 2021, arXiv:2002.03206). Where runs classify every example that they
trained on correctly, memorization at a ratio is 1 minus the consistency at it.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.estimators import intervals
from memo_tf.estimators import memorization as memorization_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsistencyScores:
  """Held-out outcome of N examples at one ratio; every array is `[N]`.

  Attributes:
    consistency: mean outcome of the runs that held the example out; NaN if
      there are none.
    num_out: number of those runs, int64.
    standard_error: of consistency: sqrt(b(1 - b) / num_out) for correctness;
      for other outcomes the sample standard deviation over sqrt(num_out), NaN
      with fewer than two runs.
    ci_low, ci_high: 95 % confidence interval: Wilson's (1927) for correctness,
      Student's for other outcomes.
    outcome: as in `MemorizationScores`.
  """

  consistency: np.ndarray
  num_out: np.ndarray
  standard_error: np.ndarray
  ci_low: np.ndarray
  ci_high: np.ndarray
  outcome: str = "correctness"

  def to_dataframe(self) -> pd.DataFrame:
    """Table with one row per example, `example_id` first."""
    names = [f.name for f in dataclasses.fields(self) if f.name != "outcome"]
    columns = {name: getattr(self, name) for name in names}
    return pd.DataFrame(
      {"example_id": np.arange(len(self.consistency)), **columns}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsistencyProfile:
  """Consistency of N examples over R subset ratios.

  Attributes:
    ratios: `[R]`, ascending.
    profile: `[R, N]`, consistency at each; NaN where an example was never held
      out.
    c_score: `[N]`, unweighted mean over the ratios; NaN where one is missing.
    standard_error: `[N]`, of c_score. Ratios have separate runs, so their
      errors are independent.
  """

  ratios: np.ndarray
  profile: np.ndarray
  c_score: np.ndarray
  standard_error: np.ndarray


def consistency_scores(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  outcome_kind: str | None = None,
  confidence: float = 0.95,
) -> ConsistencyScores:
  """Estimates the consistency of every training example at one ratio.

  Args:
    outcome: `[M, N]`, as in `memorization_scores`.
    in_mask: `[M, N]` bool, whether run m trained on example n.
    outcome_kind, confidence: as in `memorization_scores`.

  Returns:
    A `ConsistencyScores` over the N examples.

  Raises:
    ValueError: as `memorization_scores`.

  Example:
    >>> import numpy as np
    >>> from memo_tf import estimators
    >>> correct = np.array([[1, 1], [1, 0], [0, 1], [1, 1]], bool)
    >>> in_mask = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    >>> estimators.consistency_scores(correct, in_mask).consistency
    array([0.5, 0.5])
  """
  scores = memorization_lib.memorization_scores(
    outcome, in_mask, outcome_kind=outcome_kind, confidence=confidence
  )
  mean, count = scores.out_accuracy, scores.num_out
  if scores.outcome == "correctness":
    low, high = intervals.wilson_interval(mean, count, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
      error = np.sqrt(mean * (1 - mean) / count)
  else:
    values = np.asarray(outcome, np.float64)
    outside = ~np.asarray(in_mask)
    square = np.where(outside, np.square(values - mean), 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
      error = np.sqrt(square / (count - 1) / count)
      quantile = stats.t.ppf(0.5 + confidence / 2, count - 1)
    error = np.where(count < 2, np.nan, error)
    low, high = mean - quantile * error, mean + quantile * error
  return ConsistencyScores(
    consistency=mean,
    num_out=count,
    standard_error=error,
    ci_low=low,
    ci_high=high,
    outcome=scores.outcome,
  )


def consistency_profile(
  scores: Mapping[float, ConsistencyScores],
) -> ConsistencyProfile:
  """Profile over subset ratios and C-score, from the scores at each ratio.

  Args:
    scores: by subset ratio, in (0, 1), over the same N examples and of the same
      outcome.

  Returns:
    A `ConsistencyProfile`.

  Raises:
    ValueError: if there are no scores, a ratio is not in (0, 1), or the
      scores differ in outcome or number of examples.
  """
  if not scores or not all(0 < ratio < 1 for ratio in scores):
    raise ValueError(
      "A profile takes scores by subset ratio, each strictly between 0 and 1. "
      f"Received: {sorted(scores)}"
    )
  ratios = sorted(scores)
  sizes = {len(scores[ratio].consistency) for ratio in ratios}
  kinds = {scores[ratio].outcome for ratio in ratios}
  if len(sizes) > 1 or len(kinds) > 1:
    raise ValueError(
      "A profile takes scores of one outcome over the same examples. Received: "
      f"{sorted(sizes)} examples, {', '.join(sorted(kinds))}"
    )
  profile = np.stack([scores[ratio].consistency for ratio in ratios])
  errors = np.stack([scores[ratio].standard_error for ratio in ratios])
  return ConsistencyProfile(
    ratios=np.array(ratios),
    profile=profile,
    c_score=profile.mean(axis=0),
    standard_error=np.sqrt(np.square(errors).sum(axis=0)) / len(ratios),
  )
