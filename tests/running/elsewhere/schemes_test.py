"""Schemes of subsets, seen from their masks."""

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import subsets
from memo_tf.running.elsewhere import schemes


class SchemesTest(parameterized.TestCase):
  @parameterized.parameters(
    ("balanced", 0.7, 20),
    ("balanced", 0.7, 25),
    ("balanced", 0.5, 4),
    ("balanced", 0.125, 16),
    ("uniform", 0.7, 20),
    ("bernoulli", 0.7, 20),
    ("complementary", 0.5, 20),
    ("two_sizes", 0.7, 20),
  )
  def test_subsets_are_known_again(self, scheme, ratio, count):
    masks = subsets.in_masks(200, count, ratio, scheme=scheme, seed=3)

    found, found_ratio = schemes.scheme_of(masks)

    self.assertEqual(found, scheme)
    self.assertAlmostEqual(found_ratio, ratio, delta=0.02)

  def test_part_of_a_block_counts_as_independent(self):
    masks = subsets.in_masks(200, 6, 0.7)

    self.assertEqual(schemes.scheme_of(masks), ("uniform", 0.7))


if __name__ == "__main__":
  absltest.main()
