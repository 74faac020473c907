"""Distilled students in a study: the teacher saw what the student saw."""

import pathlib
import shutil

from absl.testing import absltest
import numpy as np
import pytest

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import sealed
from tests.support import made_up
from tests.support import shared_studies
from tests.support import small_study

TEACHER = shared_studies.TEACHER
SMALL = shared_studies.DISTILLED
RECIPE = SMALL["recipes"]
FAMILIES = ("r0.70", "r0.50")


def setUpModule():
  global STUDY
  STUDY = shared_studies.finished("distilled").folder


def pairs():
  """(student, teacher) units of the study."""
  return [
    (
      work_units.WorkUnit(small_study.MODEL, RECIPE, family, index),
      work_units.WorkUnit(TEACHER, "one_hot", family, index),
    )
    for family in FAMILIES
    for index in range(2)
  ]


class DistilledStudyTest(absltest.TestCase):
  def test_masks_of_teacher_and_student_are_equal_in_every_run(self):
    directory = directory_lib.StudyDirectory(STUDY)
    self.assertLen(small_study.finished_runs(STUDY), 8)
    for student, teacher in pairs():
      masks = [
        predictions.read_run(directory, unit)["in_subset"].to_numpy()
        for unit in (student, teacher)
      ]
      planned = np.load(directory.in_mask_path(student.subsets))[student.index]
      for mask in masks:
        np.testing.assert_array_equal(mask[:1500], planned)
      records = [
        directory.run_state(unit, check_digests=True).record
        for unit in (student, teacher)
      ]
      self.assertEqual(records[0]["subset_digest"], records[1]["subset_digest"])
      taught = records[0]["teacher"]
      self.assertEqual(taught["unit"], teacher.name)
      self.assertEqual(taught["subset_digest"], records[0]["subset_digest"])

  def test_teachers_came_first_and_keep_their_weights(self):
    for student, teacher in pairs():
      paths = [STUDY / "runs" / u.name for u in (teacher, student)]
      self.assertTrue((paths[0] / "weights.weights.h5").exists())
      self.assertFalse((paths[1] / "weights.weights.h5").exists())
      first, second = ((path / "run.json").stat().st_mtime_ns for path in paths)
      self.assertLess(first, second)

  @pytest.mark.slow
  def test_a_student_alone_waits_for_its_teacher(self):
    folder = pathlib.Path(self.create_tempdir().full_path) / "study"
    shared_studies.copy("distilled", folder)
    student, teacher = pairs()[0]
    aside = folder.with_name("aside")
    shutil.move(folder / "runs" / teacher.name, aside)
    shutil.rmtree(folder / "runs" / student.name)
    only = f"--work_units={student.name}"

    alone = small_study.launch(folder, only, **SMALL)
    shutil.move(aside, folder / "runs" / teacher.name)
    taught = small_study.launch(folder, only, **SMALL)

    self.assertEqual(alone.returncode, 2, alone.stderr)
    self.assertIn(f"needs the weights of {teacher.name}", alone.stderr)
    self.assertEqual(taught.returncode, 0, taught.stderr)
    self.assertIn("0 done, 1 to run", taught.stderr)
    self.assertEmpty(
      small_study.differences(
        small_study.arrays(folder), small_study.arrays(STUDY)
      )
    )

  def test_a_plan_with_a_teacher_on_another_subset_is_refused(self):
    folder = pathlib.Path(self.create_tempdir().full_path) / "new"
    for recipe in (f"{RECIPE}-full", f"{RECIPE}-r0.50"):
      result = small_study.launch(folder, **{**SMALL, "recipes": recipe})

      self.assertEqual(result.returncode, 2, result.stderr)
      self.assertIn("exactly the student's subset", result.stderr)
      self.assertFalse(folder.exists())

  def test_a_recorded_teacher_of_another_subset_is_refused(self):
    folder = pathlib.Path(self.create_tempdir().full_path) / "study"
    shared_studies.copy("distilled", folder)
    student, teacher = pairs()[0]
    other = pairs()[1][1]
    stolen = folder / "runs" / teacher.name
    digest = sealed.loads((stolen / "run.json").read_bytes())["subset_digest"]
    shutil.rmtree(folder / "runs" / student.name)
    shutil.rmtree(stolen)
    shutil.copytree(folder / "runs" / other.name, stolen)
    made_up.change(stolen / "run.json", unit=teacher.name)

    result = small_study.launch(folder, **SMALL)

    self.assertEqual(result.returncode, 1, result.stderr)
    self.assertIn("not of this study: its subset_digest", result.stderr)

    # What it recorded of every example is compared as well.
    made_up.change(stolen / "run.json", subset_digest=digest)

    result = small_study.launch(folder, **SMALL)

    self.assertEqual(result.returncode, 1, result.stderr)
    self.assertIn(
      f"was trained on another subset than {student.name}", result.stderr
    )
    self.assertNotIn("Traceback", result.stderr)
    self.assertFalse((folder / "runs" / student.name).exists())


