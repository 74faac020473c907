"""Influence from runs that are added one at a time, on any machine."""

import numpy as np

from memo_tf.estimators import influence
from memo_tf.estimators import outcomes


class InfluenceTally:
  """Influence scores from runs that are added one at a time.

  Tallies of several machines can be merged. A tally keeps the runs themselves,
  not sums over pairs: for correctness N + T bits per run (30 MB for 4,000 runs
  at N + T = 60,000), so memory does not grow with N * T. Scores are computed
  from integer counts, so the order of runs and merges changes no bit. Other
  outcomes are kept as float32, an error of at most 2^-24 of an outcome, so of
  2^-23 times the largest absolute outcome in an influence (plus float64
  rounding).

  Args:
    num_train: N.
    num_test: T.
    outcome_kind: as in `memorization_scores`; None takes the first run's kind.
  """

  def __init__(
    self, num_train: int, num_test: int, *, outcome_kind: str | None = None
  ):
    if num_train < 1 or num_test < 1:
      raise ValueError(
        "`num_train` and `num_test` must be at least 1. Received: "
        f"{num_train} and {num_test}"
      )
    self.num_train, self.num_test = num_train, num_test
    self.outcome_kind = outcome_kind
    self._masks: list[np.ndarray] = []
    self._outcomes: list[np.ndarray] = []

  def add(self, test_outcome: np.ndarray, in_mask: np.ndarray) -> None:
    """Adds one run: `test_outcome` `[T]` and `in_mask` `[N]` bool."""
    outcome, in_mask = np.asarray(test_outcome), np.asarray(in_mask)
    if outcome.shape != (self.num_test,) or in_mask.shape != (self.num_train,):
      raise ValueError(
        f"A run must be over {self.num_train} training and {self.num_test} "
        f"test examples. Received: {in_mask.shape} and {outcome.shape}"
      )
    if in_mask.dtype != bool:
      raise ValueError(
        f"`in_mask` must be boolean. Received: dtype {in_mask.dtype}"
      )
    kind = self.outcome_kind or outcomes.kind_of(outcome)
    values = outcomes.checked_outcome(outcome, kind)
    self.outcome_kind = kind
    packed = kind == "correctness"
    self._outcomes.append(
      np.packbits(values) if packed else values.astype(np.float32)
    )
    self._masks.append(np.packbits(in_mask))

  def merge(self, other: "InfluenceTally") -> None:
    """Adds all runs of another tally over the same examples."""
    if (other.num_train, other.num_test) != (self.num_train, self.num_test):
      raise ValueError(
        f"Tallies over {(self.num_train, self.num_test)} and "
        f"{(other.num_train, other.num_test)} examples cannot be merged."
      )
    kinds = {k for k in (self.outcome_kind, other.outcome_kind) if k}
    if len(kinds) > 1:
      raise ValueError(
        f"Tallies of {' and '.join(sorted(kinds))} cannot be merged."
      )
    self.outcome_kind = next(iter(kinds), None)
    self._masks += other._masks
    self._outcomes += other._outcomes

  def scores(
    self, **options
  ) -> influence.InfluenceScores | influence.InfluencePairs:
    """`influence_scores` of the runs so far, with its options."""
    if not self._masks:
      raise ValueError("A tally without runs has no influence scores.")
    masks = np.unpackbits(
      np.stack(self._masks), axis=1, count=self.num_train
    ).view(bool)
    outcome = np.stack(self._outcomes)
    if self.outcome_kind == "correctness":
      outcome = np.unpackbits(outcome, axis=1, count=self.num_test)
    return influence.influence_scores(
      outcome, masks, outcome_kind=self.outcome_kind, **options
    )
