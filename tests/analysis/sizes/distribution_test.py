"""Distribution of scores by size: mass at both ends and bimodality."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.sizes import dip
from memo_tf.analysis.sizes import distribution
from memo_tf.estimators import resampling
from tests.support import beta_trajectories


def simulate(**options):
  settings = {
    "num_sizes": 3,
    "num_examples": 300,
    "num_subsets": 100,
    "seed": 0,
  }
  return beta_trajectories.simulate_study(**(settings | options))


class BimodalityTest(parameterized.TestCase):
  def test_histogram_edges(self):
    # 0.05 belongs to the bin that starts there, 1.0 to the last, -0.5 to the
    # first; 0.15000000000000002 - 1e-16 is 0.15.
    scores = np.array([-0.5, 0.0, 0.05, 0.1 + 0.05, 0.999, 1.0])

    counts = distribution.histogram(scores) * 6

    self.assertEqual(counts[0], 1)  # from -0.2
    self.assertEqual(counts[[4, 5, 7]].tolist(), [1, 1, 1])
    self.assertEqual(counts[-1], 2)
    self.assertEqual(counts.sum(), 6)

  def test_masses(self):
    low, high = distribution.masses(np.array([0.0, 0.0999, 0.1, 0.7 + 0.2, 1]))

    self.assertEqual((low, high), (0.4, 0.4))

  def test_sarle(self):
    rng = np.random.default_rng(0)

    self.assertAlmostEqual(
      distribution.sarle(rng.random(100_000)), 5 / 9, delta=0.005
    )
    self.assertAlmostEqual(
      distribution.sarle(rng.normal(size=100_000)), 1 / 3, delta=0.01
    )
    # Two points of equal weight: skewness 0, kurtosis -2: near 1.
    self.assertGreater(distribution.sarle(np.repeat([0.0, 1.0], 500)), 0.98)
    self.assertTrue(np.isnan(distribution.sarle(np.ones(10))))
    self.assertTrue(np.isnan(distribution.sarle(np.arange(3.0))))

  def test_by_size(self):
    study = simulate(beta=(0.2, 0.2), shares={"constant": 1.0})
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=20)

    modes, bins = distribution.bimodality(
      study.correct, study.in_mask, bootstrap
    )

    self.assertLen(modes, 3)
    self.assertLess(modes["dip_p"].max(), 0.01)
    self.assertGreater(modes["sarle"].min(), 5 / 9)
    np.testing.assert_allclose(bins.groupby("size")["share"].sum(), 1)
    self.assertEqual(modes.loc[0, "low_mass_change"], 0)
    self.assertAlmostEqual(
      modes.loc[2, "low_mass_change"],
      modes.loc[2, "low_mass"] - modes.loc[0, "low_mass"],
    )

  @parameterized.parameters(
    # With Hartigan & Hartigan's algorithm in the widely used C code.
    (0, 5, 0.1351190813972706),
    (1, 10, 0.10391893270730954),
    (4, 1000, 0.011614761888134095),
  )
  def test_dip_is_that_of_the_reference(self, place, num, expected):
    # The samples of one generator in turn, as the reference was given them.
    rng, values = np.random.default_rng(0), []
    for k in range(place + 1):
      n = [5, 10, 50, 200, 1000][k % 5]
      draws = [
        rng.random(n),
        rng.normal(size=n),
        np.r_[rng.normal(size=n), rng.normal(5, 1, n)],
        np.round(rng.normal(size=n), 1),
      ]
      values = draws[k % 4]

    self.assertLen(values, num)
    self.assertAlmostEqual(dip.dip_statistic(values), expected, delta=1e-12)

  def test_dip_by_hand(self):
    # Two far pairs of points: the best unimodal law is a line through both
    # steps; 1 / (2 n) is the least of any sample.
    self.assertAlmostEqual(
      dip.dip_statistic([1, 2, 3, 10, 11, 12]), 7 / 36, delta=1e-12
    )
    self.assertAlmostEqual(dip.dip_statistic(np.arange(5)), 0.1)
    self.assertEqual(dip.dip_statistic([3, 3, 3]), 0)
    self.assertTrue(np.isnan(dip.dip_statistic([])))

  def test_dip_does_not_depend_on_scale_or_direction(self):
    values = np.random.default_rng(1).normal(size=200) ** 3
    expected = dip.dip_statistic(values)

    self.assertAlmostEqual(dip.dip_statistic(3 * values + 1), expected)
    self.assertAlmostEqual(dip.dip_statistic(-values), expected)

  def test_p_values(self):
    rng = np.random.default_rng(2)
    two = np.concatenate([rng.normal(0, 1, 200), rng.normal(6, 1, 200)])

    p_two = dip.dip_p_value(dip.dip_statistic(two), 400)
    uniform = [
      dip.dip_p_value(dip.dip_statistic(rng.random(400)), 400)
      for _ in range(40)
    ]

    self.assertEqual(p_two, 1 / 501)
    self.assertBetween(np.mean(uniform), 0.35, 0.65)


if __name__ == "__main__":
  absltest.main()
