"""What a study needs on disk before its first run."""

import pathlib
import tempfile

from absl.testing import absltest

from memo_tf.experiment import errors
from memo_tf.running import preparation
from tests.support import made_up


class SameDataTest(absltest.TestCase):
  def test_a_data_set_written_anew_must_be_the_one_that_runs_saw(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    directory = made_up.make(root / "study", made_up.config())
    preparation._check_same_as_runs(directory)  # it is

    path = directory.dataset_dir / "info.json"
    made_up.change(path, digest="e" * 32)

    with self.assertRaisesRegex(
      errors.StudyError, "can no longer be reproduced"
    ):
      preparation._check_same_as_runs(directory)
    # Moved, not deleted.
    self.assertFalse(directory.dataset_dir.exists())
    self.assertLen(list((root / "study/damaged").rglob("info.json")), 1)


if __name__ == "__main__":
  absltest.main()
