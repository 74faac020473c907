"""Memorization scores from runs on random subsets.

How much likelier is a training example to be classified right by models that
saw it than by models that did not (Feldman, 2020, arXiv:1906.05271)? With runs
m on subsets, the estimate of Feldman & Zhang (2020, arXiv:2008.03703, algorithm
1) is, for example n,

    memorization[n] = mean(outcome[m, n] over m with in_mask[m, n])
                    - mean(outcome[m, n] over m without)

What it converges to, the *estimand*, is settled by the subsets:

* `conditional`: all subsets have the size s; models on s examples that include
  n against models on s examples without it.
* `paper`: the definition of Feldman & Zhang: s examples with n against s - 1
  without it. It takes runs of both sizes: those of size s give the in-term and
  those of size s - 1 the out-term.
* `bernoulli`: each example is in a subset independently. The others then have
  the same law with n and without it, and the score is the mean over them.

None is the score of models trained on all N examples. The n estimates share
their runs: they are not independent.
"""

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

OUTCOMES = ("correctness", "label_probability", "margin")
ESTIMANDS = ("conditional", "paper", "bernoulli")
# Rows whose 0s and 1s add up in uint8 without overflow.
_UINT8_ROWS = 255
_FLOAT_ROWS = 64


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
    estimand: `conditional`, `paper` or `bernoulli`, see the module.
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
  estimand: str = "conditional"

  def to_dataframe(self) -> pd.DataFrame:
    """A row an example, `example_id` first, columns as in the score files."""
    columns = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if field.name not in ("outcome", "estimand")
    }
    ids = np.arange(len(self.memorization))
    return pd.DataFrame({"example_id": ids, **columns})


