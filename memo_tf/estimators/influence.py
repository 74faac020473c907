"""Influence of training examples on test examples, from the same runs.

How much likelier is test example t to be classified correctly by models that
trained on training example n than by models that did not (Feldman & Zhang,
2020, arXiv:2008.03703)? With runs m on subsets,

    influence[t, n] = mean(test_outcome[m, t] over m with in_mask[m, n])
                    - mean(test_outcome[m, t] over m without)

A training example's influence on itself is its memorization. For subsets of one
size, each row weighted by num_in * num_out sums to exactly 0: influence says
which examples help more than others, not whether data help at all. (This does
not hold for the estimand `paper`, whose two groups have subsets of different
sizes.)

**Null hypothesis and q-values.** The null hypothesis is that the outcomes of a
test example do not depend on which runs trained on n, every assignment being
equally likely. The p-value is one-sided (influence above 0): for correctness
the hypergeometric tail of Fisher's exact test, for other outcomes Welch's t.
q-values are Benjamini & Hochberg's (1995) over all pairs tested. Where only
some pairs are kept, each is ranked among the kept pairs alone, which can only
make its q-value larger.

**Selected pairs.** Pairs that are kept because their estimate is high have
estimates that are too high (winner's curse). They are not corrected: with a
q-value above 0.05 a pair is no evidence of influence at all.
"""

import dataclasses
from typing import Literal

import numpy as np
import pandas as pd

from memo_tf.estimators import influence_products as products
from memo_tf.estimators import q_values as q_values_lib

