"""What a launch says while it waits."""

import pathlib

from absl.testing import absltest

from memo_tf.running import progress


class WaitingTest(absltest.TestCase):
  def test_says_nothing_at_first_and_then_something_each_minute(self):
    lines = []
    waiting = progress.Waiting(
      "Preparing x", pathlib.Path("work/log"), lines.append
    )

    for second in range(140):
      waiting(float(second))

    self.assertEqual(
      lines,
      [
        f"Preparing x: {second} s so far; see work/log"
        for second in (15, 75, 135)
      ],
    )


if __name__ == "__main__":
  absltest.main()
