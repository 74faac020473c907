"""A part of the training set: its size by class, and its indices."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data.sources import part
from memo_tf.experiment import errors


class SharesTest(parameterized.TestCase):
  @parameterized.parameters(
    # Exact shares 5, 3 and 2.
    ([50, 30, 20], 10, [5, 3, 2]),
    # 3.5, 2.1 and 1.4: one is left, and .5 is the largest remainder.
    ([50, 30, 20], 7, [4, 2, 1]),
    # 4/3 each: one is left, and goes to the lowest of equal remainders.
    ([10, 10, 10], 4, [2, 1, 1]),
    # 4.85, 0.10 and 0.05: by remainders 5, 0 and 0; two classes have none.
    ([97, 2, 1], 5, [3, 1, 1]),
    # A class without examples gets none: 2.25 and 0.75.
    ([3, 0, 1], 3, [2, 0, 1]),
    # All of them.
    ([3, 1, 2], 6, [3, 1, 2]),
    # 1.96, 1.96, 0.04 and 0.04: by remainders 2, 2, 0 and 0.
    ([50, 50, 1, 1], 4, [1, 1, 1, 1]),
  )
  def test_hand_computed(self, counts, size, expected):
    self.assertEqual(part.shares(np.array(counts), size).tolist(), expected)

  def test_never_more_than_there_are(self):
    rng = np.random.default_rng(0)

    for _ in range(300):
      counts = rng.integers(0, 9, 6) + np.array([1, 0, 0, 0, 0, 40])
      present = int((counts > 0).sum())
      size = int(rng.integers(present, counts.sum() + 1))
      found = part.shares(counts, size)
      self.assertEqual(found.sum(), size)
      self.assertTrue((found <= counts).all())
      self.assertTrue((found[counts > 0] >= 1).all())
      exact = size * counts / counts.sum()
      self.assertTrue((found >= np.minimum(np.floor(exact), 1)).all())
      # Less than one from the exact share, except for what was given away.
      self.assertLess((found - exact).max(), 1.0)


class DrawTest(parameterized.TestCase):
  def test_indices_are_distinct_ascending_and_in_proportion(self):
    labels = np.array([0, 1] * 20 + [2] * 20)

    found = part.draw(labels, 3, 12, seed=0)

    self.assertTrue((np.diff(found) > 0).all())
    self.assertEqual(np.bincount(labels[found]).tolist(), [4, 4, 4])
    np.testing.assert_array_equal(found, part.draw(labels, 3, 12, seed=0))
    self.assertFalse(np.array_equal(found, part.draw(labels, 3, 12, seed=1)))
    # Recorded studies rely on these.
    self.assertEqual(
      part.draw(np.arange(8) % 2, 2, 4, seed=0).tolist(), [2, 5, 6, 7]
    )

  @parameterized.parameters((2,), (61,), (-1,))
  def test_sizes_that_cannot_be(self, size):
    labels = np.arange(60) % 3

    with self.assertRaisesRegex(
      errors.UsageError,
      "between 3, the number of classes, and 60.*"
      f"Received: --num_examples={size}",
    ):
      part.draw(labels, 3, size, seed=0)


if __name__ == "__main__":
  absltest.main()
