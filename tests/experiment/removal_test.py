"""Families without some examples: names, what each leaves out, streams."""

import dataclasses

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units

MODEL = "cifar_resnet-8-w0.5"
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])


def selection(arm, ids=(0, 4, 5), **fields):
  threshold = None if arm.startswith("targeted") else 0.25
  family = removal.RemovalFamily(arm=arm, model=MODEL, threshold=threshold)
  return removal.Selection(
    family=family.name, ids=ids, num_examples=10, **fields
  )


def config(**settings):
  return config_rules.from_settings(settings)


class NameTest(parameterized.TestCase):
  @parameterized.parameters(
    f"without-memorized-t0.25-{MODEL}",
    "without-random-t0.123456-mobilenet_v3_small-0.5",
    "without-same_classes-t1.00-own-small",
    f"without-targeted-{MODEL}",
    f"without-targeted_random-{MODEL}",
    f"r0.70-without-memorized-t0.25-{MODEL}",
    f"r0.50-bernoulli-without-same_classes-t0.50-{MODEL}",
  )
  def test_names_are_read_back(self, name):
    family = removal.parse(name)

    self.assertEqual(family.name, name)
    self.assertTrue(removal.is_removal(name))
    unit = work_units.WorkUnit(MODEL, "one_hot", name, 3)
    self.assertEqual(work_units.parse_unit(unit.name), unit)

  @parameterized.parameters(
    "r0.70",
    "without",
    "without-random-m",
    f"without-random-t0.5-{MODEL}",
    f"without-random-t0.250-{MODEL}",
    "without-x-m",
    f"full-without-memorized-t0.25-{MODEL}",
  )
  def test_rejects(self, name):
    with self.assertRaisesRegex(ValueError, "without-ARM"):
      removal.parse(name)

  def test_no_subset_family_of_a_flag(self):
    with self.assertRaisesRegex(ValueError, "subset family"):
      subsets.parse_family(f"without-targeted-{MODEL}")


class InMaskTest(absltest.TestCase):
  def test_memorized_leaves_out_the_same_in_every_repeat(self):
    mask = selection("memorized").in_mask(LABELS, 3, seed=0)

    expected = [0, 1, 1, 1, 0, 0, 1, 1, 1, 1]
    np.testing.assert_array_equal(mask, [expected] * 3)

  def test_random_leaves_out_as_many_and_draws_anew(self):
    mask = selection("random").in_mask(LABELS, 50, seed=0)

    np.testing.assert_array_equal((~mask).sum(axis=1), 3)
    # Each of 10 is left out of about 15 of 50.
    self.assertTrue(np.all(np.abs((~mask).sum(axis=0) - 15) < 12))

  def test_same_classes_leaves_out_as_many_of_each(self):
    for arm in ("same_classes", "targeted_random"):
      mask = selection(arm).in_mask(LABELS, 20, seed=0)

      for label, count in ((0, 1), (1, 2), (2, 0)):
        out = (~mask)[:, label == LABELS].sum(axis=1)
        np.testing.assert_array_equal(out, count)
      self.assertGreater(len(np.unique(mask, axis=0)), 5)

  def test_rows_depend_on_seed_family_and_index_alone(self):
    short = selection("random").in_mask(LABELS, 2, seed=1)
    long = selection("random").in_mask(LABELS, 5, seed=1)

    np.testing.assert_array_equal(short, long[:2])
    other = selection("random").in_mask(LABELS, 5, seed=2)
    self.assertFalse(np.array_equal(long, other))

  def test_a_golden_row(self):
    # The stream may never change, or finished runs are not of the study.
    mask = selection("random").in_mask(LABELS, 1, seed=0)

    self.assertEqual(np.flatnonzero(~mask[0]).tolist(), [4, 5, 7])

  def test_what_can_be_trained(self):
    self.assertTrue(selection("memorized").can_train(7))
    self.assertFalse(selection("memorized").can_train(8))
    self.assertFalse(selection("memorized", ids=()).can_train(1))


