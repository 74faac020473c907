"""Bimodality of a proxy's distribution."""

import math

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.proxies import trends


class BimodalityTest(absltest.TestCase):
  def test_known_distributions(self):
    rng = np.random.default_rng(0)
    two = np.repeat([0.0, 1.0], 5000)

    self.assertAlmostEqual(trends.bimodality(two), 1, 2)
    self.assertAlmostEqual(trends.bimodality(rng.random(100_000)), 5 / 9, 2)
    self.assertAlmostEqual(
      trends.bimodality(rng.normal(size=100_000)), 1 / 3, 2
    )

  def test_undefined(self):
    self.assertTrue(math.isnan(trends.bimodality(np.ones(9))))
    self.assertTrue(math.isnan(trends.bimodality(np.arange(3.0))))


if __name__ == "__main__":
  absltest.main()
