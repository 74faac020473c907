"""Memorization scores from runs on random subsets.

How much likelier is a training example to be classified correctly by models
that trained on it than by models that did not (Feldman, 2020,
arXiv:1906.05271)? With runs m on subsets, the estimate of Feldman & Zhang
(2020, arXiv:2008.03703, algorithm 1) is, for example n,

    memorization[n] = mean(outcome[m, n] over m with in_mask[m, n])
                    - mean(outcome[m, n] over m without)

What it converges to, the *estimand*, depends on how the subsets are drawn:

* `conditional`: all subsets have the size s; models on s examples that include
  n against models on s examples without it.
* `paper`: the definition of Feldman & Zhang: s examples with n against s - 1
  without it. It takes runs of both sizes: those of size s give the in-term and
  those of size s - 1 the out-term.
* `bernoulli`: each example is in a subset independently. The other examples
  then have the same distribution with n and without it, and the score is the
  mean over them.

None is the score of models trained on all N examples. The N estimates share
their runs: they are not independent.

The estimator, its tally and its result are one idea: hence the length.
"""

import dataclasses

import numpy as np
import pandas as pd

from memo_tf.estimators import in_out
from memo_tf.estimators import intervals
from memo_tf.estimators import outcomes

ESTIMANDS = ("conditional", "paper", "bernoulli")
# Rows whose moments are taken at a time.
_FLOAT_ROWS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemorizationScores:
  """Memorization of N examples with its uncertainty; every array is `[N]`.

  Attributes:
    memorization: in_accuracy - out_accuracy, float64 in [-1, 1] (any real for
      the margin); NaN where either group is empty.
    in_accuracy: mean outcome of the runs that trained on the example; NaN if
      there are none.
    out_accuracy: mean outcome of the other runs; NaN if there are none.
    num_in, num_out: number of runs in each group, int64.
    standard_error: of memorization. For correctness the plug-in
      sqrt(a(1 - a) / num_in + b(1 - b) / num_out), which is 0 where both groups
      are unanimous, while the interval has a width. For other outcomes
      Welch's, NaN where a group has fewer than two runs.
    ci_low, ci_high: 95 % confidence interval: Newcombe's hybrid score interval
      (1998, method 10) for correctness, Welch's for other outcomes.
    outcome: `correctness`, `label_probability` or `margin`.
    estimand: `conditional`, `paper` or `bernoulli`; see the module docstring.
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
    """Table with one row per example, columns as in the score files."""
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
    outcome_kind: one of `outcomes.OUTCOMES`; None takes correctness for
      booleans and integers, label_probability for floats.
    confidence: of the intervals, in (0, 1).
    estimand: one of `ESTIMANDS`. `paper` needs subsets of two sizes, s and
      s - 1, and takes each term from the runs of its own size; the others
      use all runs alike, and only say how the subsets were drawn.

  Returns:
    A `MemorizationScores` over the N examples.

  Raises:
    ValueError: if the shapes differ or are not rank 2, `in_mask` is not
      boolean, `outcome` is not of its kind or not finite, or the estimand is
      `paper` and the subsets do not have the sizes s and s - 1.

  Example:
    >>> import numpy as np
    >>> from memo_tf import estimators
    >>> correct = np.array([[1, 1], [1, 0], [0, 1], [1, 1]], bool)
    >>> in_mask = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    >>> scores = estimators.memorization_scores(correct, in_mask)
    >>> scores.memorization
    array([0.5, 0.5])
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
  """Memorization scores from runs that are added one at a time.

  Tallies of several machines can be merged. A tally keeps a few numbers per
  example. For correctness these are integer counts, so that the order of runs
  and merges changes no bit. For other outcomes they are float64 means and sums
  of squared deviations (Chan, Golub & LeVeque, 1983); however the runs are
  ordered and merged, a mean is off by at most (M + 2) * 2^-52 times the
  largest absolute outcome.

  Args:
    num_examples: N.
    outcome_kind: as in `memorization_scores`; None takes the first run's kind.
    estimand: as in `memorization_scores`.
    subset_size: s, the larger of the two sizes; for the estimand `paper` only.

  Example:
    >>> import numpy as np
    >>> from memo_tf import estimators
    >>> tally = estimators.MemorizationTally(num_examples=2)
    >>> tally.add(np.array([True, False]), np.array([True, False]))
    >>> tally.add(np.array([False, True]), np.array([False, True]))
    >>> tally.scores().memorization
    array([1., 1.])
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
    if outcome_kind is not None and outcome_kind not in outcomes.OUTCOMES:
      raise ValueError(
        f"`outcome_kind` must be one of {', '.join(outcomes.OUTCOMES)}. "
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
    # Of the out- and the in-group, [2, N]: number of runs; for correctness the
    # correct ones, for other outcomes the mean and the sum of squared
    # deviations from it.
    self._count = np.zeros((2, num_examples), np.int64)
    self._correct = np.zeros((2, num_examples), np.int64)
    self._mean = np.zeros((2, num_examples))
    self._squares = np.zeros((2, num_examples))

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
        f"Runs must be over {self.num_examples} examples. Received: "
        f"outcome {outcome.shape}, in_mask {in_mask.shape}"
      )
    if in_mask.dtype != bool:
      raise ValueError(
        f"`in_mask` must be boolean. Received: dtype {in_mask.dtype}"
      )
    kind = self.outcome_kind or outcomes.kind_of(outcome)
    values = outcomes.checked_outcome(outcome, kind)
    rows = self._rows_of_groups(in_mask)
    self.outcome_kind = kind
    if kind == "correctness":
      self._add_counts(values.view(bool), in_mask, rows)
      return
    for group in (0, 1):
      for start in range(0, len(values), _FLOAT_ROWS):
        part = slice(start, start + _FLOAT_ROWS)
        members = in_mask[part] if group else ~in_mask[part]
        if rows is not None:
          members = members & rows[group][part, None]
        self._add_moments(group, values[part], members)

  def _rows_of_groups(
    self, in_mask: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray] | None:
    """Runs of the out- and the in-term, bool `[M]`; None: all are in both."""
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

  def _add_counts(self, correct, in_mask, rows) -> None:
    """Adds runs whose outcome is correctness, bool `[M, N]`."""
    if rows is None:
      groups = [in_out.in_out_sums(correct, in_mask)] * 2
    else:
      groups = [in_out.in_out_sums(correct[r], in_mask[r]) for r in rows]
    self._count += np.stack([groups[0].num_out, groups[1].num_in])
    self._correct += np.stack([groups[0].sum_out, groups[1].sum_in])

  def _add_moments(self, group, values, members) -> None:
    """Adds the moments of `values` `[M, N]` where `members` holds."""
    values = values.astype(np.float64)
    count = members.sum(axis=0)
    mean = np.where(members, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(members, np.square(values - mean), 0.0).sum(axis=0)
    self._merge_moments(group, count, mean, squares)

  def _merge_moments(self, group, count, mean, squares) -> None:
    """Merges moments `[N]` into those of one group (Chan et al., 1983)."""
    before = self._count[group]
    total = before + count
    share = count / np.maximum(total, 1)
    step = mean - self._mean[group]
    self._mean[group] += step * share
    self._squares[group] += squares + np.square(step) * before * share
    self._count[group] = total

  def merge(self, other: "MemorizationTally") -> None:
    """Adds all runs of another tally over the same examples."""
    if other.num_examples != self.num_examples:
      raise ValueError(
        f"Tallies over {self.num_examples} and {other.num_examples} examples "
        "cannot be merged."
      )
    kinds = {k for k in (self.outcome_kind, other.outcome_kind) if k}
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
      self._correct += other._correct
      return
    for group in (0, 1):
      self._merge_moments(
        group, other._count[group], other._mean[group], other._squares[group]
      )

  def moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the out- and the in-group: number, mean, and squares of outcomes.

    Returns:
      `[2, N]` each: number of runs; their mean outcome, NaN without runs; sum
      of squared differences from it.
    """
    count = self._count.copy()
    if self.outcome_kind == "correctness":
      with np.errstate(divide="ignore", invalid="ignore"):
        mean = self._correct / count
        return count, mean, self._correct * (1 - mean)
    mean = np.where(count > 0, self._mean, np.nan)
    return count, mean, self._squares.copy()

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
        mean_out, mean_in = self._correct / self._count
      low, high = intervals.newcombe_interval(
        mean_in, num_in, mean_out, num_out, confidence
      )
      error = intervals.plug_in_error(mean_in, num_in, mean_out, num_out)
    else:
      mean_out, mean_in = np.where(self._count > 0, self._mean, np.nan)
      with np.errstate(divide="ignore", invalid="ignore"):
        variance_out, variance_in = np.where(
          self._count < 2, np.nan, self._squares / (self._count - 1)
        )
      error, low, high = intervals.welch_interval(
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
