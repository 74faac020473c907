"""Ranks between ratios, and lines to all the data: hand arithmetic, truth."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis import ratios
from memo_tf.experiment import subsets

# t at 0.975.
T_3 = 3.18245


def runs(memorization, ratio, num_runs, rng, seed=0):
  in_mask = subsets.in_masks(len(memorization), num_runs, ratio, seed=seed)
  chance = np.where(in_mask, 1.0, 1 - memorization)
  return ratios.RunsOfRatio(
    correct=rng.random(in_mask.shape) < chance,
    in_mask=in_mask,
    group=np.arange(num_runs) * 10 // num_runs,
  )


class ExtrapolationTest(parameterized.TestCase):
  def test_hand_computed(self):
    # Through (0.5, 0.30) and (0.9, 0.22): slope -0.2, 0.20 at 1. The value is
    # 1.25 of the second mean less 0.25 of the first: standard error
    # 0.01 sqrt(1.25^2 + 0.25^2).
    found = ratios.extrapolation([0.5, 0.9], [0.3, 0.22], [0.01, 0.01], 3)

    self.assertAlmostEqual(found.linear, 0.2)
    half = T_3 * 0.01 * np.sqrt(1.25**2 + 0.25**2)
    # In log p the second mean is further: 0.22 - 0.08 log(1/0.9)/log(1.8).
    share = np.log(1 / 0.9) / np.log(1.8)
    self.assertAlmostEqual(found.logarithmic, 0.22 - 0.08 * share)
    self.assertAlmostEqual(found.ci_low, 0.2 - half, places=5)
    other = T_3 * 0.01 * np.sqrt((1 + share) ** 2 + share**2)
    high = max(0.2 + half, found.logarithmic + other)
    self.assertAlmostEqual(found.ci_high, high, places=5)

  def test_a_line_is_met_exactly(self):
    p = np.array([0.5, 0.7, 0.9])

    found = ratios.extrapolation(p, 0.4 - 0.3 * p, [0.01, 0.1, 0.02], 9)

    self.assertAlmostEqual(found.linear, 0.1)
    found = ratios.extrapolation(p, 0.2 - 0.3 * np.log(p), [0.01, 0.1, 1], 9)
    self.assertAlmostEqual(found.logarithmic, 0.2)

  @parameterized.parameters(([0.5, 0.5], [0.1, 0.1]), ([0.5, 0.7], [0.1, 0.0]))
  def test_rejects(self, p, errors):
    with self.assertRaisesRegex(ValueError, "Two ratios"):
      ratios.extrapolation(p, [0.2, 0.3], errors, 3)


class RankTest(absltest.TestCase):
  def test_the_same_order_with_other_noise_is_1(self):
    covered = 0
    for seed in range(30):
      rng = np.random.default_rng(seed)
      truth = rng.beta(0.3, 0.8, 300)
      found = ratios.rank_stability(
        runs(truth, 0.5, 40, rng, seed), runs(0.7 * truth, 0.9, 100, rng, seed)
      )
      covered += found.ci_low <= 1 <= found.ci_high
      self.assertLess(found.correlation, 0.97)

    self.assertGreaterEqual(covered, 26)

  def test_another_order_is_not(self):
    rng = np.random.default_rng(0)
    truth = rng.beta(0.3, 0.8, 300)

    found = ratios.rank_stability(
      runs(truth, 0.5, 40, rng), runs(rng.permutation(truth), 0.7, 100, rng)
    )

    self.assertLess(found.ci_high, 0.6)

  def test_few_groups_are_refused(self):
    rng = np.random.default_rng(0)
    few = runs(np.full(20, 0.5), 0.5, 3, rng)
    few = ratios.RunsOfRatio(
      correct=few.correct, in_mask=few.in_mask, group=np.arange(3)
    )

    with self.assertRaisesRegex(ValueError, "at least 4 groups"):
      ratios.rank_stability(few, few)


if __name__ == "__main__":
  absltest.main()
