"""Units of work: their names, the plan, and what must come first."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units

TRAINING = settings_lib.TrainingConfig()
BASE_OUTPUTS = {"predictions.parquet", "history.jsonl"}
WEIGHTS = "weights.weights.h5"


def student(name, settings):
  """`student-MODEL`: needs MODEL/one_hot."""
  teacher = name.partition("-")[2]
  return recipes.Recipe(name=name, required=((teacher, "one_hot"),), **settings)


def pupil(name, settings):
  """`pupil-MODEL`: needs a cifar_resnet-14 that MODEL taught."""
  needed = ("cifar_resnet-14", "student-" + name.partition("-")[2])
  return recipes.Recipe(name=name, required=(needed,), **settings)


def with_requirements():
  return mock.patch.dict(recipes.KINDS, {"student": student, "pupil": pupil})


def study(
  models=("cifar_resnet-8",),
  recipe_names=("one_hot",),
  num_subsets=3,
  families=(),
  **outputs,
):
  return config_lib.StudyConfig(
    models=settings_lib.ModelsConfig(models=models, recipes=recipe_names),
    subsets=settings_lib.SubsetsConfig(
      num_subsets=num_subsets, subset_families=families
    ),
    outputs=settings_lib.OutputsConfig(**outputs),
  )


class NameTest(parameterized.TestCase):
  def test_name_by_hand(self):
    unit = work_units.WorkUnit("cifar_resnet-20", "one_hot", "r0.70", 7)

    self.assertEqual(unit.name, "cifar_resnet-20/one_hot/r0.70/00007")
    self.assertEqual(unit.group, ("cifar_resnet-20", "one_hot", "r0.70"))
    self.assertEqual(unit.group.name, "cifar_resnet-20/one_hot/r0.70")

  @parameterized.parameters(
    "cifar_resnet-20/one_hot/r0.70/00007",
    "cifar_resnet-20-w0.5/one_hot/r0.30-uniform/99999",
    "a/b/full/123456",
    "a/distilled-cifar_resnet-56-t3/half-a/00000",
  )
  def test_round_trip(self, name):
    self.assertEqual(work_units.parse_unit(name).name, name)

  def test_parts(self):
    self.assertEqual(
      work_units.parse_unit("a-1/b/r0.50/00012"),
      work_units.WorkUnit("a-1", "b", "r0.50", 12),
    )

  @parameterized.parameters(
    "",
    "a/b/c",
    "a/b/c/7",
    "a/b/c/0007",
    "a/b/c/-0007",
    "a/b/c/0000x",
    "a/b/c/00007/",
    "/a/b/c/00007",
    "a/b/c/d/00007",
    "a//c/00007",
    "../b/c/00007",
    "a/../c/00007",
    "a/b/../00007",
    "../../../x/y/z/00007",
    "./b/c/00007",
    ".hidden/b/c/00007",
    "~/b/c/00007",
    "a b/b/c/00007",
    "a\\b/b/c/00007",
    "a/b/c/00007\n",
    "a\x00/b/c/00007",
    "-a/b/c/00007",
  )
  def test_wrong_names(self, name):
    with self.assertRaisesRegex(
      ValueError, "MODEL/RECIPE/SUBSETS/INDEX"
    ) as caught:
      work_units.parse_unit(name)
    self.assertIn(repr(name), str(caught.exception))

  def test_units_sort_by_their_parts(self):
    names = ["a/b/c/00010", "a/b/c/00002", "a/a/d/00099", "b/a/a/00000"]

    found = sorted(work_units.parse_unit(name) for name in names)

    self.assertEqual(
      [unit.name for unit in found],
      ["a/a/d/00099", "a/b/c/00002", "a/b/c/00010", "b/a/a/00000"],
    )


class PlanTest(parameterized.TestCase):
  def test_lists_every_unit_once(self):
    config = study(
      models=("cifar_resnet-8", "cifar_resnet-14"), families=("r0.50",)
    )

    units = plan.plan(config)

    expected = {
      f"{model}/one_hot/{family}/{index:05d}"
      for model in ("cifar_resnet-8", "cifar_resnet-14")
      for family in ("r0.70", "r0.50")
      for index in range(3)
    }
    self.assertLen(units, 12)
    self.assertEqual({unit.name for unit in units}, expected)

  def test_costliest_model_first_and_models_together(self):
    config = study(
      models=("cifar_resnet-14", "cifar_resnet-110", "cifar_resnet-14-w2")
    )

    units = plan.plan(config)

    self.assertEqual(
      [unit.model for unit in units],
      ["cifar_resnet-110"] * 3
      + ["cifar_resnet-14-w2"] * 3
      + ["cifar_resnet-14"] * 3,
    )
    self.assertEqual([unit.index for unit in units], [0, 1, 2] * 3)

  def test_more_subsets_extend_the_plan(self):
    small, large = study(num_subsets=3), study(num_subsets=5)

    added = set(plan.plan(large)) - set(plan.plan(small))

    self.assertEqual({unit.index for unit in added}, {3, 4})
    self.assertContainsSubset(plan.plan(small), plan.plan(large))

  def test_adds_what_is_required_once(self):
    with with_requirements():
      units = plan.plan(
        study(
          models=("cifar_resnet-8", "cifar_resnet-20"),
          recipe_names=("student-cifar_resnet-20",),
        )
      )

    # Both sizes learn from one teacher of each subset.
    self.assertLen(units, 9)
    self.assertLen(set(units), 9)
    teachers = [unit for unit in units if unit.recipe == "one_hot"]
    self.assertEqual(
      [(unit.model, unit.index) for unit in teachers],
      [("cifar_resnet-20", 0), ("cifar_resnet-20", 1), ("cifar_resnet-20", 2)],
    )

  def test_adds_what_is_required_by_what_is_required(self):
    with with_requirements():
      units = plan.plan(
        study(recipe_names=("pupil-cifar_resnet-20",), num_subsets=2)
      )

    self.assertEqual(
      {unit.name for unit in units},
      {
        f"{name}/r0.70/{index:05d}"
        for name in (
          "cifar_resnet-8/pupil-cifar_resnet-20",
          "cifar_resnet-14/student-cifar_resnet-20",
          "cifar_resnet-20/one_hot",
        )
        for index in range(2)
      },
    )


class RequiresTest(parameterized.TestCase):
  def test_one_hot_requires_nothing(self):
    unit = work_units.parse_unit("cifar_resnet-8/one_hot/r0.70/00003")

    self.assertEqual(plan.requires(unit, TRAINING), ())

  @parameterized.parameters("r0.70", "r0.50-uniform", "full")
  def test_same_family_and_index(self, family):
    unit = work_units.WorkUnit(
      "cifar_resnet-8", "student-cifar_resnet-56", family, 17
    )

    with with_requirements():
      found = plan.requires(unit, TRAINING)

    self.assertEqual(
      found, (work_units.WorkUnit("cifar_resnet-56", "one_hot", family, 17),)
    )

  def test_unknown_recipe_is_refused(self):
    unit = work_units.WorkUnit("cifar_resnet-8", "two_hot", "r0.70", 0)

    with self.assertRaisesRegex(ValueError, "Unknown recipe"):
      plan.requires(unit, TRAINING)


class WavesTest(absltest.TestCase):
  def test_without_requirements_one_wave_in_order(self):
    units = plan.plan(study(models=("cifar_resnet-8", "cifar_resnet-14")))

    self.assertEqual(plan.waves(units, TRAINING), [units])

  def test_nothing_gives_no_wave(self):
    self.assertEqual(plan.waves([], TRAINING), [])

  def test_each_chain_in_order(self):
    config = study(
      recipe_names=("pupil-cifar_resnet-20", "one_hot"), num_subsets=2
    )
    with with_requirements():
      units = plan.plan(config)

      waves = plan.waves(units, TRAINING)

    self.assertCountEqual(sum(waves, []), units)
    self.assertEqual(
      [sorted({f"{u.model}/{u.recipe}" for u in wave}) for wave in waves],
      [
        ["cifar_resnet-20/one_hot", "cifar_resnet-8/one_hot"],
        ["cifar_resnet-14/student-cifar_resnet-20"],
        ["cifar_resnet-8/pupil-cifar_resnet-20"],
      ],
    )

  def test_requirements_from_outside_count_as_met(self):
    with with_requirements():
      units = plan.plan(study(recipe_names=("student-cifar_resnet-20",)))
      students = [unit for unit in units if unit.recipe != "one_hot"]

      waves = plan.waves(students, TRAINING)

    self.assertEqual(waves, [students])


class WantedOutputsTest(parameterized.TestCase):
  @parameterized.parameters(
    ({}, set()),
    ({"keep_logits": True}, {"logits.npy"}),
    ({"keep_weights": True}, {WEIGHTS}),
    ({"keep_logits": True, "keep_weights": True}, {"logits.npy", WEIGHTS}),
  )
  def test_by_flags(self, flags, more):
    config = study(**flags)
    units = plan.plan(config)

    wanted = plan.wanted_outputs(config, units)

    self.assertEqual(list(wanted), units)
    for outputs in wanted.values():
      self.assertEqual(outputs, BASE_OUTPUTS | more)

  def test_weights_of_what_is_required_only(self):
    config = study(
      models=("cifar_resnet-8", "cifar_resnet-20"),
      recipe_names=("one_hot", "student-cifar_resnet-20"),
    )
    with with_requirements():
      units = plan.plan(config)

      wanted = plan.wanted_outputs(config, units)

    with_weights = {unit for unit in units if WEIGHTS in wanted[unit]}
    self.assertEqual(
      with_weights,
      {
        work_units.WorkUnit("cifar_resnet-20", "one_hot", "r0.70", index)
        for index in range(3)
      },
    )
    for outputs in wanted.values():
      self.assertEqual(outputs - {WEIGHTS}, BASE_OUTPUTS)


if __name__ == "__main__":
  absltest.main()
