"""References to own models: parsed, resolved, recorded, compared."""

import dataclasses
import os
import pathlib
import sys

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import flagfile
from memo_tf.experiment import own_models
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib

SOURCE = "def small(shape, classes): ...\ndef large(shape, classes): ...\n"


def config_of(**models) -> config_lib.StudyConfig:
  return config_rules.validated(
    config_lib.StudyConfig(models=settings_lib.ModelsConfig(**models))
  )


class OwnModelsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path).resolve()
    before = os.getcwd()
    self.addCleanup(os.chdir, before)
    os.chdir(self.folder)
    self.write("my_models.py", SOURCE)

  def write(self, name: str, text: str) -> pathlib.Path:
    path = self.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path

  def test_a_reference_becomes_a_name_and_a_digest(self):
    config = config_of(models=("my_models.py:small", "cifar_resnet-8"))

    digest = own_models.digest(SOURCE.encode())
    self.assertEqual(config.models.models, ("own-small", "cifar_resnet-8"))
    self.assertEqual(
      config.models.own_models,
      (f"{self.folder}/my_models.py:small@{digest}",),
    )
    self.assertEqual(config_rules.validated(config), config)

  def test_a_recorded_reference_is_not_read_again(self):
    config = config_of(models=("my_models.py:small",))
    self.write("my_models.py", "changed")

    self.assertEqual(config_rules.validated(config), config)

  def test_a_module_is_found_without_importing_it(self):
    self.write("package/__init__.py", "raise RuntimeError")
    path = self.write("package/models.py", SOURCE)

    reference = own_models.parse("package.models:small")

    self.assertEqual(reference.file().resolve(), path)
    self.assertNotIn("package", sys.modules)
    self.assertIsNone(own_models.parse("package.nothing:small").file())
    self.assertIsNone(own_models.parse("my_models.nothing:small").file())

  def test_json_and_imports_are_named_by_their_files(self):
    self.write("my_model.json", "{}")
    config = config_of(models=("my_model.json",), imports=("my_models.py",))

    self.assertEqual(config.models.models, ("own-my_model",))
    (entry,) = config.models.imports
    self.assertEqual(own_models.parse_import(entry).name, "my_models")

  @parameterized.parameters(
    ({"models": ("my_models.py",)}, "without a function"),
    ({"models": ("my_models.py:sm-all",)}, "letters, digits and"),
    ({"models": ("my_models.py:größe",)}, "letters, digits and"),
    ({"models": ("my-model.json",)}, "letters, digits and"),
    ({"models": ("a b:small",)}, "neither a .py file nor the name"),
    ({"models": ("own-sm-all",)}, "named `own-FUNCTION`"),
    ({"models": ("my_models.py:small",) * 2}, "anything twice"),
    ({"imports": ("layers.py:Layer",)}, "--import: An import is given as"),
    ({"imports": ("own-layers.py",)}, "letters, digits and"),
    ({"recipes": ("distilled-own-sm-all-t3",)}, "named `own-FUNCTION`"),
  )
  def test_refuses(self, models, message):
    with self.assertRaisesRegex(ValueError, message):
      config_of(**models)

  def test_one_process_trains_a_run(self):
    config = config_of(models=("my_models.py:small",))
    running = settings_lib.RunningConfig(strategy="multi_worker")

    with self.assertRaisesRegex(ValueError, "--strategy must not be multi"):
      config_rules.validated(dataclasses.replace(config, running=running))

  def test_two_sources_cannot_have_one_name(self):
    self.write("other/my_models.py", "# another\n" + SOURCE)

    with self.assertRaisesRegex(ValueError, "would both be own-small"):
      config_of(models=("my_models.py:small", "other/my_models.py:small"))

  def test_flags_of_a_study_hold_the_digest_and_no_folder(self):
    config = config_of(models=("my_models.py:small",))

    flags = flagfile.resolved_flags(config)

    digest = own_models.digest(SOURCE.encode())
    self.assertIn(f"\n--own_models=my_models.py:small@{digest}\n", flags)
    self.assertIn("\n--models=own-small\n", flags)
    self.assertNotIn(str(self.folder), flags)

  def test_the_ladder_is_in_the_order_given_and_grows_at_its_end(self):
    names = ("my_models.py:small", "cifar_resnet-8", "my_models.py:large")
    plan = plan_lib.Plan.of(config_of(models=names))

    self.assertLess(
      plan.models["own-small"].relative_cost,
      plan.models["own-large"].relative_cost,
    )
    ladders = {name: model.ladder for name, model in plan.models.items()}
    self.assertEqual(
      ladders,
      {
        "own-small": "own",
        "own-large": "own",
        "cifar_resnet-8": "cifar_resnet",
      },
    )
    self.assertEqual(plan.models["own-small"].label, "small")
    before = config_of(models=names[2:])
    after = config_lib.merge(before, config_of(models=names))
    self.assertEqual(
      after.models.models, ("own-large", "own-small", "cifar_resnet-8")
    )

  def test_another_order_of_a_ladder_is_refused(self):
    names = ("my_models.py:small", "my_models.py:large")

    with self.assertRaisesRegex(ValueError, "given own-large,own-small"):
      config_lib.merge(config_of(models=names), config_of(models=names[::-1]))

  def test_a_changed_source_is_refused_and_a_missing_one_is_not(self):
    before = config_of(models=("my_models.py:small",))
    os.remove("my_models.py")
    missing = config_of(models=("my_models.py:small",))
    self.write("my_models.py", SOURCE + "# changed")
    changed = config_of(models=("my_models.py:small",))

    self.assertEqual(config_lib.merge(before, missing), before)
    with self.assertRaisesRegex(
      ValueError, "source of own-small has changed: my_models.py:small had"
    ):
      config_lib.merge(before, changed)

  def test_a_moved_source_is_the_same(self):
    before = config_of(models=("my_models.py:small",))
    self.write("moved/my_models.py", SOURCE)
    after = config_of(models=("moved/my_models.py:small",))

    merged = config_lib.merge(before, after)

    self.assertEqual(merged.models.own_models, after.models.own_models)

  def test_an_own_teacher_is_parsed_from_a_recipe(self):
    training = settings_lib.TrainingConfig()
    recipe = recipes.parse("distilled-own-large_t3-t3-a0.5", training)

    self.assertEqual(recipe.required, (("own-large_t3", "one_hot"),))
    self.assertEqual(recipe.temperature, 3)


if __name__ == "__main__":
  absltest.main()
