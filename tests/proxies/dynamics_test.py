"""Proxies from training dynamics against hand arithmetic."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.proxies import dynamics

NAN = np.nan


def column(*values):
  """One example's epochs as [E, 1]."""
  return np.array(values, np.float64)[:, None]


class MeansTest(absltest.TestCase):
  def test_means_over_the_epochs_that_have_the_example(self):
    # Right in 1 of 2, in the one that has it, in none that has it.
    correct = np.array([[1, NAN, NAN], [0, 1, NAN]])

    np.testing.assert_array_equal(
      dynamics.cumulative_accuracy(correct=correct), [0.5, 1, NAN]
    )
    np.testing.assert_array_equal(
      dynamics.cartography_correctness(correct=correct), [1, 1, NAN]
    )

  def test_cumulative_scores(self):
    p = np.array([[0.2, 0.9], [0.4, 0.5]])

    for function, name in (
      (dynamics.cumulative_probability, "label_prob"),
      (dynamics.cartography_confidence, "label_prob"),
      (dynamics.cumulative_max_confidence, "max_prob"),
      (dynamics.area_under_margin, "margin"),
    ):
      np.testing.assert_allclose(function(**{name: p}), [0.3, 0.7])
    np.testing.assert_allclose(
      dynamics.cumulative_negative_entropy(entropy=p), [-0.3, -0.7]
    )

  def test_summed_loss(self):
    loss = np.array([[1.0, 2.0], [3.0, NAN]])

    # 1 + 3; the missing epoch counts as the mean of the others, 2.
    np.testing.assert_array_equal(dynamics.summed_loss(loss=loss), [4, 4])

  def test_variability(self):
    p = np.array([[0.2, 0.5], [0.4, 0.5], [0.6, NAN]])

    # Mean 0.4, squares 0.04, 0, 0.04 over 3; a constant.
    np.testing.assert_allclose(
      dynamics.cartography_variability(label_prob=p),
      [np.sqrt(0.08 / 3), 0],
      atol=1e-15,
    )
    v = 0.08 / 3
    np.testing.assert_allclose(
      dynamics.cartography_variability(label_prob=p, finite_sample=True),
      [np.sqrt(v + v * v / 2), 0],
      atol=1e-15,
    )

  def test_aleatoric_uncertainty(self):
    p = np.array([[0.5, 1.0, NAN], [0.2, 0.0, NAN]])

    # (0.25 + 0.16) / 2; sure both times; not recorded.
    np.testing.assert_allclose(
      dynamics.aleatoric_uncertainty(label_prob=p), [0.205, 0, NAN]
    )

  def test_bounds_that_hold_for_any_training(self):
    p = np.random.default_rng(0).beta(0.5, 0.5, size=(7, 200))
    mean = dynamics.cartography_confidence(label_prob=p)
    square = dynamics.cartography_variability(label_prob=p) ** 2
    summed = dynamics.summed_loss(loss=-np.log(p))

    self.assertTrue((square <= mean * (1 - mean) + 1e-12).all())
    self.assertTrue((np.exp(-summed / 7) <= mean + 1e-12).all())

  def test_early_error(self):
    values = np.arange(20.0)[:, None]

    # A tenth of 20 epochs is epoch 2, the second row.
    self.assertEqual(dynamics.el2n(el2n=values), [1])
    self.assertEqual(dynamics.el2n(el2n=values, at=1), [19])
    self.assertEqual(dynamics.el2n(el2n=values, at=None), [9.5])
    # Recorded after 5, 10 and 20: 5 is nearest to 2.
    self.assertEqual(
      dynamics.el2n(el2n=values[:3], epochs=np.array([5, 10, 20])), [0]
    )

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, r"\[E, N\]"):
      dynamics.cumulative_accuracy(correct=np.ones(3))
    with self.assertRaisesRegex(ValueError, "ascending"):
      dynamics.first_learned(correct=np.ones((2, 1)), epochs=[2, 1])
    with self.assertRaisesRegex(ValueError, "`at`"):
      dynamics.el2n(el2n=np.ones((2, 1)), at=0)


class LearningTest(parameterized.TestCase):
  @parameterized.parameters(
    ((1, 0, 1, 0, 1), 2),
    ((0, 1, 1, 1, 1), 0),
    # Not presented between right and wrong is no event of its own.
    ((1, NAN, 0, NAN, NAN), 1),
    ((NAN, 1, NAN, 1, 0), 1),
  )
  def test_forgetting_events(self, correct, expected):
    events, never = dynamics.forgetting_events(correct=column(*correct))

    self.assertEqual(events, [expected])
    self.assertFalse(never[0])

  def test_never_right_is_not_zero_events(self):
    correct = np.array([[0, NAN], [0, NAN]])

    events, never = dynamics.forgetting_events(correct=correct)

    np.testing.assert_array_equal(events, [NAN, NAN])
    np.testing.assert_array_equal(never, [True, False])

  def test_learning_less_forgetting_is_the_last_state(self):
    correct = np.random.default_rng(0).random((9, 300)) < 0.5
    before = np.concatenate([np.zeros((1, 300), bool), correct[:-1]])
    learned = (~before & correct).sum(axis=0)

    events, never = dynamics.forgetting_events(correct=correct)

    np.testing.assert_array_equal(
      (learned - events)[~never], correct[-1][~never]
    )
    self.assertTrue((events[~never] <= 9 // 2).all())
    np.testing.assert_array_equal(never, ~correct.any(axis=0))

  def test_learned_first_and_for_good(self):
    # 0, 0, 1, 1, 0, 1, 1, 1, 1: first right third, for good from the sixth.
    correct = column(0, 0, 1, 1, 0, 1, 1, 1, 1)

    self.assertEqual(dynamics.first_learned(correct=correct)[0], [3])
    self.assertEqual(dynamics.learned_for_good(correct=correct)[0], [6])
    epochs = 10 * np.arange(1, 10)
    self.assertEqual(
      dynamics.learned_for_good(correct=correct, epochs=epochs)[0], [60]
    )

  def test_never_learned(self):
    # Never; right once, not for good; not recorded; right from the start.
    correct = np.array([[0, 1, NAN, 1], [0, 0, NAN, 1]])

    first, never_first = dynamics.first_learned(correct=correct)
    good, never_good = dynamics.learned_for_good(correct=correct)

    np.testing.assert_array_equal(first, [NAN, 1, NAN, 1])
    np.testing.assert_array_equal(never_first, [True, False, False, False])
    np.testing.assert_array_equal(good, [NAN, NAN, NAN, 1])
    np.testing.assert_array_equal(never_good, [True, True, False, False])


if __name__ == "__main__":
  absltest.main()
