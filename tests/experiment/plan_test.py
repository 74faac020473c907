"""The plan: which units a study asks for, and what must come first."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units

BASE_OUTPUTS = {"predictions.parquet", "history.jsonl"}


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
  proxies=(),
  proxy_runs=5,
  **outputs,
):
  return config_lib.StudyConfig(
    models=settings_lib.ModelsConfig(models=models, recipes=recipe_names),
    subsets=settings_lib.SubsetsConfig(
      num_subsets=num_subsets, subset_families=families
    ),
    outputs=settings_lib.OutputsConfig(**outputs),
    proxies=settings_lib.ProxiesConfig(proxies=proxies, proxy_runs=proxy_runs),
  )


class PlanTest(parameterized.TestCase):
  def test_lists_every_unit_once(self):
    config = study(
      models=("cifar_resnet-8", "cifar_resnet-14"), families=("r0.50",)
    )

    units = plan_lib.Plan.of(config).units

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

    units = plan_lib.Plan.of(config).units

    self.assertEqual(
      [unit.model for unit in units],
      ["cifar_resnet-110"] * 3
      + ["cifar_resnet-14-w2"] * 3
      + ["cifar_resnet-14"] * 3,
    )
    self.assertEqual([unit.index for unit in units], [0, 1, 2] * 3)

  def test_more_subsets_extend_the_plan(self):
    small = plan_lib.Plan.of(study(num_subsets=3))
    large = plan_lib.Plan.of(study(num_subsets=5))

    added = set(large.units) - set(small.units)

    self.assertEqual({unit.index for unit in added}, {3, 4})
    self.assertContainsSubset(small.units, large.units)

  def test_adds_what_is_required_once(self):
    with with_requirements():
      plan = plan_lib.Plan.of(
        study(
          models=("cifar_resnet-8", "cifar_resnet-20"),
          recipe_names=("student-cifar_resnet-20",),
        )
      )
    units = plan.units

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
      plan = plan_lib.Plan.of(
        study(recipe_names=("pupil-cifar_resnet-20",), num_subsets=2)
      )

    self.assertEqual(
      {unit.name for unit in plan.units},
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


class ParsedTest(absltest.TestCase):
  def test_models_and_recipes_of_what_is_required_too(self):
    with with_requirements():
      plan = plan_lib.Plan.of(study(recipe_names=("pupil-cifar_resnet-20",)))

    self.assertEqual(
      list(plan.models),
      ["cifar_resnet-14", "cifar_resnet-20", "cifar_resnet-8"],
    )
    self.assertEqual(plan.models["cifar_resnet-20"].size, 20)
    self.assertCountEqual(
      plan.recipes,
      ["pupil-cifar_resnet-20", "student-cifar_resnet-20", "one_hot"],
    )
    self.assertEqual(
      plan.recipes["student-cifar_resnet-20"].required,
      (("cifar_resnet-20", "one_hot"),),
    )

  def test_compressed_models_need_their_own_weights(self):
    plan = plan_lib.Plan.of(
      study(
        models=("cifar_resnet-8", "cifar_resnet-14"),
        recipe_names=("pruned-0.9", "int8"),
        num_subsets=2,
        keep_weights=True,
      )
    )

    self.assertCountEqual(plan.models, ["cifar_resnet-8", "cifar_resnet-14"])
    self.assertLen(plan.units, 12)  # 8 compressed ones and 4 that they need
    sources, compressed = plan.waves(plan.units)
    self.assertEqual({u.recipe for u in sources}, {"one_hot"})
    # They are scored, and so compared, though nobody has asked for them.
    scored = {group.recipe for group in plan.scored_groups()}
    self.assertEqual(scored, {"one_hot", "pruned-0.9", "int8"})
    for unit in compressed:
      (needed,) = plan.requires(unit)
      self.assertEqual(
        (needed.model, needed.subsets, needed.index),
        (unit.model, unit.subsets, unit.index),
      )
      self.assertIn(plan_lib.WEIGHTS, plan.wanted[needed])
      # What an 8-bit run keeps has its weights in integers.
      kept = {plan_lib.WEIGHTS, plan_lib.TFLITE} & plan.wanted[unit]
      is_int8 = unit.recipe == "int8"
      self.assertEqual(kept, {plan_lib.TFLITE if is_int8 else plan_lib.WEIGHTS})

  def test_proxies_with_the_files_that_they_need(self):
    plan = plan_lib.Plan.of(study(proxies=("el2n", "curvature")))

    self.assertCountEqual(plan.proxies, ["el2n", "curvature"])
    self.assertEqual(plan.recorded_outputs, {"dynamics.npz", "curvature.npz"})
    self.assertEqual(plan_lib.Plan.of(study()).recorded_outputs, frozenset())

  def test_groups_in_order(self):
    plan = plan_lib.Plan.of(
      study(models=("cifar_resnet-8", "cifar_resnet-14"), num_subsets=2)
    )

    groups = plan.groups()

    self.assertEqual(
      [group.name for group in groups],
      ["cifar_resnet-14/one_hot/r0.70", "cifar_resnet-8/one_hot/r0.70"],
    )
    self.assertEqual(sum(groups.values(), []), plan.units)


class SelectedTest(absltest.TestCase):
  def test_none_is_the_whole_plan(self):
    plan = plan_lib.Plan.of(study())

    self.assertIs(plan.selected([]), plan)
    self.assertTrue(plan.is_whole)

  def test_in_the_order_given_and_each_once(self):
    plan = plan_lib.Plan.of(study(keep_logits=True))
    first, second, third = plan.units

    some = plan.selected([third, first, third])

    self.assertEqual(some.units, [third, first])
    self.assertEqual(some.wanted[first], plan.wanted[first])
    self.assertFalse(some.is_whole)
    self.assertEqual(plan.units, [first, second, third])

  def test_a_unit_that_is_not_planned_is_refused(self):
    plan = plan_lib.Plan.of(study(num_subsets=3))
    unit = work_units.WorkUnit("cifar_resnet-8", "one_hot", "r0.70", 3)

    with self.assertRaisesRegex(errors.UsageError, f"Received: {unit.name}"):
      plan.selected([unit])


class DoesRecordTest(absltest.TestCase):
  def test_the_first_runs_of_what_is_asked_for(self):
    config = study(
      recipe_names=("student-cifar_resnet-20",),
      families=("r0.50",),
      proxies=("el2n",),
      proxy_runs=2,
    )
    with with_requirements():
      plan = plan_lib.Plan.of(config)

    # Neither teachers nor another subset family.
    recording = [unit.name for unit in plan.units if plan.does_record(unit)]
    self.assertEqual(
      recording,
      [
        f"cifar_resnet-8/student-cifar_resnet-20/r0.70/0000{index}"
        for index in range(2)
      ],
    )
    for unit in plan.units:
      self.assertEqual(
        "dynamics.npz" in plan.wanted[unit], unit.name in recording
      )

  def test_all_units_share_a_few_sets_of_outputs(self):
    config = study(num_subsets=50, proxies=("el2n",), proxy_runs=20)

    wanted = plan_lib.Plan.of(config).wanted

    self.assertLen({id(outputs) for outputs in wanted.values()}, 2)


class RequiresTest(parameterized.TestCase):
  def test_one_hot_requires_nothing(self):
    plan = plan_lib.Plan.of(study())

    self.assertEqual(plan.requires(plan.units[2]), ())

  @parameterized.parameters("r0.70", "r0.50-uniform", "full")
  def test_same_family_and_index(self, family):
    with with_requirements():
      plan = plan_lib.Plan.of(
        study(
          recipe_names=("student-cifar_resnet-56",),
          families=("r0.50-uniform", "full"),
        )
      )
    unit = work_units.WorkUnit(
      "cifar_resnet-8", "student-cifar_resnet-56", family, 2
    )

    self.assertEqual(
      plan.requires(unit),
      (work_units.WorkUnit("cifar_resnet-56", "one_hot", family, 2),),
    )

  def test_an_unknown_recipe_is_refused(self):
    with self.assertRaisesRegex(ValueError, "Unknown recipe"):
      plan_lib.Plan.of(study(recipe_names=("two_hot",)))


class WavesTest(absltest.TestCase):
  def test_without_requirements_one_wave_in_order(self):
    plan = plan_lib.Plan.of(study(models=("cifar_resnet-8", "cifar_resnet-14")))

    self.assertEqual(plan.waves(plan.units), [plan.units])

  def test_nothing_gives_no_wave(self):
    self.assertEqual(plan_lib.Plan.of(study()).waves([]), [])

  def test_each_chain_in_order(self):
    config = study(
      recipe_names=("pupil-cifar_resnet-20", "one_hot"), num_subsets=2
    )
    with with_requirements():
      plan = plan_lib.Plan.of(config)

    waves = plan.waves(plan.units)

    self.assertCountEqual(sum(waves, []), plan.units)
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
      plan = plan_lib.Plan.of(study(recipe_names=("student-cifar_resnet-20",)))
    students = [unit for unit in plan.units if unit.recipe != "one_hot"]

    waves = plan.waves(students)

    self.assertEqual(waves, [students])


class WantedOutputsTest(parameterized.TestCase):
  @parameterized.parameters(
    ({}, set()),
    ({"keep_logits": True}, {"logits.npy"}),
    ({"keep_weights": True}, {plan_lib.WEIGHTS}),
    (
      {"keep_logits": True, "keep_weights": True},
      {"logits.npy", plan_lib.WEIGHTS},
    ),
  )
  def test_by_flags(self, flags, more):
    config = study(**flags)
    plan = plan_lib.Plan.of(config)

    for outputs in plan.wanted.values():
      self.assertEqual(outputs, BASE_OUTPUTS | more)

  def test_weights_of_what_is_required_only(self):
    config = study(
      models=("cifar_resnet-8", "cifar_resnet-20"),
      recipe_names=("one_hot", "student-cifar_resnet-20"),
    )
    with with_requirements():
      wanted = plan_lib.Plan.of(config).wanted

    with_weights = {unit for unit in wanted if plan_lib.WEIGHTS in wanted[unit]}
    self.assertEqual(
      with_weights,
      {
        work_units.WorkUnit("cifar_resnet-20", "one_hot", "r0.70", index)
        for index in range(3)
      },
    )
    for outputs in wanted.values():
      self.assertEqual(outputs - {plan_lib.WEIGHTS}, BASE_OUTPUTS)


if __name__ == "__main__":
  absltest.main()
