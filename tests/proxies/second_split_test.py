"""Second-split forgetting against hand arithmetic."""

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


if __name__ == "__main__":
  absltest.main()
