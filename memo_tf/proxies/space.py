"""Exact nearest neighbours from inexact products.

Neighbours are found from blocks of float32 matrix products and bounds on their
rounding errors:

    s(x, y) = |x|^2 / 2 + |y|^2 / 2 - x.y

is half of the squared distance, and its float32 value is off by at most
e = g (|x| + R)^2, with R the largest norm and g of order D 2^-24. So a
candidate more than 2 e below the k-th least value is a neighbour, one more than
2 e above it is not, and only those between are evaluated in float64. Rows with
too many of those (features that hardly differ) are multiplied again in float64,
where g is of order D 2^-53.
"""

from collections.abc import Callable
import math

import numpy as np

# Columns that share one minimum; the k-th least minimum bounds the k-th value.
_GROUP = 16
# A row with more undecided than this is multiplied again in float64.
_UNDECIDED = 256
# Bytes of the differences of pairs that are computed at once.
_PAIR_BYTES = 2**25


# From (query, group, bound) to (query, column, value), see `_minima`.
Members = Callable[
  [np.ndarray, np.ndarray, np.ndarray],
  tuple[np.ndarray, np.ndarray, np.ndarray],
]


class Space:
  """Features of all examples, prepared for products with each other."""

  def __init__(self, features: np.ndarray, rows: int):
    self.features = np.ascontiguousarray(features, np.float32)
    count, depth = self.features.shape
    # Distances do not depend on the mean; rounding errors do.
    self.mean = self.features.mean(axis=0, dtype=np.float64).astype(np.float32)
    # (y, |y|^2 / 2, 1), so that (-x, 1, |x|^2 / 2) times it is s(x, y).
    self.right = np.empty((count, depth + 2), np.float32)
    centred = self.right[:, :depth]
    with np.errstate(invalid="ignore"):
      np.subtract(self.features, self.mean, out=centred)
    square = np.einsum("nd,nd->n", centred, centred, dtype=np.float64)
    if not np.isfinite(square).all():
      raise ValueError("`features` must be finite. Received: a NaN or infinity")
    # By a power of two, hence exactly, to a radius near 1: nothing underflows.
    radius = math.sqrt(square.max())
    self.scale = 2.0 ** -math.frexp(radius)[1] if radius else 1.0
    centred *= np.float32(self.scale)
    self.norm = np.sqrt(square) * self.scale
    self.right[:, depth] = np.square(self.norm) / 2
    self.right[:, depth + 1] = 1
    self.products = np.empty((rows, count), np.float32)
    self._twins: np.ndarray | None = None

  def nearest(self, rows: np.ndarray, k: int) -> np.ndarray:
    """Ids `[B, k]` of the neighbours of some examples, ascending."""
    products = self.products[: len(rows)]
    np.matmul(left_factor(self.right[rows]), self.right.T, out=products)
    found = np.empty((len(rows), k), np.int64)
    again = self._select(products, rows, k, 2.0**-24, found)
    step = max(1, len(self.products) // 4)
    for start in range(0, len(again), step):
      queries = again[start : start + step]
      part = np.empty((len(queries), k), np.int64)
      self._select(
        self._float64_products(rows[queries]), rows[queries], k, 2.0**-53, part
      )
      found[queries] = part
    found.sort(axis=1)
    return found

  def error(self, rows: np.ndarray, unit: float) -> np.ndarray:
    """Twice the largest rounding error of some rows' products, 2 e: `[B]`.

    It includes the rounding of a sum of D + 2 products, of the squares and of
    centring.
    """
    share = (self.features.shape[1] / 2 + 4) * 1.05 * unit
    return 2 * share * np.square(self.norm[rows] + self.norm.max())

  def _float64(self, part) -> np.ndarray:
    """Some features, centred and scaled, in float64."""
    return (self.features[part].astype(np.float64) - self.mean) * self.scale

  def _float64_products(self, rows: np.ndarray) -> np.ndarray:
    """s - |x|^2 / 2 in float64 `[B, N]`; no float64 copy of all features."""
    left = -self._float64(rows)
    found = np.empty((len(rows), len(self.features)))
    for start in range(0, len(self.features), 4096):
      part = slice(start, start + 4096)
      some = self._float64(part)
      np.matmul(left, some.T, out=found[:, part])
      found[:, part] += np.einsum("nd,nd->n", some, some) / 2
    return found

  def _select(self, s, rows, k, unit, found) -> np.ndarray:
    """Fills `found` from s `[B, N]`; indices of the rows that it leaves.

    With s in float64 (unit 2^-53) it leaves none.
    """
    error = self.error(rows, unit)
    s[np.arange(len(rows)), rows] = np.inf  # never its own neighbour
    near, wide, bound, members = candidates(s, k, error)
    final = unit < 2.0**-24
    again = np.flatnonzero(wide) if not final else np.zeros(0, np.int64)
    row, group = np.nonzero(near)
    query, column, value = members(row, group, bound)
    left = self.decide(query, column, value, rows, k, error, found, final)
    if final:
      for b in np.flatnonzero(wide):
        column = np.flatnonzero(s[b] <= bound[b])
        query = np.full(len(column), b)
        self.decide(query, column, s[b, column], rows, k, error, found, final)
    return np.concatenate([again, left])

  def decide(
    self,
    query: np.ndarray,
    column: np.ndarray,
    value: np.ndarray,
    rows: np.ndarray,
    k: int,
    error: np.ndarray,
    found: np.ndarray,
    final: bool,
  ) -> np.ndarray:
    """Writes each row's k least candidates to `found`.

    Args:
      query: `[P]` int, index of each candidate's row in `rows`, ascending.
      column: `[P]` int, id of the candidate.
      value: `[P]`, its s.
      rows: `[B]`, ids of the examples that are searched.
      k: number of neighbours.
      error: `[B]`, of s, see `Space.error`.
      found: `[B, k]`, filled with ids.
      final: whether every row must be decided.

    Returns:
      Indices of rows with too many candidates too close to each other, whose
      products need more precision; none if `final`.
    """
    if not len(query):
      return np.zeros(0, np.int64)
    order = np.lexsort((value, query))
    query, column, value = query[order], column[order], value[order]
    queries, first, row = np.unique(
      query, return_index=True, return_inverse=True
    )
    kth = value[first + k - 1].astype(np.float64)
    sure = value < (kth - error[queries])[row]
    open_ = ~sure & (value <= (kth + error[queries])[row])
    num_sure = np.bincount(row[sure], minlength=len(queries))
    num_open = np.bincount(row[open_], minlength=len(queries))
    left = np.zeros(len(queries), bool)
    if not final:
      left = num_open > _UNDECIDED
    # The open ones of a row in the order of their distance, then of their id;
    # where all of them are needed any order does.
    ranked = open_ & (num_sure + num_open > k)[row] & ~left[row]
    distance = np.zeros(len(query))
    distance[ranked] = self._distances(
      rows[query[ranked]], column[ranked], twins=final
    )
    order = np.lexsort((column, distance, ~sure, row))
    order = order[(sure | open_)[order]]
    counts = num_sure + num_open
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[(rank < k) & ~left[row[order]]]
    found[queries[~left]] = column[order].reshape(-1, k)
    return queries[left]

  def _distances(self, one, other, *, twins: bool) -> np.ndarray:
    """Squared distances of pairs of examples, from differences in float64."""
    inverse: np.ndarray | slice = slice(None)
    if twins:
      # Ties in float64 are mostly equal features: compute each distance once.
      pairs, inverse = np.unique(
        one * len(self.features) + self._twin()[other], return_inverse=True
      )
      one, other = np.divmod(pairs, len(self.features))
    found = np.empty(len(one))
    step = max(1, _PAIR_BYTES // (8 * self.features.shape[1]))
    for start in range(0, len(one), step):
      part = slice(start, start + step)
      difference = np.subtract(
        self.features[one[part]], self.features[other[part]], dtype=np.float64
      )
      found[part] = np.einsum("nd,nd->n", difference, difference)
    return found[inverse]

  def _twin(self) -> np.ndarray:
    """Id of the first example with the same features, `[N]`."""
    if self._twins is None:
      rows = self.features + np.float32(0)  # -0 is 0
      whole = rows.view(f"V{4 * rows.shape[1]}").ravel()
      _, first, inverse = np.unique(
        whole, return_index=True, return_inverse=True
      )
      self._twins = first[inverse]
    return self._twins


def left_factor(right: np.ndarray) -> np.ndarray:
  """(-x, 1, |x|^2 / 2) of rows (x, |x|^2 / 2, 1)."""
  left = -right
  left[:, -2] = 1
  left[:, -1] = right[:, -2]
  return left


def candidates(
  s: np.ndarray, k: int, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Members]:
  """Groups of columns that may have one of the k least values of a row of s.

  Args:
    s: `[B, N]`, off by at most error / 2.
    k: number of neighbours.
    error: `[B]`.

  Returns:
    `[B, G]` bool, whether a group of columns has a candidate; `[B]` bool, rows
    with too many candidates, which have none in the former; `[B]`, the bound
    on candidates; and the function of `_minima`.
  """
  minima, members = _minima(s, k)
  bound = np.partition(minima, k - 1, axis=1)[:, k - 1]
  bound = np.nextafter((bound + error).astype(s.dtype), np.inf, dtype=s.dtype)
  near = minima <= bound[:, None]
  wide = near.sum(axis=1) > k + _UNDECIDED
  near[wide] = False
  return near, wide, bound, members


def _minima(s: np.ndarray, k: int) -> tuple[np.ndarray, Members]:
  """Minima of groups of columns, and a function that lists their members.

  Group g has the columns g, g + G, g + 2 G, ..., so that one pass over
  contiguous memory finds all minima; each column beyond is a group of its own.
  """
  size = _GROUP if s.shape[1] >= 8 * k * _GROUP else 1
  groups = s.shape[1] // size
  whole = groups * size
  minima = s[:, :whole].reshape(len(s), size, groups).min(axis=1)
  minima = np.concatenate([minima, s[:, whole:]], axis=1)

  def members(
    query: np.ndarray, group: np.ndarray, bound: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(query, column, value) of members within their row's bound, by query."""
    column = group[:, None] + groups * np.arange(size)
    column[group >= groups] = -1
    column[group >= groups, 0] = whole + group[group >= groups] - groups
    value = s[query[:, None], column]
    value[column < 0] = np.inf
    keep = value <= bound[query][:, None]
    query = np.broadcast_to(query[:, None], keep.shape)
    return query[keep], column[keep], value[keep]

  return minima, members
