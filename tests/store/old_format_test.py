"""A study of format 1 is read and scored, and never extended or rewritten."""

import io
import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from memo_tf import status
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.running import conductor
from memo_tf.running import planning
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from memo_tf.store import merging
from memo_tf.store import opening
from memo_tf.store import sealed
from tests.support import made_up


def make_old(root: pathlib.Path, runs=range(4)) -> directory_lib.StudyDirectory:
  """Writes a study as format 1 had it."""
  directory = made_up.make(root, made_up.config(), runs)
  content = sealed.loads(directory.config_path.read_bytes())
  content |= {"format_version": 1, "recipe": content.pop("training")}
  flags = directory.flags_path.read_text().split("\n", 1)[1]
  directory.flags_path.write_text(flags)
  paths = [directory.dataset_dir / "info.json", *directory.run_paths()]
  for path in paths:
    record = sealed.loads(path.read_bytes()) | {"format_version": 1}
    path.write_text(json.dumps(record))
  directory.config_path.write_text(json.dumps(content, indent=2) + "\n")
  return directory


class OldFormatTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def test_opens_with_a_warning(self):
    directory = make_old(self.root / "old")

    with self.assertLogs("absl", "WARNING") as logs:
      config = opening.recorded_config(directory)

    self.assertEqual(config, made_up.config())
    self.assertIn("made by an older memo_tf (format_version 1)", logs.output[0])
    self.assertTrue(opening.is_old(directory))

  def test_this_format_opens_without(self):
    directory = made_up.make(self.root / "new", made_up.config())

    with self.assertNoLogs("absl", "WARNING"):
      opening.recorded_config(directory)

    self.assertFalse(opening.is_old(directory))

  def test_is_scored(self):
    plan = plan_lib.Plan.of(made_up.config())
    old = make_old(self.root / "old")
    new = made_up.make(self.root / "new", made_up.config())

    (first,) = study.score_study(old, plan)
    (second,) = study.score_study(new, plan)

    self.assertTrue(
      first.scores.to_dataframe().equals(second.scores.to_dataframe())
    )

  def test_status_shows_it(self):
    directory = make_old(self.root / "old")

    with mock.patch("sys.stdout", new_callable=io.StringIO) as out:
      code = status.status(directory)

    self.assertEqual(code, 0)
    self.assertIn("All done.", out.getvalue())

  def test_nothing_pending_may_be_launched_again(self):
    directory = make_old(self.root / "old")

    opening.check_extensible(directory, [])

  def test_pending_runs_are_refused_and_nothing_is_written(self):
    directory = make_old(self.root / "old", runs=[0, 2])
    before = {
      path: path.read_bytes()
      for path in directory.root.rglob("*")
      if path.is_file()
    }

    with self.assertRaisesRegex(
      errors.UsageError,
      "read and scored, but not extended, and 2 of its runs are pending, such "
      "as cifar_resnet-8/one_hot/r0.70/00001: start a new --experiment_dir",
    ):
      conductor.launch(made_up.config(), directory)
    with self.assertRaisesRegex(errors.UsageError, "not extended"):
      planning.dry_run(made_up.config(), directory, [])

    after = {
      path: path.read_bytes()
      for path in directory.root.rglob("*")
      if path.is_file()
    }
    self.assertEqual(after, before)

  def test_more_subsets_are_refused(self):
    directory = make_old(self.root / "old")

    with self.assertRaisesRegex(errors.UsageError, "not extended"):
      conductor.launch(made_up.config(num_subsets=10), directory)

  def test_is_not_merged(self):
    directory = make_old(self.root / "old")

    with self.assertRaisesRegex(errors.UsageError, "not merged"):
      merging.merge(
        directory_lib.StudyDirectory(self.root / "into"), [directory]
      )


if __name__ == "__main__":
  absltest.main()
