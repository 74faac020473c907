"""From runs without some examples to differences, files, and the page."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.experiment import errors
from memo_tf.experiment import removal as removal_lib
from memo_tf.findings import removal
from memo_tf.report import material
from memo_tf.report.sections import removal as section_lib
from memo_tf.scoring import study as scoring
from memo_tf.store import predictions
from memo_tf.store import selections
from tests.store import checkup_test
from tests.store import selections_test
from tests.support import made_up
from tests.support import page_data
from tests.support import page_study

MODEL = made_up.GROUP.model
FAMILY, CONTROL = selections_test.FAMILY, selections_test.CONTROL
TARGETED = f"without-targeted-{MODEL}"
TARGETED_RANDOM = f"without-targeted_random-{MODEL}"
# Right answers of 3 repeats on the 5 test images, by family.
RIGHT = {
  FAMILY: [[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [1, 1, 0, 1, 0]],
  CONTROL: [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
  TARGETED: [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]],
  TARGETED_RANDOM: [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
}


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = selections_test.config(
      removal_repeats=4, removal_comparisons=("same_classes", "targeted")
    )
    self.directory = made_up.make(self.root / "a study", self.config)
    for family in RIGHT:
      targeted = removal_lib.parse(family).threshold is None
      selections.write(
        self.directory,
        dataclasses.replace(
          selections_test.SELECTION,
          family=family,
          test_ids=(3, 4) if targeted else (),
        ),
      )
    masks = selections.in_masks(
      self.directory, self.config, tuple(RIGHT), made_up.NUM_TRAIN
    )
    for family, right in RIGHT.items():
      np.save(self.directory.in_mask_path(family), masks[family])
      for m, row in enumerate(right):
        self.write_run(family, m, row, masks[family][m])

  def write_run(self, family, index, right, mask):
    made_up.write_run(
      self.directory,
      self.config,
      index,
      family=family,
      mask=mask,
      right=np.array(right, bool),
    )

  def study(self):
    plan = selections.plan(self.directory, self.config)
    [found] = removal.study_removal(self.directory, plan)
    return found

  def effect(self, found, comparison, tests):
    table = found.effects.set_index(["comparison", "tests"])
    return table.loc[(comparison, tests)]

  def test_differences_of_the_shared_repeats(self):
    found = self.study()

    row = self.effect(found, "same_classes", "all")
    # Right of 5: 4, 4, 5 against 2, 2, 3.
    self.assertAlmostEqual(row["difference"], (13 - 7) / 15)
    self.assertEqual((row["num_repeats"], row["num_tests"]), (3, 5))
    self.assertEqual((row["num_removed"], row["threshold"]), (3, 0.25))
    # The same in every repeat: the width is that of steps of 1/5.
    error = np.sqrt(1 / (12 * 25) / 3)
    self.assertAlmostEqual(row["ci_low"], 0.4 - 4.30265 * error, places=5)

  def test_the_share_of_the_test_images_of_the_pairs(self):
    row = self.effect(self.study(), "targeted", "of_pairs")

    # Lost on images 3 and 4: 2, 2, 1 of 2, 2, 1 lost in all.
    self.assertEqual(row["explained_share"], 1.0)
    self.assertAlmostEqual(row["difference"], 5 / 6)
    self.assertEqual(row["num_tests"], 2)

  def test_a_repeat_that_one_arm_lacks_is_left_out(self):
    unit = dataclasses.replace(made_up.unit(1), subsets=CONTROL)
    self.directory.move_aside(unit)

    row = self.effect(self.study(), "same_classes", "all")

    self.assertEqual(row["num_repeats"], 2)
    self.assertAlmostEqual(row["difference"], (9 - 5) / 10)

  def test_without_test_images_that_have_a_near_duplicate(self):
    path = self.directory.dataset_dir / "examples.parquet"
    table = pd.read_parquet(path)
    twins = np.full(len(table), -1)
    twins[made_up.NUM_TRAIN + 2] = 5  # test image 2
    table.assign(near_duplicate_of_train=twins).to_parquet(path)

    row = self.effect(self.study(), "same_classes", "without_near_duplicates")

    # Without image 2: 3, 3, 4 against 2, 2, 3.
    self.assertEqual(row["num_tests"], 4)
    self.assertAlmostEqual(row["difference"], 3 / 12)

  def test_files(self):
    found = self.study()

    folder = self.directory.root / "findings/removal" / MODEL / "one_hot"
    for name, frame in found.tables().items():
      read = pd.read_parquet(folder / f"{name}.parquet")
      pd.testing.assert_frame_equal(read, frame)
      self.assertLen(pd.read_csv(folder / f"{name}.csv"), len(frame))
    runs = found.runs.set_index(["arm", "index"])
    self.assertLen(runs, 12)
    self.assertEqual(runs.loc[("memorized", 2), "test_accuracy"], 3 / 5)

  def test_in_accuracy_is_that_of_the_runs_own_examples(self):
    unit = dataclasses.replace(made_up.unit(0), subsets=FAMILY)
    run = predictions.read_run(self.directory, unit).to_pandas()
    own = run[run["in_subset"] & (run["split"] == "train")]

    runs = self.study().runs.set_index(["arm", "index"])

    self.assertEqual(
      runs.loc[("memorized", 0), "in_accuracy"],
      (own["label"] == own["predicted"]).mean(),
    )

  def test_nothing_is_said_before_there_are_runs(self):
    for family in (FAMILY, CONTROL):
      for m in range(3):
        unit = dataclasses.replace(made_up.unit(m), subsets=family)
        self.directory.move_aside(unit)

    found = self.study()

    self.assertRegex(found.notes[0], "no repeat is finished")
    self.assertEqual(set(found.effects["comparison"]), {"targeted"})

  def test_damaged_runs_are_named(self):
    unit = dataclasses.replace(made_up.unit(1), subsets=CONTROL)
    path = self.directory.run_dir(unit) / "predictions.parquet"
    checkup_test.flip(path)  # neither size nor time tell

    plan = selections.plan(self.directory, self.config)
    with self.assertRaises(errors.DamagedRunError):
      removal.read(self.directory, plan)

  def test_such_families_have_no_scores(self):
    plan = selections.plan(self.directory, self.config)

    results = scoring.score_study(self.directory, plan)

    self.assertEqual([r.group for r in results], [made_up.GROUP])
    folders = {p.name for p in (self.directory.root / "scores").glob("*/*/*")}
    self.assertEqual(folders, {"r0.70"})

  def test_page(self):
    found = self.study()
    root = self.root / "page"
    group = page_study.make_group()
    path = page_study.write(
      root, [group], removal=self.config.removal, removed=[found]
    )

    text = page_data.Page(path).text

    self.assertIn("Without the memorized images", text)
    for sentence in found.sentences:
      self.assertIn(sentence, text)

  def test_page_without_runs_says_why(self):
    study = material.Material(
      directory=self.directory,
      config=self.config,
      results=[],
      failures={},
      settings="",
      studies=(),
      compared=(),
      info={},
    )

    made = section_lib.make(study)

    self.assertRegex(made.reason, "rerun the same command")
    plain = dataclasses.replace(study, config=made_up.config())
    self.assertIsNone(section_lib.make(plain))


if __name__ == "__main__":
  absltest.main()
