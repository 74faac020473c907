"""Recipes: made of a name and the study's settings, told apart by digest."""

import dataclasses
import hashlib
import json
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib

TRAINING = settings_lib.TrainingConfig()


def other_value(value):
  """A value of the same type that is not this one."""
  if isinstance(value, bool):
    return not value
  if isinstance(value, (int, float)):
    return value + 1
  return value + (("x",) if isinstance(value, tuple) else "x")


class RecipesTest(parameterized.TestCase):
  def test_takes_over_every_training_setting(self):
    training = settings_lib.TrainingConfig(
      epochs=7, learning_rate=0.25, decay_epochs=(3.0, 5.0), nesterov=False
    )

    recipe = recipes.parse("one_hot", training)

    settings = dataclasses.asdict(recipe)
    self.assertEqual(settings.pop("name"), "one_hot")
    self.assertEqual(settings.pop("required"), ())
    self.assertEqual(settings, dataclasses.asdict(training))

  # Recorded runs hold digests: the rule may not change.
  def test_digest_is_that_of_the_sorted_settings(self):
    recipe = recipes.parse("one_hot", TRAINING)

    text = json.dumps(dataclasses.asdict(recipe), sort_keys=True)

    self.assertEqual(
      recipe.digest(), hashlib.sha256(text.encode()).hexdigest()[:16]
    )

  def test_digest_changes_with_any_field(self):
    recipe = recipes.parse("one_hot", TRAINING)
    digests = {recipe.digest()}

    for field in dataclasses.fields(recipe):
      value = other_value(getattr(recipe, field.name))
      digests.add(dataclasses.replace(recipe, **{field.name: value}).digest())

    self.assertLen(digests, 1 + len(dataclasses.fields(recipe)))
    for digest in digests:
      self.assertRegex(digest, "^[0-9a-f]{16}$")

  def test_same_settings_give_the_same_digest(self):
    self.assertEqual(
      recipes.parse("one_hot", TRAINING).digest(),
      recipes.parse("one_hot", settings_lib.TrainingConfig()).digest(),
    )

  def test_kind_is_the_first_word_of_the_name(self):
    def make(name, settings):
      return recipes.Recipe(name=name, required=(("m", "one_hot"),), **settings)

    with mock.patch.dict(recipes.KINDS, {"taught": make}):
      recipe = recipes.parse("taught-by-m", TRAINING)

    self.assertEqual(recipe.name, "taught-by-m")
    self.assertEqual(recipe.required, (("m", "one_hot"),))

  @parameterized.parameters(
    ("two_hot", "Unknown recipe. Known: .*one_hot.*'two_hot'"),
    ("", "Unknown recipe"),
    ("../one_hot", "Unknown recipe"),
    ("one_hot-3", "takes no options.*'one_hot-3'"),
    ("one_hot-", "takes no options"),
    ("frozen-3", "`frozen` takes no options.*'frozen-3'"),
    ("frozen-r0.50", "`frozen` takes no options"),
  )
  def test_wrong_names(self, name, message):
    with self.assertRaisesRegex(ValueError, message):
      recipes.parse(name, TRAINING)

  def test_distilled(self):
    recipe = recipes.parse("distilled-cifar_resnet-20-w0.5-t3-a0.5", TRAINING)

    self.assertEqual(recipe.teacher, "cifar_resnet-20-w0.5")
    self.assertEqual(recipe.required, (("cifar_resnet-20-w0.5", "one_hot"),))
    self.assertEqual((recipe.temperature, recipe.alpha), (3.0, 0.5))
    self.assertFalse(recipe.scale_by_temperature_squared)
    pure = recipes.parse("distilled-cifar_resnet-20-t1.5-scaled", TRAINING)
    self.assertEqual((pure.temperature, pure.alpha), (1.5, 1.0))
    self.assertTrue(pure.scale_by_temperature_squared)
    self.assertEqual(pure.epochs, TRAINING.epochs)

  @parameterized.parameters(
    ("distilled", "distilled-TEACHER-tTEMPERATURE.*'distilled'"),
    ("distilled-cifar_resnet-20", "distilled-TEACHER-tTEMPERATURE"),
    ("distilled-cifar_resnet-21-t3", "6n \\+ 2"),
    ("distilled-vgg-t3", "Unknown model family"),
    ("distilled-cifar_resnet-20-t0", "temperature must be above 0"),
    (
      "distilled-cifar_resnet-20-t3.0",
      "written 'distilled-cifar_resnet-20-t3'",
    ),
    (
      "distilled-cifar_resnet-20-t3-a1",
      "written 'distilled-cifar_resnet-20-t3'",
    ),
    ("distilled-cifar_resnet-20-t3-a0", "in \\(0, 1\\]"),
    ("distilled-cifar_resnet-20-t3-a1.5", "in \\(0, 1\\]"),
    (
      "distilled-cifar_resnet-20-t3-full",
      "exactly the student's subset.*'full'",
    ),
    ("distilled-cifar_resnet-20-t3-r0.50", "exactly the student's subset"),
    (
      "distilled-cifar_resnet-20/one_hot/full-t3",
      "exactly the student's subset",
    ),
    ("distilled-cifar_resnet-20-t3-x", "ends before '-x'"),
  )
  def test_wrong_distilled_names(self, name, message):
    with self.assertRaisesRegex(ValueError, message):
      recipes.parse(name, TRAINING)

  # Recorded runs hold these: no change of the grammar may change them.
  @parameterized.parameters(
    ("one_hot", "d08a8e2665238db2"),
    ("given", "5b729e0f619797fd"),
    ("distilled-cifar_resnet-56-t3", "70fc9e7c75b6e01f"),
    ("distilled-cifar_resnet-20-t1.5-a0.5-scaled", "a4b0a40ab4686163"),
    ("frozen", "39a505b30ddd4476"),
  )
  def test_digests_of_recorded_recipes(self, name, digest):
    self.assertEqual(recipes.parse(name, TRAINING).digest(), digest)

  def test_other_epochs_stretch_the_schedule(self):
    training = settings_lib.TrainingConfig(
      epochs=20, warmup_epochs=2.0, decay_epochs=(10.0, 15.0)
    )

    for name in ("one_hot", "smoothed-0.1", "distilled-cifar_resnet-8-t3"):
      recipe = recipes.parse(f"{name}-e40", training)

      self.assertEqual(recipe.name, f"{name}-e40")
      self.assertEqual(recipe.epochs, 40)
      self.assertEqual(recipe.decay_epochs, (20.0, 30.0))
      self.assertEqual(recipe.warmup_epochs, 2.0)
    # The teacher is that of the study.
    self.assertEqual(recipe.required, (("cifar_resnet-8", "one_hot"),))

  @parameterized.parameters(
    ("one_hot-e20", "own --epochs=20 is written 'one_hot'"),
    ("frozen-e20", "own --epochs=20 is written 'frozen'"),
    ("smoothed-0.1-e20", "is written 'smoothed-0.1'"),
    ("one_hot-e1", "at least as many epochs as --warmup_epochs=2"),
    ("one_hot-e0", "takes no options but a number of epochs"),
    ("one_hot-e040", "takes no options but"),
    ("one_hot-e40-e40", "takes no options but"),
    ("given-e40", "takes no options"),
    ("smoothed", "`smoothed-SMOOTHING`"),
    ("smoothed-0", "`smoothed-SMOOTHING`"),
    ("smoothed-0.0", "`smoothed-SMOOTHING`"),
    ("smoothed-1.0", "`smoothed-SMOOTHING`"),
    ("smoothed-0.10", "written 0.1"),
    ("distilled-cifar_resnet-8-t3-e40-sees_all", "ends before '-e40-sees_all'"),
    ("distilled-cifar_resnet-8-t3-sees_half", "ends before '-sees_half'"),
  )
  def test_wrong_epochs_and_smoothing(self, name, message):
    training = settings_lib.TrainingConfig(epochs=20, warmup_epochs=2.0)

    with self.assertRaisesRegex(ValueError, message):
      recipes.parse(name, training)

  def test_epochs_are_shortened_but_stay_different(self):
    self.assertEqual(
      recipes.shortened(
        (
          "one_hot",
          "one_hot-e40",
          "smoothed-0.1-e200",
          "one_hot-e200",
          "pruned-0.9-e200-r0.01",
          "frozen-e200",
        )
      ),
      (
        "one_hot",
        "one_hot-e2",
        "smoothed-0.1-e3",
        "one_hot-e3",
        "pruned-0.9-e3-r0.01",
        "frozen-e3",
      ),
    )

  def test_a_teacher_that_sees_more_is_named(self):
    own, every, rest = (
      recipes.parse(f"distilled-cifar_resnet-8-t3{what}", TRAINING)
      for what in ("", "-sees_all", "-sees_complement")
    )
    in_mask = np.array([True, False, True])

    self.assertEqual(own.required_family("r0.70"), "r0.70")
    self.assertEqual(every.required_family("r0.70"), "full")
    self.assertEqual(rest.required_family("r0.70"), "r0.70-complement")
    with self.assertRaisesRegex(ValueError, "'full' has no complement"):
      rest.required_family("full")
    np.testing.assert_array_equal(own.required_mask(in_mask), in_mask)
    np.testing.assert_array_equal(every.required_mask(in_mask), [True] * 3)
    np.testing.assert_array_equal(
      rest.required_mask(in_mask), [False, True, False]
    )
    self.assertLen({own.digest(), every.digest(), rest.digest()}, 3)

  def test_frozen(self):
    training = settings_lib.TrainingConfig(epochs=20, warmup_epochs=2.0)

    recipe = recipes.parse("frozen", training)
    longer = recipes.parse("frozen-e40", training)

    self.assertEqual(
      recipe.required_of("cifar_resnet-8"), (("cifar_resnet-8", "one_hot"),)
    )
    # One run on all examples, whatever the subset.
    for family in ("r0.70", "r0.50-bernoulli", "full"):
      self.assertEqual(recipe.required_family(family), "full")
    self.assertEqual([recipe.required_index(m) for m in (0, 7)], [0, 0])
    in_mask = np.array([True, False, True])
    np.testing.assert_array_equal(recipe.required_mask(in_mask), [True] * 3)
    np.testing.assert_array_equal(in_mask, [True, False, True])
    self.assertEqual((recipe.epochs, longer.epochs), (20, 40))
    self.assertEqual(longer.required, recipe.required)
    own = recipes.parse("one_hot", training)
    self.assertEqual([own.required_index(m) for m in (0, 7)], [0, 7])

  def test_compressed(self):
    training = settings_lib.TrainingConfig(
      epochs=20,
      learning_rate=0.1,
      warmup_epochs=1,
      augmentation="pad_crop_flip",
    )

    pruned = recipes.parse("pruned-0.9", training)
    clustered = recipes.parse("clustered-16-e3-r0.002", training)
    int8 = recipes.parse("int8", training)

    self.assertEqual((pruned.method, pruned.sparsity), ("prune", 0.9))
    # Half of the epochs, from a tenth of the rate; all else as the study's.
    self.assertEqual((pruned.epochs, pruned.warmup_epochs), (10, 0.0))
    self.assertAlmostEqual(pruned.learning_rate, 0.01)
    self.assertEqual(pruned.augmentation, "pad_crop_flip")
    self.assertEqual((clustered.method, clustered.clusters), ("cluster", 16))
    self.assertEqual((clustered.epochs, clustered.learning_rate), (3, 0.002))
    self.assertEqual((int8.method, int8.epochs), ("quantize", 0))
    self.assertGreater(int8.representative, 0)
    for recipe in (pruned, clustered, int8):
      self.assertEqual(
        recipe.required_of("cifar_resnet-8"), (("cifar_resnet-8", "one_hot"),)
      )

  @parameterized.parameters(
    ("pruned", "named `pruned-SPARSITY`"),
    ("pruned-1", "in \\(0, 1\\)"),
    ("pruned-0", "in \\(0, 1\\)"),
    ("pruned-0.90", "written 'pruned-0.9'"),
    ("pruned-0.9-e0", "an epoch and a rate above 0"),
    ("pruned-0.9-r0", "an epoch and a rate above 0"),
    ("pruned-0.9-e05", "written 'pruned-0.9-e5'"),
    ("pruned-0.9-r0.1-e5", "named `pruned-SPARSITY`"),
    ("clustered-1", "at least 2"),
    ("clustered-2.5", "whole number"),
    ("int8-e5", "named `pruned-SPARSITY`"),
  )
  def test_wrong_compressed_names(self, name, message):
    with self.assertRaisesRegex(ValueError, message):
      recipes.parse(name, TRAINING)

  def test_subset_must_fill_a_batch(self):
    recipe = recipes.parse("one_hot", TRAINING)

    recipe.check_subset_size(128)
    with self.assertRaisesRegex(
      ValueError, "--batch_size must be at most.*127.*--batch_size=128"
    ):
      recipe.check_subset_size(127)


if __name__ == "__main__":
  absltest.main()
