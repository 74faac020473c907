"""Agreement of models: hand arithmetic, and what noise alone gives."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis import agreement
from memo_tf.experiment import subsets


def runs(memorization, in_mask, rng):
  """Runs that are right on their own examples, and else as a score says."""
  chance = np.where(in_mask, 1.0, 1 - memorization)
  return rng.random(in_mask.shape) < chance


class SetsTest(absltest.TestCase):
  def test_jaccard(self):
    a = np.array([True, True, False, False])
    b = np.array([True, False, True, False])

    self.assertAlmostEqual(agreement.jaccard(a, b), 1 / 3)
    self.assertTrue(np.isnan(agreement.jaccard(a & ~a, b & ~b)))
    # 2 and 3 of 6: 1 in both, 4 in either.
    self.assertAlmostEqual(agreement.chance_jaccard(2, 3, 6), 1 / 4)
    self.assertTrue(np.isnan(agreement.chance_jaccard(0, 0, 6)))

  def test_pairs_are_compared_by_both_ids(self):
    a = agreement.pair_sets(np.array([1, 2]), np.array([0, 5]), 10)
    b = agreement.pair_sets(np.array([2, 1]), np.array([5, 1]), 10)

    self.assertAlmostEqual(agreement.set_jaccard(a, b), 1 / 3)
    self.assertTrue(np.isnan(agreement.set_jaccard(a[:0], b[:0])))

  def test_many_blocks_are_put_together_within_a_parity(self):
    group = agreement.groups_of(np.repeat(np.arange(100), 2))

    self.assertLessEqual(group.max() + 1, agreement.MAX_GROUPS + 2)
    np.testing.assert_array_equal(group % 2, np.repeat(np.arange(100), 2) % 2)
    few = agreement.groups_of(np.array([3, 3, 7, 9]))
    self.assertEqual(few.tolist(), [0, 0, 1, 2])


class AgreementTest(absltest.TestCase):
  def test_hand_computed(self):
    # Runs 0 to 3 are blocks 0, 2 (even) and 1, 3 (odd). Example 0 is in runs
    # 0 and 1, example 1 in runs 2 and 3, example 2 in 0 and 3.
    in_mask = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
    # The first model memorizes 0 and 1; the second 0 alone, and all of 2.
    first = np.where(in_mask, True, [False, False, True])
    second = np.where(in_mask, True, [False, True, False])

    found = agreement.agreement(
      first, second, in_mask, np.arange(4), thresholds=(0.5,)
    )

    [row] = found.curves.to_dict("records")
    # Even and odd halves give each the same sets: {0, 1} and {0, 2}.
    self.assertEqual(row["jaccard"], 1 / 3)
    self.assertEqual(row["within"], 1.0)
    self.assertAlmostEqual(row["difference"], -2 / 3)
    # Over {0, 1, 2}: differences 0, -1, +1.
    self.assertAlmostEqual(row["mean_difference"], 0.0)
    self.assertAlmostEqual(row["mean_absolute_difference"], 2 / 3)
    self.assertEqual(row["mean_absolute_difference_within"], 0.0)
    self.assertAlmostEqual(row["chance"], (4 / 3) / (4 - 4 / 3))

  def test_models_that_memorize_alike_do_not_differ(self):
    covered = ranks = 0
    for seed in range(30):
      rng = np.random.default_rng(seed)
      truth = rng.beta(0.3, 0.8, 300)
      in_mask = subsets.in_masks(300, 60, 0.7, seed=seed)
      found = agreement.agreement(
        runs(truth, in_mask, rng),
        runs(truth, in_mask, rng),
        in_mask,
        agreement.groups_of(np.arange(60) // 10),
        thresholds=(0.3,),
      )
      [row] = found.curves.to_dict("records")
      covered += row["ci_low"] <= 0 <= row["ci_high"]
      ranks += found.corrected_low <= 1 <= found.corrected_high
      self.assertLess(row["ci_high"] - row["ci_low"], 0.3)

    self.assertGreaterEqual(covered, 26)
    self.assertGreaterEqual(ranks, 26)

  def test_models_that_memorize_others_differ(self):
    rng = np.random.default_rng(0)
    truth = rng.beta(0.3, 0.8, 300)
    in_mask = subsets.in_masks(300, 60, 0.7, seed=0)

    found = agreement.agreement(
      runs(truth, in_mask, rng),
      runs(truth[::-1], in_mask, rng),
      in_mask,
      agreement.groups_of(np.arange(60) // 10),
      thresholds=(0.3,),
    )

    [row] = found.curves.to_dict("records")
    self.assertLess(row["ci_high"], 0)
    self.assertAlmostEqual(row["jaccard"], row["chance"], delta=0.08)
    self.assertLess(found.corrected_high, 0.5)

  def test_a_model_beside_itself_is_noise_alone(self):
    rng = np.random.default_rng(0)
    in_mask = subsets.in_masks(50, 40, 0.7)
    correct = runs(rng.random(50), in_mask, rng)

    found = agreement.agreement(
      correct, correct, in_mask, agreement.groups_of(np.arange(40) // 10)
    )

    np.testing.assert_array_equal(
      found.curves["jaccard"], found.curves["within"]
    )
    self.assertAlmostEqual(found.corrected, 1.0)

  def test_rejects_few_blocks(self):
    correct = np.ones((3, 4), bool)

    with self.assertRaisesRegex(ValueError, "at least 4 groups"):
      agreement.agreement(correct, correct, correct, np.arange(3))


if __name__ == "__main__":
  absltest.main()
