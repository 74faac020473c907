"""Exact nearest neighbours against a slow search in float64."""

import tracemalloc
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.proxies import all_pairs
from memo_tf.proxies import neighbours


def slow_neighbours(features, k):
  """[N, k]: others by (float64 distance, id), one example at a time."""
  features = np.asarray(features, np.float32).astype(np.float64)
  ids = np.arange(len(features))
  found = []
  for n in ids:
    distance = np.square(features - features[n]).sum(axis=1)
    distance[n] = np.inf
    found.append(np.sort(np.lexsort((ids, distance))[:k]))
  return np.array(found)


def nearest(features, k, **options):
  return np.concatenate(
    [ids for _, ids in neighbours.nearest(features, k, **options)]
  )


def hard_features(kind, count, width):
  """Features that rounding, ties or scale make hard."""
  rng = np.random.default_rng(0)
  noise = rng.normal(size=(count, width))
  return {
    "plain": noise,
    "ties": rng.integers(2, size=(count, width)),
    "equal": np.ones((count, width)),
    "far_from_0": 1e6 + 1e-3 * noise,
    "tiny": 1e-25 * noise,
    "huge": 1e25 * noise,
    "outlier": np.concatenate([noise[:-1], 1e4 * noise[-1:]]),
    "collapsed": 1000 * rng.integers(2, size=(count, 1)) + 1e-4 * noise,
    "twins": np.repeat(noise[: -(-count // 7)], 7, axis=0)[:count],
  }[kind]


KINDS = (
  "plain",
  "ties",
  "equal",
  "far_from_0",
  "tiny",
  "huge",
  "outlier",
  "collapsed",
  "twins",
)


class NeighboursTest(parameterized.TestCase):
  @parameterized.product(kind=KINDS, rows=(1, 7, 1000))
  def test_exact_whatever_the_block(self, kind, rows):
    features = hard_features(kind, 61, 5)

    np.testing.assert_array_equal(
      nearest(features, 30, block_bytes=4 * 61 * rows),
      slow_neighbours(features, 30),
    )

  @parameterized.parameters(*KINDS)
  def test_exact_where_groups_of_columns_are_used(self, kind):
    # 701 columns: groups of 16 and 13 that are left over.
    features = hard_features(kind, 701, 33)

    np.testing.assert_array_equal(
      nearest(features, 3), slow_neighbours(features, 3)
    )

  @parameterized.product(kind=KINDS, rows=(64, 200))
  def test_exact_where_products_serve_both(self, kind, rows):
    self.enterContext(mock.patch.object(neighbours, "_HALVED_WIDTH", 1))
    self.enterContext(mock.patch.object(neighbours, "_HALVED_EXAMPLES", 1))
    features = hard_features(kind, 701, 33)
    used = self.enterContext(
      mock.patch.object(all_pairs, "nearest", wraps=all_pairs.nearest)
    )

    found = nearest(features, 3, block_bytes=4 * 701 * rows)

    used.assert_called_once()
    np.testing.assert_array_equal(found, slow_neighbours(features, 3))
    # Most of the examples, in another order.
    some = np.random.default_rng(0).permutation(701)[:500]
    np.testing.assert_array_equal(
      nearest(features, 3, queries=some, block_bytes=4 * 701 * rows),
      found[some],
    )

  def test_many_ties_beyond_what_is_sorted_at_once(self):
    # 300 examples at equal distance of each other, in float32 and in truth.
    features = np.eye(300)

    np.testing.assert_array_equal(
      nearest(features, 3), slow_neighbours(features, 3)
    )

  def test_all_others_are_neighbours(self):
    np.testing.assert_array_equal(
      nearest(np.zeros((3, 2)), 2), [[1, 2], [0, 2], [0, 1]]
    )

  def test_some_queries(self):
    features = hard_features("plain", 50, 4)
    found = list(
      neighbours.nearest(
        features, 2, queries=np.array([9, 3, 3]), block_bytes=400
      )
    )

    np.testing.assert_array_equal(
      np.concatenate([ids for ids, _ in found]), [9, 3, 3]
    )
    np.testing.assert_array_equal(
      np.concatenate([ids for _, ids in found]),
      slow_neighbours(features, 2)[[9, 3, 3]],
    )

  def test_memory_is_bounded(self):
    features = np.random.default_rng(0).normal(size=(4000, 32))
    features = features.astype(np.float32)
    block = 2**20
    tracemalloc.start()

    nearest(features, 5, block_bytes=block)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All products would take 64 MB; ids and features are kept.
    self.assertLess(peak, 6 * block + 3 * features.nbytes + 4000 * 5 * 8 * 3)

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, "N above `num_neighbours`"):
      nearest(np.zeros((3, 2)), 3)
    for bad in (np.nan, np.inf):
      with self.assertRaisesRegex(ValueError, "finite"):
        nearest(np.array([[0.0], [bad], [1.0]]), 1)

  def test_label_agreement(self):
    # On a line: 0, 1, 2, 10, 11 with labels 0, 0, 1, 1, 1 and two neighbours.
    line = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])

    found = neighbours.knn_label_agreement(
      representations=[np.zeros((5, 1)), line, np.zeros((5, 1))],
      labels=np.array([0, 0, 1, 1, 1]),
      num_neighbours=2,
      block_bytes=1,
    )

    # 0: {1, 2}; 1: {0, 2}; 2: {0, 1}; 10: {11, 2}; 11: {10, 2}.
    np.testing.assert_array_equal(found, [0.5, 0.5, 0, 1, 1])


if __name__ == "__main__":
  absltest.main()