class OtherTeacherTest(absltest.TestCase):
  @pytest.mark.slow
  def test_teachers_saw_what_the_recipe_says(self):
    folder = pathlib.Path(self.create_tempdir().full_path) / "study"
    recipes_of = {"full": f"{RECIPE}-sees_all"}
    recipes_of["r0.70-complement"] = f"{RECIPE}-sees_complement"
    settings = {"num_subsets": 2, "epochs": 2, "workers": 1}
    settings["recipes"] = ",".join(recipes_of.values())

    result = small_study.launch(folder, **settings)

    self.assertEqual(result.returncode, 0, result.stderr)
    directory = directory_lib.StudyDirectory(folder)
    planned = np.load(directory.in_mask_path("r0.70"))
    for family, recipe in recipes_of.items():
      for index in range(2):
        teacher = work_units.WorkUnit(TEACHER, "one_hot", family, index)
        student = work_units.WorkUnit(small_study.MODEL, recipe, "r0.70", index)
        masks = [
          predictions.read_run(directory, unit)["in_subset"].to_numpy()[:1500]
          for unit in (student, teacher)
        ]
        saw = np.ones(1500, bool) if family == "full" else ~planned[index]
        np.testing.assert_array_equal(masks[0], planned[index])
        np.testing.assert_array_equal(masks[1], saw)
        record = directory.run_state(student, check_digests=True).record
        self.assertEqual(record["teacher"]["unit"], teacher.name)

    # A teacher that recorded another subset than the recipe says is refused.
    student = work_units.WorkUnit(small_study.MODEL, recipe, "r0.70", 0)
    stolen = folder / "runs" / TEACHER / "one_hot" / family / "00000"
    digest = sealed.loads((stolen / "run.json").read_bytes())["subset_digest"]
    shutil.rmtree(folder / "runs" / student.name)
    shutil.rmtree(stolen)
    shutil.copytree(stolen.with_name("00001"), stolen)
    made_up.change(
      stolen / "run.json",
      unit=work_units.WorkUnit(TEACHER, "one_hot", family, 0).name,
      subset_digest=digest,
    )

    result = small_study.launch(folder, **settings)

    self.assertEqual(result.returncode, 1, result.stderr)
    self.assertIn(f"the examples that {recipe} says", result.stderr)
    self.assertNotIn("Traceback", result.stderr)


class RequirementTest(absltest.TestCase):
  def test_only_the_same_subset_is_accepted(self):
    name = "distilled-cifar_resnet-14-t3"
    for suffix, own, message in (
      ("", "r0.70", "exactly its own subset"),
      ("-sees_all", "full", "units trained on full"),
      ("-sees_complement", "r0.70-complement", "trained on r0.70-complement"),
    ):
      recipe = recipes.parse(name + suffix, settings_lib.TrainingConfig())
      unit = work_units.WorkUnit("a", name + suffix, "r0.70", 3)
      for family in ("r0.70", "full", "r0.50", "r0.70-complement"):
        for index in (3, 4):
          needed = work_units.WorkUnit("b", "one_hot", family, index)
          if (family, index) == (own, 3):
            plan_lib.check_same_subset(unit, needed, recipe)
            continue
          with self.assertRaisesRegex(ValueError, message):
            plan_lib.check_same_subset(unit, needed, recipe)

  def test_teachers_of_other_subsets_are_planned(self):
    name = "distilled-cifar_resnet-14-t3"
    config = config_rules.validated(
      config_lib.StudyConfig(
        models=settings_lib.ModelsConfig(
          models=("cifar_resnet-8",),
          recipes=(name, f"{name}-sees_all", f"{name}-sees_complement"),
        ),
        subsets=settings_lib.SubsetsConfig(num_subsets=2),
      )
    )

    plan = plan_lib.Plan.of(config)

    self.assertEqual(
      config.all_family_names(), ("r0.70", "full", "r0.70-complement")
    )
    self.assertEqual(config.family_names(), ("r0.70",))
    self.assertEqual(
      {plan.requires(unit)[0] for unit in plan.units if plan.requires(unit)},
      {
        work_units.WorkUnit("cifar_resnet-14", "one_hot", family, index)
        for family in config.all_family_names()
        for index in range(2)
      },
    )

  def test_a_complement_that_does_not_exist_is_refused(self):
    with self.assertRaisesRegex(ValueError, "--recipes: .*no complement"):
      config_rules.validated(
        config_lib.StudyConfig(
          models=settings_lib.ModelsConfig(
            recipes=("distilled-cifar_resnet-8-t3-sees_complement",)
          ),
          subsets=settings_lib.SubsetsConfig(subset_families=("full",)),
        )
      )

  def test_teachers_are_planned_and_first(self):
    config = config_rules.validated(
      config_lib.StudyConfig(
        models=settings_lib.ModelsConfig(
          models=("cifar_resnet-8",),
          recipes=("distilled-cifar_resnet-14-t3",),
        ),
        subsets=settings_lib.SubsetsConfig(num_subsets=2),
      )
    )

    plan = plan_lib.Plan.of(config)
    first, second = plan.waves(plan.units)
    wanted = plan.wanted

    self.assertEqual({u.recipe for u in first}, {"one_hot"})
    self.assertEqual([u.index for u in first], [0, 1])
    self.assertEqual([u.index for u in second], [0, 1])
    for unit in first:
      self.assertIn("weights.weights.h5", wanted[unit])
    for unit in second:
      self.assertNotIn("weights.weights.h5", wanted[unit])


if __name__ == "__main__":
  absltest.main()
