"""The recipe frozen in whole studies: one source for all, killed, extended."""

import functools
import pathlib

from absl.testing import absltest
import pandas as pd
import pytest

import memo_tf
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.findings import frozen
from memo_tf.store import directory as directory_lib
from tests.support import small_study

MODEL = small_study.MODEL
MODELS = ("cifar_resnet-8-w0.25", MODEL)
FULL = tuple(
  work_units.WorkUnit(model, "one_hot", "full", 0) for model in MODELS
)


class PlanTest(absltest.TestCase):
  def plan(self, recipes=("one_hot", "frozen"), **changes):
    config = config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(models=MODELS, recipes=recipes),
      subsets=settings_lib.SubsetsConfig(num_subsets=3, **changes),
    )
    return plan_lib.Plan.of(config_rules.validated(config))

  def test_one_run_on_all_examples_serves_every_subset_and_family(self):
    plan = self.plan(subset_families=("r0.50",))

    units = [u for u in plan.units if u.recipe == "frozen"]
    self.assertLen(units, 12)
    for unit in units:
      source = work_units.WorkUnit(unit.model, "one_hot", "full", 0)
      self.assertEqual(plan.requires(unit), (source,))
    self.assertLen(plan.units, 12 + 12 + len(MODELS))
    first, second = plan.waves(plan.units)
    self.assertContainsSubset(FULL, first)
    self.assertCountEqual(second, units)
    for unit, wanted in plan.wanted.items():
      self.assertEqual(plan_lib.WEIGHTS in wanted, unit in FULL, unit)

  def test_a_student_of_a_teacher_that_sees_all_has_its_own(self):
    plan = self.plan(("frozen", f"distilled-{MODEL}-t3-sees_all"))

    group = FULL[1].group
    full = [unit.index for unit in plan.units if unit.group == group]
    self.assertEqual(sorted(full), [0, 1, 2])

  def test_only_index_0_of_full_is_accepted(self):
    plan = self.plan()
    unit = work_units.WorkUnit(MODEL, "frozen", "r0.70", 2)
    recipe = plan.recipes["frozen"]

    plan_lib.check_same_subset(unit, FULL[1], recipe)
    for wrong in (("full", 2), ("r0.70", 2), ("r0.70", 0)):
      needed = work_units.WorkUnit(MODEL, "one_hot", *wrong)
      with self.assertRaisesRegex(ValueError, "on full, here of index 0"):
        plan_lib.check_same_subset(unit, needed, recipe)

  def test_removal_needs_models_that_lack_what_is_left_out(self):
    config = config_lib.StudyConfig(
      models=settings_lib.ModelsConfig(recipes=("frozen", "one_hot")),
      removal=settings_lib.RemovalConfig(removal_repeats=2),
    )

    with self.assertRaisesRegex(ValueError, "--removal_repeats: .* frozen"):
      config_rules.validated(config)


@pytest.mark.slow
class FrozenStudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path) / "study"

  def launch(self, *more, **settings):
    done = small_study.launch(self.folder, *more, **settings)
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    return done

  def has_finished(self, count: int) -> bool:
    return len(small_study.finished_runs(self.folder)) >= count

  def test_wrong_labels_are_memorized_by_whole_models_alone(self):
    settings = {
      "recipes": "one_hot,frozen,frozen-e10",
      "epochs": 30,
      "batch_size": 64,
      "workers": 1,
    }

    dry = self.launch("--dry_run", **settings)
    self.launch(**settings)

    self.assertRegex(dry.stdout, rf"{MODEL}/one_hot/full +1 ")
    self.assertIn("31 runs pending", dry.stdout)
    place = self.folder / "findings" / "frozen" / MODEL / "r0.70"
    table = pd.read_parquet(place / "figures.parquet")
    for recipe in ("frozen", "frozen-e10"):
      rows = table[table["recipe"] == recipe].set_index("figure")
      self.assertGreater(rows.loc[frozen.WRONG, "one_hot"], 0.8)
      self.assertLess(rows.loc[frozen.WRONG, "frozen_high"], 0.3)
      for figure in (frozen.WRONG, frozen.MEMORIZATION, frozen.AT_LEAST):
        self.assertLess(rows.loc[figure, "change_high"], 0, figure)
    page = (self.folder / "report" / "index.html").read_text()
    self.assertIn("Only the last layer trained", page)
    scores = memo_tf.Study.open(self.folder).scores(recipe="frozen")
    self.assertEqual(set(scores["recipe"]), {"frozen"})
    self.assertLen(scores, 1500)

    # Its weights were not kept: it is trained again, and must reproduce.
    unit = work_units.WorkUnit(MODEL, "frozen", "r0.70", 4)
    done = small_study.run(
      [
        *small_study.command(None, program="export")[:3],
        f"--experiment_dir={self.folder}",
        f"--unit={unit.name}",
        f"--output_dir={self.folder.parent / 'exported'}",
      ]
    )
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

  def test_killed_at_any_moment_it_ends_in_the_same_arrays(self):
    settings = {
      "models": ",".join(MODELS),
      "recipes": "one_hot,frozen",
      "num_subsets": 4,
      "materialize_subsets": True,
    }
    whole = self.folder.with_name("whole")
    done = small_study.launch(whole, **settings)
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    # In the first runs, about when frozen ones begin, and among these.
    for count in (1, 10, 13):
      process = small_study.start(self.folder, **settings)
      self.addCleanup(small_study.kill_all, process)
      small_study.wait_for(functools.partial(self.has_finished, count))
      small_study.kill_all(process)
    self.launch(**settings)

    self.assertEmpty(
      small_study.differences(
        small_study.arrays(self.folder), small_study.arrays(whole)
      )
    )
    directory = directory_lib.StudyDirectory(self.folder)
    self.assertLen(small_study.finished_runs(self.folder), 18)
    self.assertTrue(directory.subset_shard_dir("full", 0).exists())
    self.assertFalse(directory.subset_shard_dir("full", 1).exists())


if __name__ == "__main__":
  absltest.main()
