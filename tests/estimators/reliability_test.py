"""Split-half reliability, its interval, and blocks with missing runs."""

from absl.testing import absltest
import numpy as np

from memo_tf.estimators import memorization
from memo_tf.estimators import reliability
from memo_tf.estimators import split_halves
from memo_tf.experiment import subsets


class ReliabilityTest(absltest.TestCase):
  def study(self, num_runs, seed=0):
    rng = np.random.default_rng(seed)
    masks = subsets.in_masks(400, num_runs, 0.7, seed=seed)
    out = np.random.default_rng(99).uniform(0.2, 1, 400)
    return rng.random(masks.shape) < np.where(masks, 0.98, out), masks

  def test_reliability_is_the_share_that_is_not_noise(self):
    right, masks = self.study(100)
    scores = memorization.memorization_scores(right, masks)

    found = reliability.split_half_reliability(right, masks, block=10)

    # T32: true variance over itself plus that of the estimate.
    out = np.random.default_rng(99).uniform(0.2, 1, 400)
    true = np.var(0.98 - out)
    noise = np.mean(out * (1 - out)) / 30 + 0.98 * 0.02 / 70
    self.assertEqual(found.num_runs, 100)
    self.assertAlmostEqual(found.reliability, true / (true + noise), delta=0.03)
    self.assertGreater(scores.memorization.var(), true * 0.8)

  def test_curve_rises(self):
    right, masks = self.study(160)

    curve = reliability.reliability_curve(right, masks, block=10)

    self.assertEqual([point.num_runs for point in curve], [20, 40, 80, 160])
    self.assertTrue((np.diff([p.reliability for p in curve]) > 0).all())

  def expected(self, num_runs):
    """True variance over itself plus that of the estimate."""
    out = np.random.default_rng(99).uniform(0.2, 1, 400)
    true = np.var(0.98 - out)
    noise = np.mean(out * (1 - out)) / (0.3 * num_runs)
    return true / (true + noise + 0.98 * 0.02 / (0.7 * num_runs))

  def test_blocks_are_by_id_with_a_run_missing(self):
    right, masks = self.study(40)
    kept = np.arange(40) != 3
    block = np.arange(40)[kept] // 10

    found = reliability.split_half_reliability(
      right[kept], masks[kept], block=block
    )

    # All four blocks count, in their three different splits.
    self.assertEqual(found.num_runs, 39)
    self.assertAlmostEqual(found.num_half, 19.5)
    self.assertLen(found.correlations, 3)
    self.assertTrue(found.is_every_split)
    self.assertAlmostEqual(found.reliability, self.expected(39), delta=0.05)

  def test_an_odd_number_of_blocks_is_scaled_to_all_runs(self):
    right, masks = self.study(30)

    found = reliability.split_half_reliability(right, masks, block=10)

    self.assertEqual((found.num_runs, found.num_half), (30, 10))
    r = found.correlation
    self.assertAlmostEqual(found.reliability, 3 * r / (1 + 2 * r))
    self.assertBetween(found.reliability, found.ci_low, found.ci_high)

  def test_splits_are_different(self):
    splits, is_every = split_halves._splits(np.arange(6), 3, 20, 0)

    # 6! / (3! 3! 2) of them.
    self.assertTrue(is_every)
    self.assertLen({frozenset(map(frozenset, s)) for s in splits}, 10)
    splits, is_every = split_halves._splits(np.arange(10), 5, 20, 0)
    self.assertFalse(is_every)
    self.assertLen({frozenset(map(frozenset, s)) for s in splits}, 20)

  def test_two_blocks_have_one_split_and_no_interval(self):
    right, masks = self.study(20)

    found = reliability.split_half_reliability(right, masks, block=10)

    self.assertLen(found.correlations, 1)
    self.assertTrue(np.isnan([found.ci_low, found.ci_high]).all())
    with self.assertRaisesRegex(ValueError, "two blocks"):
      reliability.split_half_reliability(right[:9], masks[:9], block=10)

  def test_the_interval_covers(self):
    held = []
    for seed in range(60):
      right, masks = self.study(60, seed=seed)
      found = reliability.split_half_reliability(
        right, masks, block=10, seed=seed
      )
      held.append(found.ci_low <= self.expected(60) <= found.ci_high)

    # 57 of 60 expected.
    self.assertGreaterEqual(sum(held), 52)

  def test_noise_has_no_reliability_and_no_ceiling(self):
    rng = np.random.default_rng(0)
    masks = subsets.in_masks(400, 100, 0.7, seed=0)

    found = reliability.split_half_reliability(
      rng.random(masks.shape) < 0.5, masks, block=10
    )

    self.assertBetween(0, found.ci_low, found.ci_high)
    self.assertBetween(found.reliability, -0.3, 0.3)


if __name__ == "__main__":
  absltest.main()
