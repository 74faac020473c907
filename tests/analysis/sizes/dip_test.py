"""Hartigan's dip against the reference code and by hand."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.sizes import dip


class DipTest(parameterized.TestCase):
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
