"""A checkpoint is used for what it was made of, whole, or not at all."""

import pathlib
import tempfile

from absl.testing import absltest
import hypothesis
import numpy as np

from memo_tf.training import checkpoints
from tests.support import mutations

STATE = {"weight_0": np.arange(6.0), "step": np.array(3)}
HISTORY = [{"epoch": 1, "loss": 0.5}]


class CheckpointsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder) / "checkpoint.npz"
    checkpoints.save(self.path, "a/1", 1, HISTORY, STATE)

  def test_gives_what_was_saved(self):
    epoch, history, state = checkpoints.load(self.path, "a/1")

    self.assertEqual((epoch, history), (1, HISTORY))
    self.assertEqual(set(state), set(STATE))
    np.testing.assert_array_equal(state["weight_0"], STATE["weight_0"])

  def test_one_of_other_settings_is_not_used(self):
    for key in ("a/2", "a", "", "a/1/"):
      self.assertIsNone(checkpoints.load(self.path, key))

  def test_a_changed_file_is_not_used_or_gives_what_was_saved(self):
    whole = self.path.read_bytes()

    @hypothesis.settings(
      max_examples=300, deadline=None, derandomize=True, database=None
    )
    @hypothesis.given(mutations.of_bytes(whole))
    def load(content):
      self.path.write_bytes(content)
      found = checkpoints.load(self.path, "a/1")
      if found:
        self.assertEqual(found[:2], (1, HISTORY))
        for name, array in STATE.items():
          np.testing.assert_array_equal(found[2][name], array)

    load()


if __name__ == "__main__":
  absltest.main()
