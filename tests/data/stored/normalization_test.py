"""Mean and standard deviation per channel, by hand."""

from absl.testing import absltest
import numpy as np

from memo_tf.data.stored import normalization


class NormalizationTest(absltest.TestCase):
  def test_normalization_by_hand(self):
    images = np.array([0, 2, 4, 6], np.uint8).reshape(2, 1, 1, 2)

    found = normalization.normalization(images)

    # Channel 0 holds 0 and 4, channel 1 holds 2 and 6.
    self.assertEqual(found, {"mean": [2.0, 4.0], "std": [2.0, 2.0]})
    constant = normalization.normalization(np.full((3, 2, 2, 1), 7, np.uint8))
    self.assertEqual(constant, {"mean": [7.0], "std": [1.0]})


if __name__ == "__main__":
  absltest.main()
