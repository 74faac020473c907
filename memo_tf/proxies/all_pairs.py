"""Nearest neighbours of all examples from half of all products.

A product serves both of its examples, if an upper bound on the distance of each
example's neighbours is known beforehand. So all examples are first multiplied
with a random quarter of them: the k-th smallest distance there bounds the k-th
smallest of all, and about 4 k examples are within that bound. The other three
quarters are then multiplied with themselves, a stripe of rows with the columns
from there on, and pairs within the row's or the column's bound are kept. In all
this takes 0.53 of the products.
"""

import numpy as np

from memo_tf.proxies import space as space_lib

SAMPLE_PART = 4
# A row with more candidates than this times k is searched on its own.
_MOST = 16


def nearest(space: space_lib.Space, k: int) -> np.ndarray:
  """Ids `[N, k]` of the neighbours of all examples, each row ascending.

  Args:
    space: the features; its block of products is overwritten.
    k: fewer than a quarter of the examples.
  """
  count = len(space.features)
  sample = count // SAMPLE_PART
  # Ids may be sorted by class; the sample must not be.
  order = np.random.default_rng(0).permutation(count)
  right = space.right[order]
  error = space.error(order, 2.0**-24)
  pairs = _Pairs(count, _MOST * k)
  bound = np.empty(count, np.float32)
  step = len(space.products)
  starts = [*range(0, sample, step), *range(sample, count, step)]
  for start, stop in zip(starts, [*starts[1:], count]):
    s = _product(space, right[start:stop], right[:sample])
    if start < sample:
      s[np.arange(stop - start), np.arange(start, stop)] = np.inf  # itself
    else:
      within = s <= pairs.open_bound(bound)[None, :sample]
      pairs.add_mask(within, s, start, 0, of_rows=False)
    near, wide, bound[start:stop], members = space_lib.candidates(
      s, k, error[start:stop]
    )
    row, group = np.nonzero(near)
    query, column, value = members(row, group, bound[start:stop])
    pairs.drop(start + np.flatnonzero(wide))
    pairs.add(query + start, column, value)
  for start in range(sample, count, step):
    stop = min(start + step, count)
    rows = stop - start
    s = _product(space, right[start:stop], right[start:])
    s[np.arange(rows), np.arange(rows)] = np.inf
    within = s <= pairs.open_bound(bound)[start:stop, None]
    pairs.add_mask(within, s, start, start, of_rows=True)
    # The columns of the stripe's own rows are done.
    s = s[:, rows:]
    within = s <= pairs.open_bound(bound)[None, stop:]
    pairs.add_mask(within, s, start, stop, of_rows=False)
  return _decide(space, k, order, error, pairs)


def _product(space, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
  """s of rows with columns, in the space's block of memory."""
  flat = space.products.reshape(-1)[: len(rows) * len(columns)]
  found = flat.reshape(len(rows), len(columns))
  return np.matmul(space_lib.left_factor(rows), columns.T, out=found)


def _decide(space, k, order, error, pairs) -> np.ndarray:
  """Each example's k nearest candidates; searches dropped examples anew."""
  count = len(order)
  query, column, value = pairs.sorted()
  found = np.empty((count, k), np.int64)
  left = [np.flatnonzero(pairs.dropped)]
  step = 4096
  edges = np.searchsorted(query, np.arange(0, count + step, step))
  for block, (low, high) in enumerate(zip(edges, edges[1:])):
    start = block * step
    ids = order[start : start + step]
    part = np.empty((len(ids), k), np.int64)
    again = space.decide(
      query[low:high].astype(np.int64) - start,
      order[column[low:high]],
      value[low:high],
      ids,
      k,
      error[start : start + step],
      part,
      False,
    )
    found[ids] = part
    left.append(start + again)
  others = order[np.concatenate(left)]
  for start in range(0, len(others), len(space.products)):
    some = others[start : start + len(space.products)]
    found[some] = space.nearest(some, k)
  found.sort(axis=1)
  return found


class _Pairs:
  """Candidates of N examples, and the examples with too many of them."""

  def __init__(self, count: int, most: int):
    self.most = most
    self.dropped = np.zeros(count, bool)
    self._number = np.zeros(count, np.int64)
    self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

  def open_bound(self, bound: np.ndarray) -> np.ndarray:
    """The bounds; -inf for dropped examples, so that no pair is within."""
    return np.where(self.dropped, np.float32(-np.inf), bound)

  def drop(self, examples: np.ndarray) -> None:
    """Marks examples as having too many candidates."""
    self.dropped[examples] = True

  def add(
    self, query: np.ndarray, column: np.ndarray, value: np.ndarray
  ) -> None:
    """Adds candidates (query, column, value), all `[P]`."""
    self._number += np.bincount(query, minlength=len(self._number))
    self._parts.append(
      (query.astype(np.int32), column.astype(np.int32), value.copy())
    )

  def add_mask(
    self,
    within: np.ndarray,
    s: np.ndarray,
    start: int,
    first: int,
    *,
    of_rows: bool,
  ) -> None:
    """Adds pairs within the bound to their rows or to their columns.

    Args:
      within: `[B, N']` bool, whether a pair is within its bound; changed.
      s: `[B, N']`, half squared distances.
      start, first: indices of the first row and column.
      of_rows: whether a row's example gets the pair, or the column's.
    """
    number = np.count_nonzero(within, axis=1 if of_rows else 0)
    begin = start if of_rows else first
    own = np.arange(begin, begin + len(number))
    many = number + self._number[own] > self.most
    if many.any():
      self.drop(own[many])
      if of_rows:
        within[many] = False
      else:
        within[:, many] = False
    if not within.size:
      return
    row, column = np.divmod(np.flatnonzero(within), within.shape[1])
    value = s[row, column]
    row, column = row + start, column + first
    if of_rows:
      self.add(row, column, value)
    else:
      self.add(column, row, value)

  def sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(query, column, value) by query, without dropped examples."""
    query, column, value = (np.concatenate(p) for p in zip(*self._parts))
    self._parts = []
    keep = ~self.dropped[query]
    query, column, value = query[keep], column[keep], value[keep]
    by_query = np.argsort(query, kind="stable")
    return query[by_query], column[by_query], value[by_query]
