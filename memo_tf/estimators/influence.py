"""Influence of training examples on test examples, from the same runs.

How much likelier is test example t to be classified right by models that saw
training example n than by models that did not (Feldman & Zhang, 2020,
arXiv:2008.03703)? With runs m on subsets,

    influence[t, n] = mean(test_outcome[m, t] over m with in_mask[m, n])
                    - mean(test_outcome[m, t] over m without)

A training example's influence on itself is its memorization. For subsets of one
size, each row weighted by num_in * num_out sums to exactly 0: influence says
which examples help more than others, not whether data help at all.

**Null and q-values.** The null is that the outcomes of a test example do not
depend on which runs saw n, every assignment being equally likely; the
p-value is one-sided (influence above 0): for correctness the hypergeometric
tail of Fisher's exact test, for the others Welch's t. q-values are Benjamini &
Hochberg's (1995) over all pairs examined. Where only some pairs are kept, each
is ranked among the kept alone, which can only make its q-value larger.
"""

from collections.abc import Iterator
import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.estimators import memorization as memorization_lib

# Training examples in a block of the product: [block, T] float32 is 40 MB at
# T = 10,000, and blocks of this height reach the speed of one large product.
BLOCK = 1024
# Pairs whose moments or p-values are computed at a time.
_PAIRS = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluenceScores:
  """Every pair's influence; `[T, N]`. `np.asarray` of it is `influence`.

  Attributes:
    influence: float64 in [-1, 1] (any real for the margin); NaN where the
      training example was in all runs or in none.
    standard_error: as in `MemorizationScores`.
    q_value: see the module; NaN where the influence is.
    num_in, num_out: `[N]`, runs that saw each training example, and others.
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
    """A row a pair, in the columns of `influence.parquet`."""
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
  """The P pairs that were kept, most influential first; arrays are `[P]`.

  Attributes:
    train_ids, test_ids: int64.
    influence, standard_error, q_value: float64, see the module.
    num_tested: how many pairs were examined, over which q-values are taken.
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
    """A row a pair, in the columns of `influence.parquet`."""
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
  """`values` as an array `[length]`, or the default where there is none."""
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
    min_influence, top_k: where one is given, only such pairs are kept and
      memory does not grow with N * T, see `influential_pairs`.
    **pair_options: further arguments of `influential_pairs`.

  Returns:
    An `InfluenceScores` over all pairs; its five arrays take 8 bytes a pair
    each while they are made. Or an `InfluencePairs`.

  Raises:
    ValueError: as `memorization_scores`.
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
      "These options are of pairs: give `min_influence` or `top_k` too. "
      f"Received: {', '.join(pair_options)}"
    )
  runs = _Runs(test_outcome, in_mask, outcome_kind, estimand)
  shape = (runs.num_test, runs.num_train)
  influence, error, p_value = (np.empty(shape) for _ in range(3))
  for ids, sums in runs.blocks(np.arange(runs.num_train)):
    pair_train = np.repeat(ids, runs.num_test)
    pair_test = np.tile(np.arange(runs.num_test), len(ids))
    parts = runs.of_pairs(pair_train, pair_test, sums.ravel())
    for target, part in zip((influence, error, p_value), parts):
      target[:, ids] = part.reshape(len(ids), -1).T
  known = ~np.isnan(p_value)
  q_value = np.full(shape, np.nan)
  q_value[known] = q_values(p_value[known], int(known.sum()))
  return InfluenceScores(
    influence=influence,
    standard_error=error,
    q_value=q_value,
    num_in=runs.num_in,
    num_out=runs.num_out,
    outcome=runs.kind,
    estimand=estimand,
  )