def memorization_scores(
  outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  outcome_kind: str | None = None,
  confidence: float = 0.95,
  estimand: str = "conditional",
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
    estimand: one of `ESTIMANDS`. `paper` needs subsets of two sizes, s and
      s - 1, and uses of each those runs that its definition asks for; the
      others use all runs alike, and the name says what the subsets make of it.

  Returns:
    A `MemorizationScores` over the N examples.

  Raises:
    ValueError: if the shapes differ or are not rank 2, `in_mask` is not
      boolean, `outcome` is not of its kind or not finite, or `paper` is asked
      of subsets that do not have the sizes s and s - 1.
  """
  outcome, in_mask = np.asarray(outcome), np.asarray(in_mask)
  if outcome.ndim != 2 or outcome.shape != in_mask.shape:
    raise ValueError(
      "`outcome` and `in_mask` must both be [M, N]. Received: "
      f"{outcome.shape} and {in_mask.shape}"
    )
  size = None
  if estimand == "paper" and in_mask.size:
    size = int(in_mask.sum(axis=1).max())
  tally = MemorizationTally(
    outcome.shape[1],
    outcome_kind=outcome_kind,
    estimand=estimand,
    subset_size=size,
  )
  tally.add_many(outcome, in_mask)
  return tally.scores(confidence=confidence)


class MemorizationTally:
  """The same estimate from runs that come one at a time, on any machine.

  Keeps a few numbers an example. For correctness these are integer counts, so
  that order and merging change nothing to the bit. For the others they are
  float64 means and sums of squared deviations (Chan, Golub & LeVeque, 1983);
  however the runs are ordered and merged, a mean is off by at most
  (M + 2) * 2^-52 times the largest absolute outcome.

  Args:
    num_examples: N.
    outcome_kind: as in `memorization_scores`; None is settled by the first run.
    estimand: as in `memorization_scores`.
    subset_size: s, the larger of the two sizes; for `paper` only.
  """

  def __init__(
    self,
    num_examples: int,
    *,
    outcome_kind: str | None = None,
    estimand: str = "conditional",
    subset_size: int | None = None,
  ):
    if num_examples < 1:
      raise ValueError(
        f"`num_examples` must be at least 1. Received: {num_examples}"
      )
    if outcome_kind is not None and outcome_kind not in OUTCOMES:
      raise ValueError(
        f"`outcome_kind` must be one of {', '.join(OUTCOMES)}. "
        f"Received: {outcome_kind!r}"
      )
    if estimand not in ESTIMANDS:
      raise ValueError(
        f"`estimand` must be one of {', '.join(ESTIMANDS)}. "
        f"Received: {estimand!r}"
      )
    if (estimand == "paper") != (subset_size is not None):
      raise ValueError(
        "`subset_size` goes with the estimand `paper`, and only with it. "
        f"Received: estimand={estimand!r}, subset_size={subset_size}"
      )
    self.num_examples = num_examples
    self.outcome_kind = outcome_kind
    self.estimand = estimand
    self.subset_size = subset_size
    # Of the groups out and in, [2, N]: runs; right answers, or else mean and
    # sum of squared deviations from it.
    self._count = np.zeros((2, num_examples), np.int64)
    self._right = np.zeros((2, num_examples), np.int64)
    self._mean = np.zeros((2, num_examples))
    self._deviation = np.zeros((2, num_examples))

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
    kind = self.outcome_kind or kind_of(outcome)
    values = checked_outcome(outcome, kind)
    rows = self._rows_of_groups(in_mask)
    self.outcome_kind = kind
    if kind == "correctness":
      self._add_counts(values, in_mask, rows)
      return
    for group in (0, 1):
      for start in range(0, len(values), _FLOAT_ROWS):
        part = slice(start, start + _FLOAT_ROWS)
        members = in_mask[part] if group else ~in_mask[part]
        if rows is not None:
          members = members & rows[group][part, None]
        self._add_moments(group, values[part], members)

  def _rows_of_groups(self, in_mask):
    """Which runs serve the out- and the in-term; None where all do."""
    if self.subset_size is None:
      return None
    sizes = in_mask.sum(axis=1)
    rows = (sizes == self.subset_size - 1, sizes == self.subset_size)
    if not (rows[0] | rows[1]).all():
      raise ValueError(
        "The estimand `paper` takes subsets of s and s - 1 examples. Received: "
        f"s={self.subset_size} and subsets of {sizes.min()} to {sizes.max()}"
      )
    return rows

  def _add_counts(self, right, in_mask, rows) -> None:
    """Correctness: integer counts of 0s and 1s, uint8 `[M, N]`."""
    for start in range(0, len(right), _UINT8_ROWS):
      part = slice(start, start + _UINT8_ROWS)
      hits, inside = right[part], in_mask[part].view(np.uint8)
      if rows is None:
        runs, hits_in = len(inside), _add_rows(hits & inside)
        count_in, hits_out = _add_rows(inside), _add_rows(hits) - hits_in
        count_out = runs - count_in
      else:
        out_rows, in_rows = rows[0][part], rows[1][part]
        hits_in = _add_rows(hits[in_rows] & inside[in_rows])
        count_in = _add_rows(inside[in_rows])
        outside = 1 - inside[out_rows]
        hits_out = _add_rows(hits[out_rows] & outside)
        count_out = _add_rows(outside)
      self._count += np.stack([count_out, count_in])
      self._right += np.stack([hits_out, hits_in])

  def _add_moments(self, group, values, members) -> None:
    """Other outcomes: the moments of `members` of `values`, both `[M, N]`."""
    values = values.astype(np.float64)
    count = members.sum(axis=0)
    mean = np.where(members, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    deviation = np.where(members, np.square(values - mean), 0.0).sum(axis=0)
    self._merge_moments(group, count, mean, deviation)

  def _merge_moments(self, group, count, mean, deviation) -> None:
    """Chan's update of the moments of one group; all `[N]`."""
    before = self._count[group]
    total = before + count
    share = count / np.maximum(total, 1)
    step = mean - self._mean[group]
    self._mean[group] += step * share
    self._deviation[group] += deviation + np.square(step) * before * share
    self._count[group] = total

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
    mine, theirs = ((t.estimand, t.subset_size) for t in (self, other))
    if mine != theirs:
      raise ValueError(f"Tallies of {mine} and {theirs} cannot be merged.")
    self.outcome_kind = next(iter(kinds), None)
    if self.outcome_kind == "correctness":
      self._count += other._count
      self._right += other._right
      return
    for group in (0, 1):
      self._merge_moments(
        group, other._count[group], other._mean[group], other._deviation[group]
      )

  def scores(self, *, confidence: float = 0.95) -> MemorizationScores:
    """The scores of the runs so far."""
    if not 0 < confidence < 1:
      raise ValueError(
        f"`confidence` must be in (0, 1). Received: {confidence}"
      )
    num_out, num_in = self._count.copy()
    kind = self.outcome_kind or "correctness"
    if kind == "correctness":
      with np.errstate(divide="ignore", invalid="ignore"):
        mean_out, mean_in = self._right / self._count
      low, high = newcombe_interval(
        mean_in, num_in, mean_out, num_out, confidence
      )
      error = plug_in_error(mean_in, num_in, mean_out, num_out)
    else:
      mean_out, mean_in = np.where(self._count > 0, self._mean, np.nan)
      with np.errstate(divide="ignore", invalid="ignore"):
        variance_out, variance_in = np.where(
          self._count < 2, np.nan, self._deviation / (self._count - 1)
        )
      error, low, high = welch_interval(
        mean_in,
        variance_in,
        num_in,
        mean_out,
        variance_out,
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
      estimand=self.estimand,
    )


def _add_rows(bits: np.ndarray) -> np.ndarray:
  """Sums of at most 255 rows of 0s and 1s: in uint8, which is fast."""
  return np.add.reduce(bits, axis=0, dtype=np.uint8).astype(np.int64)


def plug_in_error(mean_in, num_in, mean_out, num_out) -> np.ndarray:
  """sqrt(a(1 - a) / num_in + b(1 - b) / num_out); NaN where a count is 0."""
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.sqrt(
      mean_in * (1 - mean_in) / num_in + mean_out * (1 - mean_out) / num_out
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


def welch_interval(a, var_a, num_in, b, var_b, num_out, confidence):
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


def kind_of(outcome: np.ndarray) -> str:
  """The kind of an outcome that does not say it."""
  if outcome.dtype == bool or np.issubdtype(outcome.dtype, np.integer):
    return "correctness"
  return "label_probability"


def checked_outcome(outcome: np.ndarray, kind: str) -> np.ndarray:
  """The outcome, as uint8 0 and 1 where it is correctness.

  Raises:
    ValueError: that says what it must be, if it is not of its kind.
  """
  if outcome.dtype == bool:
    values = outcome.view(np.uint8) if outcome.size else outcome.astype("u1")
    if kind == "correctness":
      return values
    return values.astype(np.float64)
  if not np.issubdtype(outcome.dtype, np.number) or np.iscomplexobj(outcome):
    raise ValueError(
      f"`outcome` must be numeric. Received: dtype {outcome.dtype}"
    )
  if not np.isfinite(outcome).all():
    raise ValueError("`outcome` must be finite. Received: NaN or infinity")
  if not outcome.size:
    return outcome.astype(np.uint8 if kind == "correctness" else np.float64)
  low, high = outcome.min(), outcome.max()
  if kind == "correctness":
    if not ((outcome == 0) | (outcome == 1)).all():
      raise ValueError(
        "`outcome` of kind correctness must be 0 or 1. Received values from "
        f"{low} to {high}"
      )
    return outcome.astype(np.uint8)
  if kind == "label_probability" and (low < 0 or high > 1):
    raise ValueError(
      "`outcome` must be in [0, 1] (or give outcome_kind='margin'). Received "
      f"values from {low} to {high}"
    )
  return outcome
