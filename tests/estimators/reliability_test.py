"""Split-half reliability and the number of runs still needed."""

from absl.testing import absltest
import numpy as np

from memo_tf.estimators import memorization
from memo_tf.estimators import reliability
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


if __name__ == "__main__":
  absltest.main()