class OnionTest(absltest.TestCase):
  """Subsets of a family without some examples."""

  BASE = "r0.50"

  def selection(self, arm, ids=(0, 4, 5), base=BASE, num_examples=10):
    family = removal.RemovalFamily(
      arm=arm, model=MODEL, threshold=0.25, base=base
    )
    return removal.Selection(
      family=family.name, ids=ids, num_examples=num_examples
    )

  def test_the_others_are_in_the_subsets_that_they_were_in(self):
    before = subsets.parse_family(self.BASE).in_mask(10, 8, 3)
    for arm in ("memorized", "same_classes"):
      chosen = self.selection(arm)

      mask = chosen.in_mask(LABELS, 8, seed=3)

      out = chosen.left_out(LABELS, 3)
      self.assertLen(set(out.tolist()), 3)
      self.assertFalse(mask[:, out].any())
      rest = np.setdiff1d(np.arange(10), out)
      np.testing.assert_array_equal(mask[:, rest], before[:, rest])
      np.testing.assert_array_equal(np.sort(LABELS[out]), [0, 1, 1])

  def test_rows_do_not_depend_on_their_number(self):
    chosen = self.selection("same_classes")

    long = chosen.in_mask(LABELS, 9, seed=1)

    np.testing.assert_array_equal(long[:4], chosen.in_mask(LABELS, 4, seed=1))

  def test_a_golden_draw(self):
    # The stream may never change, or finished runs are not of the study.
    found = self.selection("same_classes").left_out(LABELS, 0)

    self.assertEqual(found.tolist(), [3, 4, 6])

  def test_what_can_be_trained(self):
    # Subsets of 5, all 3 of which may be in one.
    self.assertTrue(self.selection("memorized").can_train(2))
    self.assertFalse(self.selection("memorized").can_train(3))
    self.assertFalse(self.selection("memorized", ids=()).can_train(1))
    # 500 less 6 standard deviations of 15.8, less 3.
    drawn = self.selection(
      "memorized", base="r0.50-bernoulli", num_examples=1000
    )
    self.assertTrue(drawn.can_train(402))
    self.assertFalse(drawn.can_train(403))

  def test_streams_are_those_of_the_run_before(self):
    for arm in ("memorized", "same_classes"):
      unit = work_units.WorkUnit(
        MODEL, "one_hot", self.selection(arm).family, 7
      )
      self.assertEqual(
        removal.stream_unit(unit).name, f"{MODEL}/one_hot/r0.50/00007"
      )

  def test_families_and_units_of_a_study(self):
    asked = config(
      num_subsets=20,
      onion_subsets=10,
      removal_thresholds=(0.25, 0.5),
      models=(MODEL,),
    )

    names = [family.name for family in removal.families(asked)]

    self.assertEqual(
      names,
      [
        f"r0.70-without-{arm}-t{t}-{MODEL}"
        for t in ("0.25", "0.50")
        for arm in ("memorized", "same_classes")
      ],
    )
    plan = plan_lib.Plan.of(asked, {names[0]: 0.1})
    self.assertLen(plan.units, 30)
    self.assertEqual(plan.num_subsets(names[0]), 10)
    self.assertAlmostEqual(plan.share_of(names[0]), 0.7 * 0.9)
    self.assertLen(plan.scored_groups(), 1)

  def test_rules(self):
    for settings, message in (
      ({"num_subsets": 20, "onion_subsets": 11}, "half of --num_subsets"),
      ({"onion_subsets": 1}, "at least 2"),
      ({"onion_subsets": 2, "subset_scheme": "two_sizes"}, "two_sizes"),
      (
        {
          "onion_subsets": 2,
          "recipes": ("distilled-cifar_resnet-8-t3-sees_all",),
        },
        "--onion_subsets: must be 0 if the first",
      ),
    ):
      with self.assertRaisesRegex(ValueError, message):
        config(**settings)

  def test_it_joins_a_study_and_stays(self):
    before = config(num_subsets=20, removal_repeats=2)
    asked = config(num_subsets=20, removal_repeats=2, onion_subsets=4)

    self.assertEqual(config_lib.merge(before, asked), asked)
    for value in (0, 6):
      other = config(num_subsets=20, removal_repeats=2, onion_subsets=value)
      with self.assertRaisesRegex(ValueError, "--onion_subsets: recorded 4"):
        config_lib.merge(asked, other)

  def test_comparisons_count_from_the_first_repeat_on(self):
    before = config(num_subsets=20, onion_subsets=4)
    asked = config(
      num_subsets=20,
      onion_subsets=4,
      removal_repeats=2,
      removal_comparisons=("random",),
    )

    self.assertEqual(config_lib.merge(before, asked), asked)


class StreamTest(absltest.TestCase):
  def test_arms_share_their_streams_and_others_keep_their_own(self):
    units = [
      work_units.WorkUnit(MODEL, "one_hot", selection(arm).family, 7)
      for arm in ("memorized", "random", "same_classes", "targeted")
    ]

    names = {removal.stream_unit(unit).name for unit in units}

    self.assertEqual(names, {f"{MODEL}/one_hot/without/00007"})
    usual = work_units.WorkUnit(MODEL, "one_hot", "r0.70", 7)
    self.assertIs(removal.stream_unit(usual), usual)


