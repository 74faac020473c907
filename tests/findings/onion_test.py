"""From runs before and after to changes, files, and the page."""

import dataclasses
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.analysis import onion as analysis
from memo_tf.experiment import errors
from memo_tf.experiment import removal as removal_lib
from memo_tf.findings import onion
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
FAMILY = f"r0.70-{selections_test.FAMILY}"
CONTROL = f"r0.70-{selections_test.CONTROL}"
NUM_RUNS, NUM_COMPARED = 12, 6


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.make(NUM_COMPARED, NUM_RUNS)

  def make(self, num_compared, num_runs, finished=None):
    self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.num_compared = num_compared
    base = made_up.config(num_subsets=num_runs, batch_size=8)
    self.config = dataclasses.replace(
      base,
      removal=dataclasses.replace(base.removal, onion_subsets=num_compared),
    )
    self.directory = made_up.make(
      self.root / "a study", self.config, range(finished or num_runs)
    )
    for family in (FAMILY, CONTROL):
      selections.write(
        self.directory,
        dataclasses.replace(
          selections_test.SELECTION,
          family=family,
          about={"runs": list(range(num_compared, num_runs))},
        ),
      )
    self.masks = selections.in_masks(
      self.directory, self.config, (FAMILY, CONTROL), made_up.NUM_TRAIN
    )
    for seed, (family, mask) in enumerate(self.masks.items()):
      np.save(self.directory.in_mask_path(family), mask)
      for m in range(num_compared):
        self.write_run(family, m, logits_seed=seed + 1)

  def write_run(self, family, index, **more):
    made_up.write_run(
      self.directory,
      self.config,
      index,
      family=family,
      mask=self.masks[family][index],
      **more,
    )

  def plan(self):
    return selections.plan(self.directory, self.config)

  def study(self):
    plan = self.plan()
    results = scoring.score_study(self.directory, plan)
    [found] = onion.study_onion(self.directory, plan, results)
    return found

  def correct(self, family):
    units = [
      dataclasses.replace(made_up.unit(m), subsets=family)
      for m in range(self.num_compared)
    ]
    return predictions.stack_runs(self.directory, units).correct

  def left_out(self):
    """bool [N]: of both arms."""
    return [~self.masks[family].any(axis=0) for family in (FAMILY, CONTROL)]

  def test_scores_by_arm(self):
    table = self.study().examples

    self.assertLen(table, made_up.NUM_TRAIN)
    memorized, control = self.left_out()
    np.testing.assert_array_equal(table["left_out_memorized"], memorized)
    np.testing.assert_array_equal(table["left_out_control"], control)
    for arm, family in (
      ("before", "r0.70"),
      ("memorized", FAMILY),
      ("control", CONTROL),
    ):
      mask = made_up.masks_of(self.config)[:NUM_COMPARED]
      if family != "r0.70":
        mask = self.masks[family]
      right = self.correct(family)
      for n, found in enumerate(table[f"memorization_{arm}"]):
        inside, outside = right[mask[:, n], n], right[~mask[:, n], n]
        if len(inside) and len(outside):
          self.assertAlmostEqual(found, inside.mean() - outside.mean())
        else:
          self.assertTrue(np.isnan(found), n)

  def test_what_is_left_out_has_no_score_and_is_never_0(self):
    table = self.study().examples

    memorized, _ = self.left_out()
    self.assertTrue(table.loc[memorized, "memorization_memorized"].isna().all())
    columns = [c for c in table if c.endswith("before_memorized")]
    self.assertLen(columns, 2)
    self.assertTrue(table.loc[memorized, columns].isna().all().all())

  def test_changes_are_of_what_all_arms_keep(self):
    found = self.study()

    kept = ~np.any(self.left_out(), axis=0)
    mask = made_up.masks_of(self.config)[:NUM_COMPARED][:, kept]
    arms = {
      "control": self.correct(CONTROL)[:, kept],
      "memorized": self.correct(FAMILY)[:, kept],
    }
    _, expected = analysis.mean_changes(
      arms, mask, np.zeros(NUM_COMPARED, int), (("control", "memorized"),)
    )
    row = found.changes.set_index(["from_arm", "to_arm"]).loc[
      ("control", "memorized")
    ]
    self.assertEqual(row["num_examples"], kept.sum())
    self.assertEqual((row["num_runs"], row["threshold"]), (NUM_COMPARED, 0.25))
    for name in ("memorization", "memorization_low", "detectable"):
      self.assertAlmostEqual(row[name], expected.loc[0, name])
    layer = analysis.layer(arms["control"], arms["memorized"], mask, 0.25)
    self.assertEqual(row["newly"], layer.newly)
    self.assertEqual(row["noise_high"], layer.noise_high)

  def test_eight_blocks_of_runs_are_drawn_whole(self):
    self.make(num_compared=80, num_runs=160, finished=80)

    changes = self.study().changes

    kept = ~np.any(self.left_out(), axis=0)
    arms = {"b": self.correct("r0.70")[:, kept]}
    arms["m"] = self.correct(FAMILY)[:, kept]
    mask = made_up.masks_of(self.config)[:80, kept]
    runs = np.arange(80)
    _, whole = analysis.mean_changes(arms, mask, runs // 10, (("b", "m"),))
    _, single = analysis.mean_changes(arms, mask, runs, (("b", "m"),))
    for name in ("memorization_low", "detectable"):
      self.assertAlmostEqual(changes.loc[0, name], whole.loc[0, name])
      self.assertNotAlmostEqual(changes.loc[0, name], single.loc[0, name])

  def test_runs_that_selected_are_not_compared(self):
    path = selections.path(self.directory, FAMILY)
    path.unlink()
    selections.write(
      self.directory,
      dataclasses.replace(
        selections_test.SELECTION,
        family=FAMILY,
        about={"runs": [0, 1, *range(NUM_COMPARED, NUM_RUNS)]},
      ),
    )

    self.assertEqual(set(self.study().changes["num_runs"]), {NUM_COMPARED - 2})

  def test_a_run_that_one_arm_lacks_is_left_out(self):
    unit = dataclasses.replace(made_up.unit(1), subsets=CONTROL)
    self.directory.move_aside(unit)

    self.assertEqual(set(self.study().changes["num_runs"]), {NUM_COMPARED - 1})

  def test_stuck_runs_are_excluded_where_scores_exclude_them(self):
    for m in range(NUM_COMPARED):
      self.directory.move_aside(
        dataclasses.replace(made_up.unit(m), subsets=FAMILY)
      )
      self.write_run(FAMILY, m, fits=m != 3)

    self.assertEqual(set(self.study().changes["num_runs"]), {NUM_COMPARED})
    outputs = dataclasses.replace(
      self.config.outputs, exclude_flagged_runs=True
    )
    self.config = dataclasses.replace(self.config, outputs=outputs)
    self.assertEqual(set(self.study().changes["num_runs"]), {NUM_COMPARED - 1})

  def test_without_runs_it_says_so(self):
    for m in range(NUM_COMPARED):
      unit = dataclasses.replace(made_up.unit(m), subsets=CONTROL)
      self.directory.move_aside(unit)

    found = self.study()

    self.assertEqual(found.sentences, ())
    self.assertRegex(found.notes[0], "no run is finished in both arms")
    self.assertTrue(found.changes.empty)

  def test_runs_on_other_subsets_are_refused(self):
    masks = self.masks[FAMILY].copy()
    masks[2, 0] = ~masks[2, 0]
    np.save(self.directory.in_mask_path(FAMILY), masks)
    self.masks[FAMILY] = masks
    self.directory.move_aside(
      dataclasses.replace(made_up.unit(2), subsets=FAMILY)
    )
    self.write_run(FAMILY, 2)

    with self.assertRaisesRegex(errors.StudyError, "restore it from a copy"):
      self.study()

  def test_damaged_runs_are_named(self):
    unit = dataclasses.replace(made_up.unit(1), subsets=CONTROL)
    path = self.directory.run_dir(unit) / "predictions.parquet"
    checkup_test.flip(path)  # neither size nor time tell

    with self.assertRaises(errors.DamagedRunError):
      onion.read(self.directory, self.plan())

  def test_files_and_page(self):
    found = self.study()

    folder = self.directory.root / "findings/onion" / MODEL / "one_hot"
    for name, frame in found.tables().items():
      read = pd.read_parquet(folder / f"{name}.parquet")
      pd.testing.assert_frame_equal(read, frame)
      self.assertLen(pd.read_csv(folder / f"{name}.csv"), len(frame))
    path = page_study.write(
      self.root / "page",
      [page_study.make_group()],
      removal=self.config.removal,
      onions=[found],
    )
    text = page_data.Page(path).text
    self.assertIn("do other images become memorized", text)
    for sentence in found.sentences:
      self.assertIn(sentence, text)

  def test_page_before_the_selection_says_why(self):
    for family in (FAMILY, CONTROL):
      selections.path(self.directory, family).unlink()

    found = self.study()

    self.assertRegex(found.notes[0], "nothing is selected yet")
    part = section_lib.make_onion(found)
    self.assertEqual(part["rows"], [])

  def test_removal_leaves_it_alone(self):
    plan = self.plan()

    self.assertEqual(set(plan.removed), {FAMILY, CONTROL})
    self.assertTrue(all(map(removal_lib.is_onion, plan.removed)))
    results = scoring.score_study(self.directory, plan)
    self.assertEqual([r.group for r in results], [made_up.GROUP])


if __name__ == "__main__":
  absltest.main()
