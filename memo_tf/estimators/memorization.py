"""Memorization scores from runs on random subsets.

How much likelier is a training example to be classified right by models that
saw it than by models that did not (Feldman, 2020, arXiv:1906.05271)? With runs
m on subsets, the estimate of Feldman & Zhang (2020, arXiv:2008.03703, algorithm
1) is, for example n,

    memorization[n] = mean(outcome[m, n] over m with in_mask[m, n])
                    - mean(outcome[m, n] over m without)

It converges to the score of models trained on subsets of that size, not on all
N examples. The n estimates share their runs: they are not independent.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

OUTCOMES = ("correctness", "label_probability", "margin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemorizationScores:
  """Memorization of N examples and how sure it is; every array is `[N]`.

  Attributes:
    memorization: in_accuracy - out_accuracy, float64 in [-1, 1] (any real for
      the margin); NaN where either group is empty.
    in_accuracy: mean outcome of the runs that saw the example; NaN if none.
    out_accuracy: mean outcome of those that did not; NaN if none.
    num_in, num_out: how many runs are in each group, int64.
    standard_error: of memorization. For correctness the plug-in
      sqrt(a(1 - a) / num_in + b(1 - b) / num_out), which is 0 where both groups
      are unanimous: the interval is not. For the others Welch's, NaN where a
      group has fewer than two runs.
    ci_low, ci_high: 95 % interval: Newcombe's hybrid score interval (1998,
      method 10) for correctness, Welch's for the others.
    outcome: `correctness`, `label_probability` or `margin`.
  """

  memorization: np.ndarray
  in_accuracy: np.ndarray
  out_accuracy: np.ndarray
  num_in: np.ndarray
  num_out: np.ndarray
  standard_error: np.ndarray
  ci_low: np.ndarray
  ci_high: np.ndarray
  outcome: str = "correctness"

  def to_dataframe(self) -> pd.DataFrame:
    """A row an example, `example_id` first, columns as in the score files."""
    columns = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if field.name != "outcome"
    }
    ids = np.arange(len(self.memorization))
    return pd.DataFrame({"example_id": ids, **columns})


def memorization_scores(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  outcome_kind: str | None = None,
  confidence: float = 0.95,
) -> MemorizationScores:
  """Estimates the memorization score of every training example.

  Args:
    outcome: `[M, N]`, what run m achieved on training example n, evaluated
      without augmentation: correctness (bool, or integers 0 and 1) for the
      score of Feldman & Zhang, or the probability of the label (float in
      [0, 1]), or the margin (any float).
    in_mask: `[M, N]` bool, whether run m trained on example n.
    outcome_kind: one of `OUTCOMES`; None takes correctness for booleans and
      integers, label_probability for floats.
    confidence: of the intervals, in (0, 1).

  Returns:
    A `MemorizationScores` over the N examples.

  Raises:
    ValueError: if the shapes differ or are not rank 2, `in_mask` is not
      boolean, `outcome` is not of its kind or not finite.
  """
  outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
  if outcome.ndim != 2 or outcome.shape != in_mask.shape:
    raise ValueError(
      "`outcome` and `in_mask` must both be [M, N]. Received: "
      f"{outcome.shape} and {in_mask.shape}"
    )
  tally = MemorizationTally(outcome.shape[1], outcome_kind=outcome_kind)
  tally.add_many(outcome, in_mask)
  return tally.scores(confidence=confidence)


class MemorizationTally:
  """The same estimate from runs that come one at a time, on any machine.

  Keeps a few numbers an example. For correctness these are integer counts, so
  that order and merging change nothing to the bit; for the others sums in
  float64, exact to rounding.

  Args:
    num_examples: N.
    outcome_kind: as in `memorization_scores`; None is settled by the first run.
  """

  def __init__(self, num_examples: int, *, outcome_kind: str | None = None):
    if num_examples < 1:
      raise ValueError(
        f"`num_examples` must be at least 1. Received: {num_examples}"
      )
    if outcome_kind is not None and outcome_kind not in OUTCOMES:
      raise ValueError(
        f"`outcome_kind` must be one of {', '.join(OUTCOMES)}. "
        f"Received: {outcome_kind!r}"
      )
    self.num_examples = num_examples
    self.outcome_kind = outcome_kind
    self._num_in = np.zeros(num_examples, np.int64)
    self._num_runs = 0
    # Sums of the outcome and of its square, [2 (out, in), N].
    self._sum = np.zeros((2, num_examples))
    self._square = np.zeros((2, num_examples))

  def add(self, outcome: np.ndarray, in_mask: np.ndarray) -> None:
    """Adds one run: `outcome` `[N]` and `in_mask` `[N]` bool."""
    outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
    if outcome.ndim != 1 or in_mask.ndim != 1:
      raise ValueError(
        "`outcome` and `in_mask` of a run must be [N]. Received: "
        f"{outcome.shape} and {in_mask.shape}"
      )
    self.add_many(outcome[None], in_mask[None])

  def add_many(self, outcome: np.ndarray, in_mask: np.ndarray) -> None:
    """Adds M runs: `outcome` `[M, N]` and `in_mask` `[M, N]` bool."""
    outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
    expected = (len(outcome), self.num_examples)
    if outcome.shape != expected or in_mask.shape != expected:
      raise ValueError(
        f"Runs over {self.num_examples} examples are needed. Received: "
        f"outcome {outcome.shape}, in_mask {in_mask.shape}"
      )
    if in_mask.dtype != bool:
      raise ValueError(
        f"`in_mask` must be boolean. Received: dtype {in_mask.dtype}"
      )
    kind = self.outcome_kind or _kind_of(outcome)
    values = _checked(outcome, kind)
    self.outcome_kind = kind
    self._num_runs += len(values)
    self._num_in += in_mask.sum(axis=0)
    for group, members in enumerate((~in_mask, in_mask)):
      inside = np.where(members, values, 0.0)
      self._sum[group] += inside.sum(axis=0)
      self._square[group] += np.square(inside).sum(axis=0)

  def merge(self, other: "MemorizationTally") -> None:
    """Adds all runs of another tally over the same examples."""
    if other.num_examples != self.num_examples:
      raise ValueError(
        f"Tallies over {self.num_examples} and {other.num_examples} examples "
        "cannot be merged."
      )
    kinds = {self.outcome_kind, other.outcome_kind} - {None}
    if len(kinds) > 1:
      raise ValueError(
        f"Tallies of {' and '.join(sorted(kinds))} cannot be merged."
      )
    self.outcome_kind = next(iter(kinds), None)
    self._num_in += other._num_in
    self._num_runs += other._num_runs
    self._sum += other._sum
    self._square += other._square

  def scores(self, *, confidence: float = 0.95) -> MemorizationScores:
    """The scores of the runs so far."""
    if not 0 < confidence < 1:
      raise ValueError(
        f"`confidence` must be in (0, 1). Received: {confidence}"
      )
    num_in = self._num_in.copy()
    num_out = self._num_runs - num_in
    with np.errstate(divide="ignore", invalid="ignore"):
      mean_in = self._sum[1] / num_in
      mean_out = self._sum[0] / num_out
    kind = self.outcome_kind or "correctness"
    if kind == "correctness":
      low, high = newcombe_interval(
        mean_in, num_in, mean_out, num_out, confidence
      )
      with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(
          mean_in * (1 - mean_in) / num_in + mean_out * (1 - mean_out) / num_out
        )
    else:
      error, low, high = _welch_interval(
        mean_in,
        _variance(self._square[1], mean_in, num_in),
        num_in,
        mean_out,
        _variance(self._square[0], mean_out, num_out),
        num_out,
        confidence,
      )
    return MemorizationScores(
      memorization=mean_in - mean_out,
      in_accuracy=mean_in,
      out_accuracy=mean_out,
      num_in=num_in,
      num_out=num_out,
      standard_error=error,
      ci_low=low,
      ci_high=high,
      outcome=kind,
    )


def wilson_interval(
  mean: np.ndarray, count: np.ndarray, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
  """Wilson's score interval (1927) of a proportion; NaN where count is 0."""
  z = stats.norm.ppf(0.5 + confidence / 2)
  with np.errstate(divide="ignore", invalid="ignore"):
    centre = mean + z**2 / (2 * count)
    spread = z * np.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    low, high = (centre - spread) / scale, (centre + spread) / scale
  # At 0 and 1 the limits are exact; rounding must not lead beyond them.
  return np.where(mean == 0, 0.0, low), np.where(mean == 1, 1.0, high)


