"""What a study needs on disk before its first run."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

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


class LeftSubsetsTest(absltest.TestCase):
  def test_only_those_of_a_broken_set_up_are_replaced(self):
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    other, config = made_up.config(seed=1), made_up.config()
    directory = made_up.make(root / "study", other, runs=())
    path = directory.in_mask_path("r0.70")

    def prepare(may_remove):
      preparation._prepare_subsets(
        directory, config, "r0.70", made_up.NUM_TRAIN, may_remove
      )

    for may_remove in (False, True):  # config.json is there
      with self.assertRaisesRegex(errors.StudyError, "drawn from the seed"):
        prepare(may_remove)
    directory.config_path.unlink()
    with self.assertRaisesRegex(errors.StudyError, "drawn from the seed"):
      prepare(False)
    np.testing.assert_array_equal(np.load(path), made_up.masks_of(other))

    prepare(True)

    np.testing.assert_array_equal(np.load(path), made_up.masks_of(config))

  def test_more_than_are_planned_are_kept_if_the_seed_gives_them(self):
    """A launch that extends the study writes subsets before config.json."""
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    config = made_up.config(num_subsets=10)
    directory = made_up.make(root / "study", config)
    path = directory.in_mask_path("r0.70")
    longer = made_up.masks_of(made_up.config(num_subsets=30))
    np.save(path, longer)

    def prepare(settings):
      return preparation._prepare_subsets(
        directory, settings, "r0.70", made_up.NUM_TRAIN, False
      )

    self.assertLen(prepare(config), 10)
    self.assertLen(prepare(made_up.config(num_subsets=20)), 20)
    np.testing.assert_array_equal(np.load(path), longer)
    longer[25, 3] ^= True
    np.save(path, longer)
    with self.assertRaisesRegex(errors.StudyError, "drawn from the seed"):
      prepare(config)


if __name__ == "__main__":
  absltest.main()
