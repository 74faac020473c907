"""Proxies of the finished model, and dynamics from logits."""

from absl.testing import absltest
import numpy as np

from memo_tf.proxies import confidence
from memo_tf.proxies import dynamics

NAN = np.nan


class FinishedModelTest(absltest.TestCase):
  def test_last_epoch_that_has_the_example(self):
    values = np.array([[1.0, 2.0, NAN], [3.0, NAN, NAN]])

    for function, name in (
      (confidence.final_loss, "loss"),
      (confidence.final_margin, "margin"),
      (confidence.final_entropy, "entropy"),
    ):
      np.testing.assert_array_equal(function(**{name: values}), [3, 2, NAN])

  def test_self_confidence_is_of_runs_that_did_not_see_it(self):
    p = np.array([[0.9, 0.8], [0.5, 0.7], [0.1, 0.6]])
    in_mask = np.array([[1, 1], [0, 1], [0, 1]], bool)

    np.testing.assert_allclose(
      confidence.self_confidence(label_prob=p, in_mask=in_mask), [0.3, NAN]
    )


class RecordsFromLogitsTest(absltest.TestCase):
  def test_by_hand(self):
    # Softmax of (ln 3, 0, 0) is (3, 1, 1) / 5.
    logits = np.array([[np.log(3), 0, 0], [np.log(3), 0, 0]])

    found = confidence.dynamics_from_logits(logits, np.array([0, 2]))

    np.testing.assert_allclose(found["label_prob"], [0.6, 0.2])
    np.testing.assert_allclose(found["max_prob"], [0.6, 0.6])
    np.testing.assert_allclose(found["loss"], -np.log([0.6, 0.2]))
    np.testing.assert_allclose(found["margin"], [np.log(3), -np.log(3)])
    np.testing.assert_allclose(
      found["entropy"], -(0.6 * np.log(0.6) + 0.4 * np.log(0.2))
    )
    # (-0.4, 0.2, 0.2) and (0.6, 0.2, -0.8).
    np.testing.assert_allclose(found["el2n"], np.sqrt([0.24, 1.04]))
    np.testing.assert_array_equal(found["correct"], [True, False])

  def test_saturated_and_tied_logits(self):
    logits = np.array([[1e4, 0.0], [1.0, 1.0]])

    found = confidence.dynamics_from_logits(logits, np.array([1, 1]))

    self.assertEqual(found["loss"][0], 1e4)
    self.assertEqual(found["entropy"][0], 0)
    np.testing.assert_array_equal(found["correct"], [False, False])

  def test_a_constant_added_to_logits_changes_nothing(self):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 5, 4)), rng.integers(4, size=5)

    one = confidence.dynamics_from_logits(logits, labels)
    other = confidence.dynamics_from_logits(
      logits + rng.normal(size=(1, 5, 1)), labels
    )

    for name in one:
      np.testing.assert_allclose(one[name], other[name], atol=1e-12)

  def test_norm_of_the_error_and_probability(self):
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(500, 6))

    found = confidence.dynamics_from_logits(logits, np.arange(500) % 6)

    missing = 1 - found["label_prob"]
    self.assertTrue((found["el2n"] >= missing * np.sqrt(6 / 5) - 1e-12).all())
    self.assertTrue((found["el2n"] <= missing * np.sqrt(2) + 1e-12).all())
    two = confidence.dynamics_from_logits(logits[:, :2], np.arange(500) % 2)
    np.testing.assert_allclose(
      two["el2n"], np.sqrt(2) * (1 - two["label_prob"]), atol=1e-12
    )

  def test_right_at_every_epoch_means_a_positive_area(self):
    rng = np.random.default_rng(0)
    found = confidence.dynamics_from_logits(
      rng.normal(size=(3, 400, 3)), rng.integers(3, size=400)
    )

    area = dynamics.area_under_margin(margin=found["margin"])

    self.assertTrue((area[found["correct"].all(axis=0)] > 0).all())
    self.assertTrue((area[~found["correct"].all(axis=0)] > 0).any())

  def test_rejects(self):
    for logits, labels in ((np.ones(3), [0]), (np.ones((2, 3)), [0])):
      with self.assertRaisesRegex(ValueError, "`logits`"):
        confidence.dynamics_from_logits(logits, np.array(labels))


if __name__ == "__main__":
  absltest.main()