class ConfigTest(parameterized.TestCase):
  def test_no_family_by_default(self):
    self.assertEqual(removal.families(config()), [])

  def test_families_of_two_models_and_thresholds(self):
    found = removal.families(
      config(
        models=["cifar_resnet-8", "cifar_resnet-14"],
        removal_repeats=2,
        removal_thresholds=[0.5, 0.25],
        removal_comparisons=["same_classes", "targeted"],
        removal_models=["cifar_resnet-14"],
      )
    )

    self.assertEqual(
      [family.name for family in found],
      [
        "without-memorized-t0.50-cifar_resnet-14",
        "without-same_classes-t0.50-cifar_resnet-14",
        "without-memorized-t0.25-cifar_resnet-14",
        "without-same_classes-t0.25-cifar_resnet-14",
        "without-targeted-cifar_resnet-14",
        "without-targeted_random-cifar_resnet-14",
      ],
    )
    self.assertLen({family.model for family in found}, 1)

  @parameterized.parameters(
    ({"removal_repeats": 1}, "at least 2"),
    ({"removal_thresholds": [0.0]}, r"in \(0, 1\]"),
    ({"removal_thresholds": [0.12345678]}, "six decimals"),
    ({"removal_thresholds": []}, "at least one"),
    ({"removal_thresholds": [0.5, 0.5]}, "twice"),
    ({"removal_comparisons": ["all"]}, "among"),
    ({"removal_models": ["cifar_resnet-20"]}, "some of --models"),
  )
  def test_rejects(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      config(**settings)

  @parameterized.parameters("all", "complement")
  def test_a_teacher_of_other_examples_is_refused(self, sees):
    recipe = f"distilled-cifar_resnet-8-t3-sees_{sees}"
    message = f"--removal_repeats: must be 0 .* 2 with {recipe}"

    config(recipes=["one_hot", recipe], removal_repeats=2)
    with self.assertRaisesRegex(ValueError, message):
      config(recipes=[recipe, "one_hot"], removal_repeats=2)
    with self.assertRaisesRegex(ValueError, message):
      config_lib.merge(config(recipes=[recipe]), config(removal_repeats=2))

  def test_a_study_gets_a_removal_later(self):
    first = config()
    second = config(removal_repeats=4, removal_thresholds=[0.5])

    merged = config_lib.merge(first, second)

    self.assertEqual(merged.removal, second.removal)
    with self.assertRaisesRegex(ValueError, "removal_repeats.*only grow"):
      config_lib.merge(second, first)

  def test_naming_a_model_keeps_the_removal_of_all(self):
    first = config(removal_repeats=2)
    second = config(removal_repeats=4, removal_models=["cifar_resnet-8"])

    merged = config_lib.merge(first, second)

    self.assertEqual(merged.removal.removal_models, ())
    self.assertEqual(merged.removal.removal_repeats, 4)


class PlanTest(absltest.TestCase):
  def test_units_of_written_selections_only(self):
    settings = config(models=[MODEL], removal_repeats=3, num_subsets=2)
    name = selection("memorized").family

    plan = plan_lib.Plan.of(settings, {name: 0.3})

    group = work_units.Group(MODEL, "one_hot", name)
    self.assertEqual([unit.index for unit in plan.groups()[group]], [0, 1, 2])
    self.assertLen(plan.units, 5)
    self.assertEqual(
      list(plan.scored_groups()), [work_units.Group(MODEL, "one_hot", "r0.70")]
    )
    self.assertEqual(plan.families, ("r0.70", name))
    self.assertAlmostEqual(plan.share_of(name), 0.7)
    self.assertEqual(plan.num_subsets(name), 3)
    self.assertLen(plan_lib.Plan.of(settings).units, 2)

  def test_a_student_has_its_teacher_on_the_same_examples(self):
    settings = config(
      models=[MODEL],
      recipes=["distilled-cifar_resnet-14-t3"],
      removal_repeats=2,
      num_subsets=2,
    )
    name = selection("memorized").family

    plan = plan_lib.Plan.of(settings, {name: 0.3})

    for unit in plan.units:
      for needed in plan.requires(unit):
        self.assertIn(needed, plan.wanted)
        self.assertEqual(
          dataclasses.replace(needed, model=unit.model, recipe=unit.recipe),
          unit,
        )


if __name__ == "__main__":
  absltest.main()
