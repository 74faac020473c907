"""The one rule for what is called a finding."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis import evidence


class EvidenceTest(absltest.TestCase):
  def test_a_direction_needs_an_interval_without_zero(self):
    self.assertEqual(evidence.direction(0.1, 0.2), "rises")
    self.assertEqual(evidence.direction(-0.2, -0.1), "falls")
    self.assertEqual(evidence.direction(-0.1, 0.2), "unsure")
    self.assertEqual(evidence.direction(0.0, 0.2), "unsure")
    self.assertEqual(evidence.direction(float("nan"), 0.2), "unsure")

  def test_names_only_small_q_values(self):
    named = evidence.is_named(np.array([0.05, 0.051, np.nan, 0.0]))

    self.assertEqual(named.tolist(), [True, False, False, True])

  def test_memorized_by_the_lower_end(self):
    found = evidence.is_memorized(np.array([0.51, 0.5, np.nan]))

    self.assertEqual(found.tolist(), [True, False, False])

  def test_a_suspected_label_has_a_clear_majority_against_it(self):
    # Wilson's lower end of 6 of 6 is 6 / (6 + z^2) = 0.610; that of 5 of 6 is
    # 0.436; of nothing nothing is known.
    low = evidence.suspected_share(np.array([6, 5, 0]), np.array([6, 6, 0]))

    np.testing.assert_allclose(low, [0.6097, 0.4365, 0.0], atol=1e-4)
    self.assertEqual((low > evidence.MAJORITY).tolist(), [True, False, False])

  def test_fitted_from_0_9_on(self):
    self.assertTrue(evidence.fits(0.9))
    self.assertFalse(evidence.fits(0.899))
    self.assertFalse(evidence.fits(float("nan")))


if __name__ == "__main__":
  absltest.main()
