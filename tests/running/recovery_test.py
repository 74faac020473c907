"""A study that has lost its config.json is still that study."""

import pathlib
import tempfile

from absl.testing import absltest

from memo_tf.experiment import errors
from memo_tf.experiment import flagfile
from memo_tf.running import preparation
from memo_tf.store import opening
from tests.support import made_up


class LostConfigTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(root / "study", self.config)
    self.flags = self.directory.root / "resolved.flags"
    self.flags.write_text(flagfile.resolved_flags(self.config))
    self.directory.config_path.unlink()

  def test_the_same_command_goes_on(self):
    opening.open_directory(self.directory)

    found = opening.recorded_config(self.directory, self.config)

    self.assertEqual(found, self.config)

  def test_another_study_is_refused(self):
    with self.assertRaisesRegex(
      errors.UsageError, "--seed: recorded 0, given 1"
    ):
      opening.recorded_config(self.directory, made_up.config(seed=1))

  def test_without_its_flags_nothing_is_touched(self):
    self.flags.unlink()
    before = sorted(self.directory.root.rglob("*"))

    with self.assertRaisesRegex(
      errors.UsageError, "holds 'runs' and no config.json"
    ):
      opening.open_directory(self.directory)

    self.assertEqual(sorted(self.directory.root.rglob("*")), before)

  def test_status_says_so(self):
    with self.assertRaisesRegex(errors.StudyError, "has no config.json"):
      opening.recorded_config(self.directory)


class SameDataTest(absltest.TestCase):
  def test_a_data_set_written_anew_must_be_the_one_that_runs_saw(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    directory = made_up.make(root / "study", made_up.config())
    preparation._check_same_as_runs(directory)  # it is

    path = directory.dataset_dir / "info.json"
    path.write_text(path.read_text().replace("d" * 32, "e" * 32))

    with self.assertRaisesRegex(errors.StudyError, "is not to be had again"):
      preparation._check_same_as_runs(directory)
    # Moved, not deleted.
    self.assertFalse(directory.dataset_dir.exists())
    self.assertLen(list((root / "study/damaged").rglob("info.json")), 1)


if __name__ == "__main__":
  absltest.main()
