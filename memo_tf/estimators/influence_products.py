"""Matrix products behind influence, one block of training examples at a time.

With A the runs whose in-group counts and B those whose out-group does,

    hits_in[n, t]  = sum over m in A of in_mask[m, n] * outcome[m, t]
    hits_out[n, t] = sum over m in B of (1 - in_mask[m, n]) * outcome[m, t]
    influence      = hits_in / num_in - hits_out / num_out

For the estimands `conditional` and `bernoulli` A and B are all runs, so
hits_out = total - hits_in and one product suffices. For `paper` A are the runs
on s examples and B those on s - 1 (Feldman & Zhang, 2020): two products of half
the runs each.
"""

from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
from scipy import stats

from memo_tf.estimators import intervals
from memo_tf.estimators import memorization as memorization_lib
from memo_tf.estimators import outcomes as outcomes_lib

# Training examples in a block of the product: [block, T] float32 is 40 MB at
# T = 10,000, and blocks of this height reach the speed of one large product.
BLOCK = 1024
# Pairs whose moments or p-values are computed at a time.
_PAIRS = 4096
# Ids of training and of test examples, `[P]`, and sums `[groups, P]`.
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def checked_runs(
  values: np.ndarray, in_mask: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Values `[M, T]` of test examples, the argument `name`, and `in_mask`.

  Raises:
    ValueError: if shapes do not agree or `in_mask` is not boolean.
  """
  values, in_mask = np.asarray(values), np.asarray(in_mask)
  if values.ndim != 2 or in_mask.ndim != 2 or len(values) != len(in_mask):
    raise ValueError(
      f"`{name}` must be [M, T] and `in_mask` [M, N]. Received: "
      f"{values.shape} and {in_mask.shape}"
    )
  if in_mask.dtype != bool:
    raise ValueError(
      f"`in_mask` must be boolean. Received: dtype {in_mask.dtype}"
    )
  return values, in_mask


class PairwiseRuns:
  """Checked runs, and sums over them for blocks of training examples.

  Args:
    test_outcome: `[M, T]`, as in `influence_scores`.
    in_mask: `[M, N]` bool.
    outcome_kind, estimand: as in `memorization_scores`.

  Attributes:
    kind: of the outcome.
    num_train, num_test: N and T.
    num_in, num_out: `[N]`, number of runs in an example's in- and out-group.
    known: `[N]` bool, where neither is 0.

  Raises:
    ValueError: as `memorization_scores`.
  """

  def __init__(
    self,
    test_outcome: np.ndarray,
    in_mask: np.ndarray,
    outcome_kind: str | None,
    estimand: str,
  ):
    outcome, in_mask = checked_runs(test_outcome, in_mask, "test_outcome")
    if outcome_kind not in (None, *outcomes_lib.OUTCOMES):
      raise ValueError(
        "`outcome_kind` must be one of "
        f"{', '.join(outcomes_lib.OUTCOMES)}. Received: {outcome_kind!r}"
      )
    if estimand not in memorization_lib.ESTIMANDS:
      raise ValueError(
        "`estimand` must be one of "
        f"{', '.join(memorization_lib.ESTIMANDS)}. Received: {estimand!r}"
      )
    self.kind = outcome_kind or outcomes_lib.kind_of(outcome)
    values = outcomes_lib.checked_outcome(outcome, self.kind)
    self.num_train, self.num_test = in_mask.shape[1], outcome.shape[1]
    size = None
    if estimand == "paper":
      size = int(in_mask.sum(axis=1).max(initial=0))
    counts = memorization_lib.MemorizationTally(
      max(self.num_train, 1), estimand=estimand, subset_size=size
    )
    if self.num_train:
      counts.add_many(in_mask, in_mask)  # checks the sizes for `paper`
    counted = counts.scores()
    self.num_in, self.num_out = counted.num_in, counted.num_out
    self.known = (self.num_in > 0) & (self.num_out > 0)
    # Sums of 0s and 1s are exact in float32 up to 2^24 runs.
    self.exact = self.kind == "correctness"
    self.dtype = np.float32 if self.exact else np.float64
    if not self.exact:
      # Centred, so that a large common mean costs no digits.
      centre = values.mean(axis=0, dtype=np.float64)
      values = values.astype(np.float64) - centre
    # (mask, outcome) of the runs A and B; one entry where they are the same.
    if size is not None:
      sizes = in_mask.sum(axis=1)
      self._groups = [
        (in_mask[rows], values[rows])
        for rows in (sizes == size, sizes == size - 1)
      ]
    else:
      self._groups = [(in_mask, values)]
    self._total_out = self._groups[-1][1].sum(
      axis=0, dtype=np.int64 if self.exact else np.float64
    )
    self._bounds: dict = {}

  def blocks(
    self, ids: np.ndarray, tests: np.ndarray | None = None, block: int = BLOCK
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sums of outcomes over the runs of each group that trained on an example.

    Args:
      ids: training examples.
      tests: test examples; None: all.
      block: number of training examples per product.

    Yields:
      Ids `[b]` of a block and sums `[groups, b, T]`, which the next block
      overwrites.
    """
    every = tests is None or len(tests) == self.num_test
    outcomes = [
      np.ascontiguousarray(values if every else values[:, tests], self.dtype)
      for _, values in self._groups
    ]
    self._bounds.clear()
    shape = (len(outcomes), min(block, len(ids)), outcomes[0].shape[1])
    sums = np.empty(shape, self.dtype)
    for start in range(0, len(ids), block):
      members = ids[start : start + block]
      consecutive = members[-1] - members[0] + 1 == len(members)
      columns = slice(members[0], members[-1] + 1) if consecutive else members
      target = sums[:, : len(members)]
      for (mask, _), outcome, out in zip(self._groups, outcomes, target):
        # Contiguous from the start: BLAS takes the transpose as it is.
        inside = mask[:, columns].astype(self.dtype)
        np.matmul(inside.T, outcome, out=out)
      yield members, target

  def above(
    self,
    members: np.ndarray,
    tests: np.ndarray,
    sums: np.ndarray,
    floor: float,
    best: "TopK | None",
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, columns, sums `[groups, P]`) of a block's pairs from a floor on.

    With one group, influence >= floor is sum >= num_in * (total + num_out *
    floor) / M: one comparison per pair. Pairs that pass it with some slack are
    then computed exactly.
    """
    if best or len(sums) > 1:
      influence = self._influence(members[:, None], tests, sums)
      if best:
        rows, columns = best.candidates(influence, floor)
      else:
        rows, columns = np.nonzero(influence >= floor - 1e-12)
      return rows, columns, sums[:, rows, columns].astype(np.float64)
    found = []
    for row, example in enumerate(members):
      bound = self._bound(int(self.num_in[example]), tests, floor)
      columns = np.flatnonzero(sums[0, row] >= bound)
      if len(columns):
        found.append((np.full(len(columns), row), columns))
    if not found:
      none = np.zeros(0, np.int64)
      return none, none, np.zeros((1, 0))
    rows, columns = (np.concatenate(part) for part in zip(*found))
    values = sums[:, rows, columns].astype(np.float64)
    exact = self._influence(members[rows], tests[columns], values)
    # An influence that is the floor in exact arithmetic passes it.
    passed = exact >= floor - 1e-12
    return rows[passed], columns[passed], values[:, passed]

  def _bound(self, num_in, tests, floor) -> np.ndarray:
    """Smallest sums that can pass, of examples with `num_in` runs; `[T]`."""
    if num_in not in self._bounds:
      if len(self._bounds) > 256:
        self._bounds.clear()
      num_runs = len(self._groups[0][0])
      spread = (num_runs - num_in) * floor
      exact = num_in * (self._total_out[tests] + spread) / num_runs
      slack = 1e-6 * (np.abs(exact) + 1)
      self._bounds[num_in] = (exact - slack).astype(self.dtype)
    return self._bounds[num_in]

  def _hits(self, test_ids, sums):
    """(hits_in, hits_out) of pairs with these sums."""
    sums = np.asarray(sums, np.float64)
    return sums[0], self._total_out[test_ids] - sums[-1]

  def _influence(self, train_ids, test_ids, sums) -> np.ndarray:
    """mean_in - mean_out of pairs; NaN where a group is empty."""
    hits_in, hits_out = self._hits(test_ids, sums)
    with np.errstate(divide="ignore", invalid="ignore"):
      return (
        hits_in / self.num_in[train_ids] - hits_out / (self.num_out[train_ids])
      )

  def best_of(
    self, kept: Sequence[Pairs], top_k: int
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `top_k` most influential of the kept pairs of each test example."""
    train_ids, test_ids, sums = concatenate_pairs(kept)
    influence = self._influence(train_ids, test_ids, sums)
    order = np.lexsort((train_ids, -influence, test_ids))
    ordered = test_ids[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    chosen = order[rank < top_k]
    return train_ids[chosen], test_ids[chosen], sums[:, chosen]

  def of_pairs(
    self, train_ids: np.ndarray, test_ids: np.ndarray, sums: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(influence, standard_error, p_value) of pairs; all `[P]`."""
    sums = np.asarray(sums, np.float64)
    influence = self._influence(train_ids, test_ids, sums)
    error, p_value = np.full((2, len(train_ids)), np.nan)
    for start in range(0, len(train_ids), _PAIRS):
      part = slice(start, start + _PAIRS)
      pairs = train_ids[part], test_ids[part], sums[:, part]
      make = self._counts_error if self.exact else self._moments_error
      error[part], p_value[part] = make(*pairs)
    unknown = ~self.known[train_ids]
    error[unknown] = p_value[unknown] = np.nan
    return influence, error, p_value

  def _counts_error(self, train_ids, test_ids, sums):
    num_in, num_out = self.num_in[train_ids], self.num_out[train_ids]
    hits_in, hits_out = self._hits(test_ids, sums)
    with np.errstate(divide="ignore", invalid="ignore"):
      error = intervals.plug_in_error(
        hits_in / num_in, num_in, hits_out / num_out, num_out
      )
    p_value = stats.hypergeom.sf(
      hits_in - 1, num_in + num_out, hits_in + hits_out, num_in
    )
    return error, np.clip(p_value, 0.0, 1.0)

  def _moments_error(self, train_ids, test_ids, sums):
    num_in, num_out = self.num_in[train_ids], self.num_out[train_ids]
    mask_in, values_in = self._groups[0]
    mask_out, values_out = self._groups[-1]
    square_in = np.square(values_in[:, test_ids])
    square_out = np.square(values_out[:, test_ids])
    squares = (
      np.where(mask_in[:, train_ids], square_in, 0.0).sum(axis=0),
      np.where(mask_out[:, train_ids], 0.0, square_out).sum(axis=0),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
      means = [
        hits / n
        for hits, n in zip(self._hits(test_ids, sums), (num_in, num_out))
      ]
      part_in, part_out = (
        np.where(n < 2, np.nan, np.maximum(s - n * mean**2, 0.0) / (n - 1)) / n
        for n, s, mean in zip((num_in, num_out), squares, means)
      )
      error = np.sqrt(part_in + part_out)
      degrees = (part_in + part_out) ** 2 / (
        part_in**2 / (num_in - 1) + part_out**2 / (num_out - 1)
      )
      difference = means[0] - means[1]
      p_value = stats.t.sf(difference / error, degrees)
    # Without any spread a difference is certain, and equality is no evidence.
    flat = error == 0
    p_value[flat] = np.where(difference[flat] > 0, 0.0, 1.0)
    # A group of one run has no variance: the null cannot be rejected.
    p_value[np.isnan(p_value)] = 1.0
    return error, p_value


def concatenate_pairs(kept: Sequence[Pairs]) -> Pairs:
  """All blocks' pairs in one."""
  train_ids, test_ids, sums = zip(*kept)
  return (
    np.concatenate(train_ids),
    np.concatenate(test_ids),
    np.concatenate(sums, axis=1),
  )


class TopK:
  """Pairs of a block that may be among the k best of their test example."""

  def __init__(self, k: int, num_test: int):
    self.k = k
    self.worst = np.full(num_test, -np.inf)  # of the best k of any block

  def candidates(
    self, influence: np.ndarray, floor: float
  ) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of influence `[b, T]` from the k-th best on."""
    height = len(influence)
    limit = np.full(influence.shape[1], -np.inf)
    if height > self.k:
      limit = np.partition(influence, height - self.k, axis=0)[height - self.k]
    limit = np.maximum(limit, self.worst)
    if height >= self.k:
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