# Feldman & Zhang's thresholds.
MIN_MEMORIZATION, MIN_INFLUENCE = 0.25, 0.15


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluenceScores:
  """Influence of every pair, `[T, N]`; `np.asarray` of it is `influence`.

  Attributes:
    influence: float64 in [-1, 1] (any real for the margin); NaN where the
      training example was in all runs or in none.
    standard_error: as in `MemorizationScores`.
    q_value: see the module docstring; NaN where the influence is.
    num_in, num_out: `[N]`, number of runs that trained on each training
      example, and of the other runs.
    outcome, estimand: as in `MemorizationScores`.
  """

  influence: np.ndarray
  standard_error: np.ndarray
  q_value: np.ndarray
  num_in: np.ndarray
  num_out: np.ndarray
  outcome: str = "correctness"
  estimand: str = "conditional"

  def __array__(self, dtype=None, copy=None):
    return np.array(self.influence, dtype=dtype)

  def to_dataframe(self) -> pd.DataFrame:
    """Table with one row per pair, columns as in `influence.parquet`."""
    num_test, num_train = self.influence.shape
    return pd.DataFrame(
      {
        "train_id": np.tile(np.arange(num_train), num_test),
        "test_id": np.repeat(np.arange(num_test), num_train),
        "influence": self.influence.ravel(),
        "standard_error": self.standard_error.ravel(),
        "q_value": self.q_value.ravel(),
      }
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluencePairs:
  """Influence of P selected pairs, most influential first; arrays are `[P]`.

  Attributes:
    train_ids, test_ids: int64.
    influence, standard_error, q_value: float64; see the module docstring.
    num_tested: number of pairs tested, over which q-values are taken.
    outcome, estimand: as in `MemorizationScores`.
  """

  train_ids: np.ndarray
  test_ids: np.ndarray
  influence: np.ndarray
  standard_error: np.ndarray
  q_value: np.ndarray
  num_tested: int
  outcome: str = "correctness"
  estimand: str = "conditional"

  def __len__(self) -> int:
    return len(self.train_ids)

  def to_dataframe(self) -> pd.DataFrame:
    """Table with one row per pair, columns as in `influence.parquet`."""
    return pd.DataFrame(
      {
        "train_id": self.train_ids,
        "test_id": self.test_ids,
        "influence": self.influence,
        "standard_error": self.standard_error,
        "q_value": self.q_value,
      }
    )


def _checked_length(name, values, length, default) -> np.ndarray:
  """Array `[length]` of `values`, or `default(length)` if they are None."""
  if values is None:
    return default(length)
  values = np.asarray(values)
  if values.shape != (length,):
    raise ValueError(f"`{name}` must be [{length}]. Received: {values.shape}")
  return values


def influence_scores(
  test_outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  outcome_kind: str | None = None,
  estimand: str = "conditional",
  min_influence: float | None = None,
  top_k: int | None = None,
  **pair_options,
) -> InfluenceScores | InfluencePairs:
  """Estimates the influence of every training on every test example.

  Args:
    test_outcome: `[M, T]`, what run m achieved on test example t: correctness
      (bool or 0 and 1), label probability, or margin.
    in_mask: `[M, N]` bool, whether run m trained on example n.
    outcome_kind, estimand: as in `memorization_scores`.
    min_influence, top_k: if one is given, only pairs that pass are kept, and
      memory does not grow with N * T; see `influential_pairs`.
    **pair_options: further arguments of `influential_pairs`.

  Returns:
    An `InfluenceScores` over all pairs, which takes about 40 bytes per pair
    while it is computed; with `min_influence` or `top_k` an `InfluencePairs`.

  Raises:
    ValueError: as `memorization_scores`.

  Example:
    >>> import numpy as np
    >>> from memo_tf import estimators
    >>> test_correct = np.array([[1], [1], [0], [0]], bool)
    >>> in_mask = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    >>> estimators.influence_scores(test_correct, in_mask).influence
    array([[ 1., -1.]])
  """
  if min_influence is not None or top_k is not None:
    return influential_pairs(
      test_outcome,
      in_mask,
      outcome_kind=outcome_kind,
      estimand=estimand,
      min_influence=min_influence,
      top_k=top_k,
      **pair_options,
    )
  if pair_options:
    raise ValueError(
      "These options select pairs: give `min_influence` or `top_k` too. "
      f"Received: {', '.join(pair_options)}"
    )
  runs = products.PairwiseRuns(test_outcome, in_mask, outcome_kind, estimand)
  shape = (runs.num_test, runs.num_train)
  influence, error, p_value = (np.empty(shape) for _ in range(3))
  for ids, sums in runs.blocks(np.arange(runs.num_train)):
    pair_train = np.repeat(ids, runs.num_test)
    pair_test = np.tile(np.arange(runs.num_test), len(ids))
    parts = runs.of_pairs(pair_train, pair_test, sums.reshape(len(sums), -1))
    for target, part in zip((influence, error, p_value), parts):
      target[:, ids] = part.reshape(len(ids), -1).T
  known = ~np.isnan(p_value)
  q_value = np.full(shape, np.nan)
  q_value[known] = q_values_lib.q_values(p_value[known], int(known.sum()))
  return InfluenceScores(
    influence=influence,
    standard_error=error,
    q_value=q_value,
    num_in=runs.num_in,
    num_out=runs.num_out,
    outcome=runs.kind,
    estimand=estimand,
  )


# Over 60 lines: the arguments are checked one by one before the product.
def influential_pairs(
  test_outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  memorization: np.ndarray | None = None,
  train_labels: np.ndarray | None = None,
  test_labels: np.ndarray | None = None,
  min_memorization: float | Literal["auto"] | None = "auto",
  min_influence: float | Literal["auto"] | None = "auto",
  same_class: bool | None = None,
  top_k: int | None = None,
  outcome_kind: str | None = None,
  estimand: str = "conditional",
  block: int = products.BLOCK,
) -> InfluencePairs:
  """Pairs of a training and a test example with high influence.

  Memory is that of the inputs, a float copy of `test_outcome`, `block` rows of
  T numbers, and the pairs kept; it does not grow with N * T.

  Args:
    test_outcome: `[M, T]`, as in `influence_scores`.
    in_mask: `[M, N]` bool.
    memorization: `[N]`, scores of the training examples, from the same runs;
      None keeps training examples of any memorization.
    train_labels, test_labels: `[N]` and `[T]`; needed for `same_class`.
    min_memorization: least memorization of a pair's training example; None
      sets no limit. "auto" is Feldman & Zhang's 0.25, or None with `top_k`.
    min_influence: least influence of a pair; None sets no limit and needs
      `top_k`. "auto" is Feldman & Zhang's 0.15, or None with `top_k`.
    same_class: only pairs of equal labels, as in Feldman & Zhang; other pairs
      are not computed. None: if labels are given.
    top_k: keep only the k most influential pairs of each test example; ties
      go to the lowest training id.
    outcome_kind, estimand: as in `memorization_scores`.
    block: number of training examples per matrix product.

  Returns:
    An `InfluencePairs`, most influential first.

  Raises:
    ValueError: as `memorization_scores`; if labels or scores have a wrong
      length; if neither `min_influence` nor `top_k` is given.
  """
  runs = products.PairwiseRuns(test_outcome, in_mask, outcome_kind, estimand)
  if min_memorization == "auto":
    min_memorization = None if top_k else MIN_MEMORIZATION
  if min_influence == "auto":
    min_influence = None if top_k else MIN_INFLUENCE
  if min_influence is None and top_k is None:
    raise ValueError(
      "`min_influence` or `top_k` must limit the pairs. Received: neither"
    )
  if top_k is not None and top_k < 1:
    raise ValueError(f"`top_k` must be at least 1. Received: {top_k}")
  if block < 1:
    raise ValueError(f"`block` must be at least 1. Received: {block}")
  if same_class is None:
    same_class = train_labels is not None and test_labels is not None
  if same_class and (train_labels is None or test_labels is None):
    raise ValueError("`same_class` needs `train_labels` and `test_labels`.")
  train_labels = _checked_length(
    "train_labels", train_labels, runs.num_train, np.zeros
  )
  test_labels = _checked_length(
    "test_labels", test_labels, runs.num_test, np.zeros
  )
  eligible = runs.known.copy()
  if memorization is not None and min_memorization is not None:
    scores = _checked_length("memorization", memorization, runs.num_train, None)
    eligible &= np.nan_to_num(scores, nan=-np.inf) >= min_memorization
  classes = np.unique(train_labels) if same_class else [None]
  floor = -np.inf if min_influence is None else min_influence
  kept, num_tested = [], 0
  for label in classes:
    tests, trains = np.arange(runs.num_test), runs.known
    if label is not None:
      tests = np.flatnonzero(test_labels == label)
      trains = trains & (train_labels == label)
    # Pairs that only `min_memorization` excludes count as tested, too: the
    # same runs decide what is memorized and what is influential.
    num_tested += len(tests) * int(trains.sum())
    best = products.TopK(top_k, len(tests)) if top_k else None
    ids = np.flatnonzero(trains & eligible)
    if not len(ids) or not len(tests):
      continue
    for members, sums in runs.blocks(ids, tests, block):
      rows, columns, values = runs.above(members, tests, sums, floor, best)
      kept.append((members[rows], tests[columns], values))
    if best:  # each block kept its own best; reduce to the best of all blocks
      kept = [runs.best_of(kept, best.k)]
  if kept:
    pair_train, pair_test, sums = products.concatenate_pairs(kept)
  else:
    pair_train = pair_test = np.zeros(0, np.int64)
    sums = np.zeros((1, 0))
  influence, error, p_value = runs.of_pairs(pair_train, pair_test, sums)
  order = np.lexsort((pair_train, pair_test, -influence))
  return InfluencePairs(
    train_ids=pair_train[order],
    test_ids=pair_test[order],
    influence=influence[order],
    standard_error=error[order],
    q_value=q_values_lib.q_values(p_value, num_tested)[order],
    num_tested=num_tested,
    outcome=runs.kind,
    estimand=estimand,
  )
