"""Proxies from windows of epochs, against hand arithmetic and slow loops."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.proxies import windows

NAN = np.nan


class ByHandTest(absltest.TestCase):
  def test_two_windows_of_three_epochs(self):
    # 0, 0.3, 0.6 have the mean 0.3 and the deviation 0.3 (squares 0.09 + 0.09
    # over 2); 0.3, 0.6, 0.6 have the mean 0.5 and the deviation sqrt(0.03).
    p = np.array([[0.0], [0.3], [0.6], [0.6]])
    second = np.sqrt(0.03)

    np.testing.assert_allclose(
      windows.dynamic_uncertainty(label_prob=p, window=3), [(0.3 + second) / 2]
    )
    np.testing.assert_allclose(
      windows.difficulty_uncertainty(label_prob=p, window=3),
      [(0.3 * 0.7 + second * 0.5) / 2],
    )

  def test_steps_of_the_loss_weigh_most_in_the_last_window(self):
    # Steps 1, 3, 0. Windows of 3 epochs have 2 steps: (1, 3) with the mean 2,
    # R = sqrt(1 + 1); (3, 0) with the mean 1.5, R = sqrt(2.25 + 2.25).
    loss = np.array([[5.0], [4.0], [1.0], [1.0]])

    found = windows.temporal_dual_depth(loss=loss, window=3)
    other = windows.temporal_dual_depth(loss=loss, window=3, decay=0.5)

    first, last = np.sqrt(2), np.sqrt(4.5)
    np.testing.assert_allclose(found, [0.9 * last + 0.9 * 0.1 * first])
    np.testing.assert_allclose(other, [0.5 * last + 0.25 * first])
    # The order of the windows counts.
    back = windows.temporal_dual_depth(loss=loss[::-1], window=3)
    np.testing.assert_allclose(back, [0.9 * first + 0.9 * 0.1 * last])

  def test_what_was_not_presented_is_left_out(self):
    p = np.array([[0.2, NAN, NAN], [NAN, NAN, 0.5], [0.4, NAN, NAN]])

    # 0.2 and 0.4 in the one window; never; once, which has no deviation.
    np.testing.assert_allclose(
      windows.dynamic_uncertainty(label_prob=p, window=3),
      [np.sqrt(0.02), NAN, NAN],
    )

  def test_a_missing_window_is_weighed_by_the_others(self):
    loss = np.array([[3.0], [1.0], [1.0], [NAN], [NAN]])

    # Steps 2, 0, none, none: windows (2, 0), (0, none), (none, none).
    found = windows.temporal_dual_depth(loss=loss, window=3)

    np.testing.assert_allclose(found, [np.sqrt(2) * 0.9 * (1 + 0.1 + 0.01)])


class OracleTest(parameterized.TestCase):
  @parameterized.parameters(2, 3, 10, 12)
  def test_against_a_loop_over_examples(self, size):
    p = np.random.default_rng(size).beta(0.5, 0.5, size=(12, 5))
    unsure, dual = [], []
    for n in range(5):
      parts = [p[k : k + size, n] for k in range(12 - size + 1)]
      unsure.append(np.mean([w.std(ddof=1) for w in parts]))
      dual.append(np.mean([w.std(ddof=1) * (1 - w.mean()) for w in parts]))

    np.testing.assert_allclose(
      windows.dynamic_uncertainty(label_prob=p, window=size), unsure
    )
    np.testing.assert_allclose(
      windows.difficulty_uncertainty(label_prob=p, window=size), dual
    )

  def test_steps_against_a_loop(self):
    loss = np.random.default_rng(0).exponential(size=(14, 4))
    expected = []
    for n in range(4):
      total = 0.0
      for k in range(5):
        steps = np.abs(np.diff(loss[k : k + 10, n]))
        total += 0.9 * 0.1 ** (4 - k) * np.linalg.norm(steps - steps.mean())
      expected.append(total)

    np.testing.assert_allclose(windows.temporal_dual_depth(loss=loss), expected)


class EdgesTest(absltest.TestCase):
  def test_fewer_epochs_than_a_window_have_no_value(self):
    few = np.full((9, 2), 0.5)

    for found in (
      windows.dynamic_uncertainty(label_prob=few),
      windows.difficulty_uncertainty(label_prob=few),
      windows.temporal_dual_depth(loss=few),
    ):
      np.testing.assert_array_equal(found, [NAN, NAN])

  def test_logits_are_refused(self):
    for function in (
      windows.dynamic_uncertainty,
      windows.difficulty_uncertainty,
    ):
      with self.assertRaisesRegex(ValueError, "probabilities, not logits"):
        function(label_prob=np.array([[3.0], [-1.0]]), window=2)

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, "`window`"):
      windows.dynamic_uncertainty(label_prob=np.ones((3, 1)), window=1)
    with self.assertRaisesRegex(ValueError, "`window`"):
      windows.temporal_dual_depth(loss=np.ones((3, 1)), window=2)
    with self.assertRaisesRegex(ValueError, "`decay`"):
      windows.temporal_dual_depth(loss=np.ones((3, 1)), decay=1.0)


if __name__ == "__main__":
  absltest.main()
