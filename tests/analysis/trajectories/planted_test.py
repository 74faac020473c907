"""Planted wrong labels by shape class."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.trajectories import planted as planted_lib


class PlantedTest(absltest.TestCase):
  def test_by_hand(self):
    names = np.array(["increasing"] * 4 + ["constant"] * 6 + [""])
    planted = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1], bool)

    table = planted_lib.planted_by_class(names, planted)

    rows = table.set_index("shape_class")
    self.assertEqual(rows.loc["increasing", "share"], 0.75)
    # 3 of 4 against 4 of 10.
    self.assertAlmostEqual(rows.loc["increasing", "enrichment"], 1.875)
    self.assertEqual(rows.loc["constant", "num_planted"], 1)
    # Fisher: tables with margins 4, 6 and 4, 6: P(3) + P(4) and P(0) = 15/210
    # are the ones no likelier than P(3) = 24/210: 24 + 1 + 15 of 210.
    self.assertAlmostEqual(rows.loc["increasing", "p_value"], 40 / 210)
    self.assertTrue(np.isnan(rows.loc["cap", "share"]))

  def test_nothing_planted_gives_no_rows(self):
    table = planted_lib.planted_by_class(np.array(["cap"]), np.array([False]))

    self.assertEmpty(table)


if __name__ == "__main__":
  absltest.main()
