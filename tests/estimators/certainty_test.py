"""Intervals that cover, reliability, bootstrap, and runs still needed."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import stats

from memo_tf.estimators import memorization
from memo_tf.estimators import reliability
from memo_tf.experiment import subsets


class CoverageTest(parameterized.TestCase):
  @parameterized.parameters(20, 100, 400)
  def test_newcombe_covers_over_the_grid(self, num_runs):
    num_in = round(0.7 * num_runs)
    num_out, grid = num_runs - num_in, np.linspace(0, 1, 41)
    hits_in, hits_out = np.arange(num_in + 1), np.arange(num_out + 1)
    low, high = memorization.newcombe_interval(
      (hits_in / num_in)[:, None],
      num_in,
      (hits_out / num_out)[None],
      num_out,
    )
    chance_in = stats.binom.pmf(hits_in[:, None], num_in, grid)
    chance_out = stats.binom.pmf(hits_out[:, None], num_out, grid)

    coverage = np.empty((41, 41))
    for i, j in np.ndindex(41, 41):
      truth = grid[i] - grid[j]
      covered = (low - 1e-12 <= truth) & (truth <= high + 1e-12)
      coverage[i, j] = chance_in[:, i] @ covered @ chance_out[:, j]

    self.assertGreaterEqual((coverage >= 0.93).mean(), 0.97)
    self.assertGreaterEqual(coverage.min(), 0.85)
    self.assertBetween(coverage.mean(), 0.945, 0.97)


class CertaintyTest(absltest.TestCase):
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

  def test_runs_needed_are_needed(self):
    right, masks = self.study(50)
    scores = memorization.memorization_scores(right, masks)

    more = reliability.runs_needed(scores, 0.2, block=10)
    wider = memorization.memorization_scores(*self.study(50 + more))

    self.assertEqual(more % 10, 0)
    self.assertAlmostEqual(
      np.mean(wider.ci_high - wider.ci_low), 0.2, delta=0.01
    )
    self.assertEqual(reliability.runs_needed(scores, 2.0), 0)

  def test_paired_difference_is_surer_than_its_parts(self):
    right, masks = self.study(60)
    # The second size answers alike, but for a tenth of what it held out.
    flip = np.random.default_rng(1).random(masks.shape) < 0.1
    other = right & ~(flip & ~masks)

    found = reliability.bootstrap_memorization(
      [right, other], masks, block=10, num_resamples=200
    )

    expected = [
      np.mean(memorization.memorization_scores(o, masks).memorization)
      for o in (right, other)
    ]
    np.testing.assert_allclose(found.mean.estimate, expected, atol=1e-12)
    self.assertLess(
      found.difference.standard_error[1], found.mean.standard_error.max()
    )
    self.assertGreater(found.difference.ci_low[1], 0)

  def test_bootstrap_draws_whole_blocks(self):
    found = reliability.bootstrap_runs(
      lambda places: len(set(places // 5)) - len(set(places)) / 5,
      20,
      block=5,
      num_resamples=50,
    )

    np.testing.assert_allclose(found.replicates, 0, atol=1e-12)


if __name__ == "__main__":
  absltest.main()
