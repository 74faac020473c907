"""Normalization of proxies and agreement of their shape classes."""

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.analysis.proxies import shapes


class NormalizedTest(absltest.TestCase):
  def test_min_max_keeps_the_trend_and_ranks_do_not(self):
    values = np.array([[0.0, 1.0, np.nan], [2.0, 4.0, 3.0]])

    np.testing.assert_allclose(
      shapes.normalized(values), [[0, 0.25, np.nan], [0.5, 1, 0.75]]
    )
    np.testing.assert_allclose(
      shapes.normalized(values, "rank"), [[0, 1, np.nan], [0, 1, 0.5]]
    )

  def test_constant_and_missing(self):
    np.testing.assert_array_equal(shapes.normalized(np.ones((2, 3))), 0)
    self.assertTrue(np.isnan(shapes.normalized(np.full((1, 2), np.nan))).all())
    with self.assertRaisesRegex(ValueError, "`how`"):
      shapes.normalized(np.ones((1, 2)), "z")


class ShapeAgreementTest(absltest.TestCase):
  def test_kappa_by_hand(self):
    table = pd.DataFrame(
      {
        "proxy": "p",
        "memorization_class": ["constant", "constant", "cap", "cap"],
        "proxy_class": ["constant", "u", "constant", "cap"],
        "num_examples": [5, 1, 1, 3],
      }
    )

    row = shapes.shape_agreement(table).iloc[0]

    # 8 of 10 agree; by chance 0.6 * 0.6 + 0.4 * 0.3 = 0.48. Of the 4 caps 3.
    self.assertAlmostEqual(row.agreement, 0.8)
    self.assertAlmostEqual(row.kappa, (0.8 - 0.48) / (1 - 0.48))
    self.assertAlmostEqual(row.agreement_moving, 0.75)

  def test_one_class_only(self):
    table = pd.DataFrame(
      {
        "proxy": ["p"],
        "memorization_class": ["constant"],
        "proxy_class": ["constant"],
        "num_examples": [7],
      }
    )

    row = shapes.shape_agreement(table).iloc[0]

    self.assertEqual(row.agreement, 1)
    self.assertTrue(np.isnan([row.kappa, row.agreement_moving]).all())


if __name__ == "__main__":
  absltest.main()
