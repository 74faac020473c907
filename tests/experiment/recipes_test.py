"""Recipes: made of a name and the study's settings, told apart by digest."""

import dataclasses
import hashlib
import json
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

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

  def test_subset_must_fill_a_batch(self):
    recipe = recipes.parse("one_hot", TRAINING)

    recipe.check_subset_size(128)
    with self.assertRaisesRegex(
      ValueError, "--batch_size must be at most.*127.*--batch_size=128"
    ):
      recipe.check_subset_size(127)


if __name__ == "__main__":
  absltest.main()