def influential_pairs(
  test_outcome: np.ndarray,
  in_mask: np.ndarray,
  *,
  memorization: np.ndarray | None = None,
  train_labels: np.ndarray | None = None,
  test_labels: np.ndarray | None = None,
  min_memorization: float | None = 0.25,
  min_influence: float | None = 0.15,
  same_class: bool | None = None,
  top_k: int | None = None,
  outcome_kind: str | None = None,
  estimand: str = "conditional",
  block: int = BLOCK,
) -> InfluencePairs:
  """Keeps the pairs above the thresholds, block by block.

  Memory is that of the inputs, a float copy of `test_outcome`, `block` rows of
  T numbers, and the pairs kept; it does not grow with N * T.

  Args:
    test_outcome: `[M, T]`, as in `influence_scores`.
    in_mask: `[M, N]` bool.
    memorization: `[N]`, scores of the training examples, from the same runs.
      None does not ask for memorization.
    train_labels, test_labels: `[N]` and `[T]`; needed for `same_class`.
    min_memorization: keep training examples from this on; needs `memorization`.
      None keeps all. The default is Feldman & Zhang's.
    min_influence: keep pairs from this on. The default is Feldman & Zhang's.
      None keeps all that `top_k` leaves, and needs it.
    same_class: only pairs of equal labels, as Feldman & Zhang; None: if labels
      are given. Other pairs are then not computed.
    top_k: of what passes, only the k most influential of each test example;
      among equals those with the lowest training id.
    outcome_kind, estimand: as in `memorization_scores`.
    block: training examples at a time.

  Returns:
    An `InfluencePairs`, most influential first.

  Raises:
    ValueError: as `memorization_scores`; for labels or scores of a wrong
      length; if neither `min_influence` nor `top_k` limits the pairs.
  """
  runs = _Runs(test_outcome, in_mask, outcome_kind, estimand)
  if min_influence is None and top_k is None:
    raise ValueError(
      "`min_influence` or `top_k` must limit the pairs. Received neither"
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
    # Pairs that only memorization sets aside count as examined, too: the same
    # runs say what is memorized and what is influential.
    num_tested += len(tests) * int(trains.sum())
    best = _TopK(top_k, len(tests)) if top_k else None
    ids = np.flatnonzero(trains & eligible)
    if not len(ids) or not len(tests):
      continue
    for members, sums in runs.blocks(ids, tests, block):
      rows, columns, values = runs.above(members, tests, sums, floor, best)
      kept.append((members[rows], tests[columns], values))
    if best:  # a block kept its own best: now the best of all blocks
      kept = [runs.best_of(kept, top_k)]
  if kept:
    pair_train, pair_test, sums = (np.concatenate(part) for part in zip(*kept))
  else:
    pair_train = pair_test = np.zeros(0, np.int64)
    sums = np.zeros(0)
  influence, error, p_value = runs.of_pairs(pair_train, pair_test, sums)
  order = np.lexsort((pair_train, pair_test, -influence))
  return InfluencePairs(
    train_ids=pair_train[order],
    test_ids=pair_test[order],
    influence=influence[order],
    standard_error=error[order],
    q_value=q_values(p_value, num_tested)[order],
    num_tested=num_tested,
    outcome=runs.kind,
    estimand=estimand,
  )


def q_values(p_value: np.ndarray, num_tested: int) -> np.ndarray:
  """Benjamini & Hochberg's (1995) adjusted p-values.

  Args:
    p_value: `[P]` in [0, 1], without NaN.
    num_tested: of how many tests these are some; at least P. The others count
      as less significant than any of these.

  Returns:
    `[P]` in [0, 1]: the least false discovery rate at which each is found.
  """
  order = np.argsort(p_value)
  ranks = np.arange(1, len(order) + 1)
  adjusted = p_value[order] * num_tested / ranks
  adjusted = np.minimum.accumulate(adjusted[::-1])[::-1]
  result = np.empty(len(order))
  result[order] = np.minimum(adjusted, 1.0)
  return result


class InfluenceTally:
  """Runs that come one at a time, on any machine, for influence.

  Keeps the runs themselves, not sums over pairs: for correctness N + T bits a
  run (30 MB for 4,000 runs at N + T = 60,000), so memory does not grow with
  N * T. Scores are computed from integer counts, so order and merging change
  nothing to the bit. Other outcomes are kept as float32, an error of at most
  2^-24 of an outcome, so of 2^-23 times the largest absolute outcome in an
  influence (plus float64 rounding).

  Args:
    num_train: N.
    num_test: T.
    outcome_kind: as in `memorization_scores`; None is settled by the first run.
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
        f"A run over {self.num_train} training and {self.num_test} test "
        f"examples is needed. Received: {in_mask.shape} and {outcome.shape}"
      )
    if in_mask.dtype != bool:
      raise ValueError(
        f"`in_mask` must be boolean. Received: dtype {in_mask.dtype}"
      )
    kind = self.outcome_kind or memorization_lib.kind_of(outcome)
    values = memorization_lib.checked_outcome(outcome, kind)
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
    kinds = {self.outcome_kind, other.outcome_kind} - {None}
    if len(kinds) > 1:
      raise ValueError(
        f"Tallies of {' and '.join(sorted(kinds))} cannot be merged."
      )
    self.outcome_kind = next(iter(kinds), None)
    self._masks += other._masks
    self._outcomes += other._outcomes

  def scores(self, **options) -> InfluenceScores | InfluencePairs:
    """`influence_scores` of the runs so far, with its options."""
    if not self._masks:
      raise ValueError("A tally without runs has no influence scores.")
    masks = np.unpackbits(
      np.stack(self._masks), axis=1, count=self.num_train
    ).view(bool)
    outcome = np.stack(self._outcomes)
    if self.outcome_kind == "correctness":
      outcome = np.unpackbits(outcome, axis=1, count=self.num_test)
    return influence_scores(
      outcome, masks, outcome_kind=self.outcome_kind, **options
    )


class _Runs:
  """The checked runs, with products of blocks of training examples."""

  def __init__(self, test_outcome, in_mask, outcome_kind, estimand):
    outcome, in_mask = np.asarray(test_outcome), np.asarray(in_mask)
    if outcome.ndim != 2 or in_mask.ndim != 2 or len(outcome) != len(in_mask):
      raise ValueError(
        "`test_outcome` must be [M, T] and `in_mask` [M, N]. Received: "
        f"{outcome.shape} and {in_mask.shape}"
      )
    if in_mask.dtype != bool:
      raise ValueError(
        f"`in_mask` must be boolean. Received: dtype {in_mask.dtype}"
      )
    if outcome_kind not in (None, *memorization_lib.OUTCOMES):
      raise ValueError(
        "`outcome_kind` must be one of "
        f"{', '.join(memorization_lib.OUTCOMES)}. Received: {outcome_kind!r}"
      )
    if estimand not in ("conditional", "bernoulli"):
      raise ValueError(
        "`estimand` of influence must be conditional or bernoulli: for `paper`, "
        "score the runs of size s and s - 1 apart. Received: "
        f"{estimand!r}"
      )
    self.kind = outcome_kind or memorization_lib.kind_of(outcome)
    self.values = memorization_lib.checked_outcome(outcome, self.kind)
    self.in_mask = in_mask
    self.num_runs, self.num_train = in_mask.shape
    self.num_test = outcome.shape[1]
    ones = memorization_lib.MemorizationTally(max(self.num_train, 1))
    if self.num_train:
      ones.add_many(in_mask, in_mask)
    scores = ones.scores()
    self.num_in, self.num_out = scores.num_in, scores.num_out
    self.known = (self.num_in > 0) & (self.num_out > 0)
    # Sums of 0s and 1s are exact in float32 up to 2^24 runs.
    self.exact = self.kind == "correctness"
    self.dtype = np.float32 if self.exact else np.float64
    if not self.exact:
      # The sum of deviations loses no digits to a large common mean.
      centre = self.values.mean(axis=0, dtype=np.float64)
      self.values = self.values.astype(np.float64) - centre
    self.total = self.values.sum(
      axis=0, dtype=np.int64 if self.exact else np.float64
    )
    self._bounds: dict = {}

  def blocks(
    self, ids: np.ndarray, tests: np.ndarray | None = None, block: int = BLOCK
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (ids [b], sums [b, T]): outcomes summed over runs that saw them.

    The sums are overwritten by the next block.
    """
    every = tests is None or len(tests) == self.num_test
    outcome = self.values if every else self.values[:, tests]
    outcome = np.ascontiguousarray(outcome, self.dtype)
    self._bounds.clear()
    sums = np.empty((min(block, len(ids)), outcome.shape[1]), self.dtype)
    for start in range(0, len(ids), block):
      members = ids[start : start + block]
      consecutive = members[-1] - members[0] + 1 == len(members)
      columns = slice(members[0], members[-1] + 1) if consecutive else members
      # Contiguous from the start: BLAS takes the transpose as it is.
      inside = self.in_mask[:, columns].astype(self.dtype)
      target = sums[: len(members)]
      np.matmul(inside.T, outcome, out=target)
      yield members, target

  def above(self, members, tests, sums, floor, best):
    """(rows, columns, sums) of a block's pairs from an influence on.

    influence >= floor is sum >= num_in * (total + num_out * floor) / M, one
    comparison a pair; what passes with some slack is then settled exactly.
    """
    if best:
      influence = self._influence(members[:, None], tests, sums)
      rows, columns = best.candidates(influence, floor)
      return rows, columns, sums[rows, columns].astype(np.float64)
    found = []
    for row, example in enumerate(members):
      bound = self._bound(int(self.num_in[example]), tests, floor)
      columns = np.flatnonzero(sums[row] >= bound)
      if len(columns):
        found.append((np.full(len(columns), row), columns))
    if not found:
      none = np.zeros(0, np.int64)
      return none, none, np.zeros(0)
    rows, columns = (np.concatenate(part) for part in zip(*found))
    values = sums[rows, columns].astype(np.float64)
    exact = self._influence(members[rows], tests[columns], values)
    # An influence that is the floor in exact arithmetic passes it.
    passed = exact >= floor - 1e-12
    return rows[passed], columns[passed], values[passed]

  def _bound(self, num_in, tests, floor) -> np.ndarray:
    """Smallest sums that can pass, of examples with `num_in` runs; `[T]`."""
    if num_in not in self._bounds:
      if len(self._bounds) > 256:
        self._bounds.clear()
      num_out = self.num_runs - num_in
      exact = num_in * (self.total[tests] + num_out * floor) / self.num_runs
      slack = 1e-6 * (np.abs(exact) + 1)
      self._bounds[num_in] = (exact - slack).astype(self.dtype)
    return self._bounds[num_in]

  def _influence(self, train_ids, test_ids, sums) -> np.ndarray:
    """mean_in - mean_out of pairs; NaN where a group is empty."""
    num_in, num_out = self.num_in[train_ids], self.num_out[train_ids]
    sums = np.asarray(sums, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
      return sums / num_in - (self.total[test_ids] - sums) / num_out

  def best_of(self, kept, top_k):
    """Of kept (train_ids, test_ids, sums), the `top_k` best of each test."""
    train_ids, test_ids, sums = (np.concatenate(part) for part in zip(*kept))
    influence = self._influence(train_ids, test_ids, sums)
    order = np.lexsort((train_ids, -influence, test_ids))
    ordered = test_ids[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    chosen = order[place < top_k]
    return train_ids[chosen], test_ids[chosen], sums[chosen]

  def of_pairs(self, train_ids, test_ids, sums):
    """(influence, standard_error, p_value) of pairs; all `[P]`."""
    influence = self._influence(train_ids, test_ids, sums)
    error, p_value = np.full((2, len(train_ids)), np.nan)
    for start in range(0, len(train_ids), _PAIRS):
      part = slice(start, start + _PAIRS)
      pairs = train_ids[part], test_ids[part], np.asarray(sums[part], float)
      make = self._counts_error if self.exact else self._moments_error
      error[part], p_value[part] = make(*pairs)
    unknown = ~self.known[train_ids]
    error[unknown] = p_value[unknown] = np.nan
    return influence, error, p_value

  def _counts_error(self, train_ids, test_ids, hits):
    num_in, num_out = self.num_in[train_ids], self.num_out[train_ids]
    total = self.total[test_ids]
    with np.errstate(divide="ignore", invalid="ignore"):
      error = memorization_lib.plug_in_error(
        hits / num_in, num_in, (total - hits) / num_out, num_out
      )
    p_value = stats.hypergeom.sf(hits - 1, self.num_runs, total, num_in)
    return error, np.clip(p_value, 0.0, 1.0)

  def _moments_error(self, train_ids, test_ids, sums):
    num_in, num_out = self.num_in[train_ids], self.num_out[train_ids]
    inside = self.in_mask[:, train_ids]
    square = np.square(self.values[:, test_ids])
    square_in = np.where(inside, square, 0.0).sum(axis=0)
    rest = self.total[test_ids] - sums
    with np.errstate(divide="ignore", invalid="ignore"):
      mean_in, mean_out = sums / num_in, rest / num_out
      variance = [
        np.where(n < 2, np.nan, np.maximum(s - n * mean**2, 0.0) / (n - 1))
        for s, n, mean in (
          (square_in, num_in, mean_in),
          (square.sum(axis=0) - square_in, num_out, mean_out),
        )
      ]
      part_in, part_out = variance[0] / num_in, variance[1] / num_out
      error = np.sqrt(part_in + part_out)
      degrees = (part_in + part_out) ** 2 / (
        part_in**2 / (num_in - 1) + part_out**2 / (num_out - 1)
      )
      difference = mean_in - mean_out
      p_value = stats.t.sf(difference / error, degrees)
    # Without any spread a difference is certain, and none is none.
    flat = error == 0
    p_value[flat] = np.where(difference[flat] > 0, 0.0, 1.0)
    # A group of one run has no variance: nothing speaks against the null.
    p_value[np.isnan(p_value)] = 1.0
    return error, p_value


class _TopK:
  """Which pairs of a block may be among the k best of their test example."""

  def __init__(self, k: int, num_test: int):
    self.k = k
    self.seen = 0
    self.worst = np.full(num_test, -np.inf)  # of the best k of any block

  def candidates(self, influence: np.ndarray, floor: float):
    """(rows, columns) of influence `[b, T]` from the k-th best on."""
    rows = len(influence)
    limit = np.full(influence.shape[1], -np.inf)
    if rows > self.k:
      limit = np.partition(influence, rows - self.k, axis=0)[rows - self.k]
    limit = np.maximum(limit, self.worst)
    if rows >= self.k:
      self.worst = limit
    limit = np.maximum(limit, floor - 1e-12)
    # Ties within a block are cut here; later ids lose ties between blocks.
    passed = influence >= limit
    rows, columns = np.nonzero(passed)
    order = np.lexsort((rows, -influence[rows, columns], columns))
    rows, columns = rows[order], columns[order]
    first = np.searchsorted(columns, columns)
    chosen = np.arange(len(columns)) - first < self.k
    return rows[chosen], columns[chosen]
