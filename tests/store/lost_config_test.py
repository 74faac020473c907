"""A study that has lost its config.json is still that study."""

import pathlib
import shutil
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import errors
from memo_tf.store import opening
from memo_tf.store import sealed
from tests.support import made_up


class LostConfigTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = made_up.config()
    self.directory = made_up.make(root / "study", self.config)
    self.directory.config_path.unlink()

  def test_the_same_flags_give_the_config(self):
    opening.open_directory(self.directory)

    found = opening.recorded_config(self.directory, self.config)

    self.assertEqual(found, self.config)

  def test_more_subsets_extend_the_study(self):
    config = made_up.config(num_subsets=20)

    self.assertEqual(opening.recorded_config(self.directory, config), config)

  @parameterized.parameters(
    ({"seed": 1}, "--seed: recorded 0, given 1"),
    ({"epochs": 21}, "--epochs: recorded 20, given 21"),
    ({"num_subsets": 3}, "--num_subsets: .*00003 was run, given 3"),
  )
  def test_other_flags_are_refused(self, changes, words):
    # Of the seed, the data set has a record as well.
    with self.assertRaisesRegex(errors.UsageError, f"lost its .*{words}"):
      opening.recorded_config(self.directory, made_up.config(**changes))

  def test_an_onion_is_refused_by_another_number(self):
    family = "r0.70-without-memorized-t0.25-cifar_resnet-8"
    mask = made_up.masks_of(self.config)[1]
    made_up.write_run(self.directory, self.config, 1, family=family, mask=mask)

    with self.assertRaisesRegex(
      errors.UsageError, "--onion_subsets: .*00001 was run, given 0"
    ):
      opening.recorded_config(self.directory, self.config)

  def test_other_flags_are_refused_without_the_data_set_too(self):
    shutil.rmtree(self.directory.dataset_dir)

    with self.assertRaisesRegex(
      errors.UsageError, "--seed: recorded 0, given 1"
    ):
      opening.recorded_config(self.directory, made_up.config(seed=1))

  @parameterized.parameters(
    ("threads", 2, "--threads_per_unit: recorded 2, given 1"),
    ("subset_digest", "e" * 32, "00001 has subset_digest eee"),
    ("dataset_digest", "e" * 32, "00001 has dataset_digest eee"),
    ("format_version", 1, "older memo_tf"),
  )
  def test_one_run_that_differs_is_enough(self, name, value, words):
    path = self.directory.run_dir(made_up.unit(1)) / "run.json"
    record = sealed.loads(path.read_bytes()) | {name: value}
    path.write_text(sealed.dumps(record))

    with self.assertRaisesRegex(errors.UsageError, words):
      opening.recorded_config(self.directory, self.config)

  def test_a_damaged_run_says_nothing(self):
    path = self.directory.run_dir(made_up.unit(1)) / "run.json"
    path.write_text("{")

    found = opening.recorded_config(self.directory, self.config)

    self.assertEqual(found, self.config)

  def test_without_runs_it_is_no_study(self):
    shutil.rmtree(self.directory.root / "runs")
    (self.directory.root / "runs").mkdir()
    before = sorted(self.directory.root.rglob("*"))

    with self.assertRaisesRegex(
      errors.UsageError, "holds 'runs' and no config.json"
    ):
      opening.open_directory(self.directory)

    self.assertEqual(sorted(self.directory.root.rglob("*")), before)

  def test_a_set_up_that_broke_off_decides_nothing(self):
    shutil.rmtree(self.directory.root / "runs")
    config = made_up.config(seed=1)

    self.assertEqual(opening.recorded_config(self.directory, config), config)

  def test_status_says_so(self):
    with self.assertRaisesRegex(errors.StudyError, "has no config.json"):
      opening.recorded_config(self.directory)


if __name__ == "__main__":
  absltest.main()
