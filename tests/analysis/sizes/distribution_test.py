"""Distribution of scores by size: mass at both ends and bimodality."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

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


if __name__ == "__main__":
  absltest.main()