def newcombe_interval(
  mean_in: np.ndarray,
  num_in: np.ndarray,
  mean_out: np.ndarray,
  num_out: np.ndarray,
  confidence: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
  """Newcombe's interval (1998, method 10) of a difference of proportions.

  Args:
    mean_in, mean_out: the two proportions, any shape, in [0, 1].
    num_in, num_out: of how many.
    confidence: in (0, 1).

  Returns:
    Lower and upper limits of mean_in - mean_out; NaN where a count is 0.
  """
  low_in, high_in = wilson_interval(mean_in, num_in, confidence)
  low_out, high_out = wilson_interval(mean_out, num_out, confidence)
  difference = mean_in - mean_out
  below = np.sqrt((mean_in - low_in) ** 2 + (high_out - mean_out) ** 2)
  above = np.sqrt((high_in - mean_in) ** 2 + (mean_out - low_out) ** 2)
  return difference - below, difference + above


def _welch_interval(a, var_a, num_in, b, var_b, num_out, confidence):
  """Welch's interval (1947) of the difference of two means."""
  with np.errstate(divide="ignore", invalid="ignore"):
    part_a, part_b = var_a / num_in, var_b / num_out
    error = np.sqrt(part_a + part_b)
    degrees = (part_a + part_b) ** 2 / (
      part_a**2 / (num_in - 1) + part_b**2 / (num_out - 1)
    )
  degrees = np.where(error == 0, 1.0, degrees)
  half = stats.t.ppf(0.5 + confidence / 2, degrees) * error
  return error, a - b - half, a - b + half


def _variance(square, mean, count):
  """Unbiased variance from sums of squares; NaN under two runs."""
  with np.errstate(divide="ignore", invalid="ignore"):
    variance = (square - count * mean**2) / (count - 1)
  return np.where(count < 2, np.nan, np.maximum(variance, 0.0))


def _kind_of(outcome: np.ndarray) -> str:
  if outcome.dtype == bool or np.issubdtype(outcome.dtype, np.integer):
    return "correctness"
  return "label_probability"


def _checked(outcome: np.ndarray, kind: str) -> np.ndarray:
  """The outcome as float64, or a `ValueError` that says what it must be."""
  if outcome.dtype != bool and not np.issubdtype(outcome.dtype, np.number):
    raise ValueError(
      f"`outcome` must be numeric. Received: dtype {outcome.dtype}"
    )
  values = outcome.astype(np.float64)
  if not np.isfinite(values).all():
    raise ValueError("`outcome` must be finite. Received: NaN or infinity")
  if kind == "correctness" and not np.isin(values, (0.0, 1.0)).all():
    raise ValueError(
      "`outcome` of kind correctness must be 0 or 1. Received values from "
      f"{values.min()} to {values.max()}"
    )
  if kind == "label_probability" and values.size:
    low, high = values.min(), values.max()
    if low < 0 or high > 1:
      raise ValueError(
        "`outcome` must be in [0, 1] (or give outcome_kind='margin'). Received "
        f"values from {low} to {high}"
      )
  return values
