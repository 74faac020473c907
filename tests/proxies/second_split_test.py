"""Proxies of a second training against hand arithmetic."""

from absl.testing import absltest
import numpy as np

from memo_tf.proxies import second_split

NAN = np.nan


class SecondSplitTest(absltest.TestCase):
  def test_by_hand(self):
    # Right throughout; wrong throughout; wrong for good from the third; wrong
    # in between; in the other half.
    correct = np.array(
      [
        [1, 0, 1, 1, NAN],
        [1, 0, 1, 0, NAN],
        [1, 0, 0, 1, NAN],
        [1, 0, 0, 0, NAN],
      ]
    )

    when, never = second_split.second_split_forgetting(correct=correct)

    np.testing.assert_array_equal(when, [NAN, 1, 3, 4, NAN])
    np.testing.assert_array_equal(never, [True, False, False, False, False])

  def test_retraining_takes_the_last_epoch(self):
    moved = np.array([[0.5, NAN], [0.1, NAN], [0.3, NAN]])

    def found(**settings):
      return second_split.holdout_retraining(divergence=moved, **settings)

    np.testing.assert_array_equal(found(), [0.3, NAN])
    np.testing.assert_array_equal(found(at=0.4), [0.5, NAN])
    np.testing.assert_allclose(found(at=None), [0.3, NAN])

  def test_divergence(self):
    # p = (3/4, 1/4), q = (1/4, 3/4): each direction is 3/4 ln 3 - 1/4 ln 3.
    before, after = np.log([[3.0, 1.0]]), np.log([[1.0, 3.0]])

    np.testing.assert_allclose(
      second_split.symmetric_divergence(before, after), [np.log(3) / 2]
    )
    # Constants added to logits change no prediction; all equal: 0.
    np.testing.assert_allclose(
      second_split.symmetric_divergence(before, before + 7), [0], atol=1e-15
    )
    # Probabilities of exp(-2000) are 0 as floats; their logarithms are not.
    far = second_split.symmetric_divergence(
      np.array([[0.0, -2000.0]]), np.array([[-2000.0, 0.0]])
    )
    np.testing.assert_allclose(far, [2000])


if __name__ == "__main__":
  absltest.main()
