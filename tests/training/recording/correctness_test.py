"""What is right after each epoch, by hand, and across an interruption."""

from absl.testing import absltest
import numpy as np

from memo_tf.training.recording import correctness

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
PREDICTED = {
  1: np.zeros(9, int),
  2: np.array([0, 1, 0, 0, 1, 0, 0, 1, 0]),
  3: LABELS,
}


class CorrectnessTest(absltest.TestCase):
  def recorder(self):
    self.now = 0
    return correctness.Correctness(lambda: PREDICTED[self.now], LABELS, (1, 2))

  def after(self, recorder, *epochs):
    for epoch in epochs:
      self.now = epoch
      recorder.after_epoch(epoch)

  def test_hand_computed(self):
    found = self.recorder()
    self.after(found, 1, 2, 3)

    first, second = found.arrays(1), found.arrays(2)

    # Right: 1 0 0 1 0 0 1 0, 0 and padding; then 1 1 0 1 1 0 1 1, 0.
    self.assertEqual(first["correct"].tolist(), [0b10010010, 0])
    self.assertEqual(second["correct"].tolist(), [0b11011011, 0])
    self.assertEqual(first["num_examples"], 9)
    self.assertEqual(sorted(found.state()), ["1", "2"])  # not 3

  def test_goes_on_from_its_state(self):
    before, resumed = self.recorder(), self.recorder()
    self.after(before, 1)

    resumed.set_state(before.state())
    self.after(resumed, 2)

    self.assertEqual(resumed.arrays(1)["correct"].tolist(), [0b10010010, 0])
    self.assertEqual(resumed.arrays(2)["correct"].tolist(), [0b11011011, 0])


if __name__ == "__main__":
  absltest.main()
