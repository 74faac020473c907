"""Flags: one for each config field, their request, and a flagfile of them."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.cli import flagfiles
from memo_tf.cli import flags as flags_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import flagfile
from memo_tf.experiment import smoke

FIELDS = [
  (group, field)
  for group, kind in config_lib.groups().items()
  for field in dataclasses.fields(kind)
]


def new_flags():
  values = flags.FlagValues()
  flags_lib.define_flags(values, "program")
  return values


def config_from(*arguments):
  values = new_flags()
  values(["program", *flagfiles.resolve(arguments)])
  return flags_lib.study_config(values)


def other_value(field):
  """A valid value of a field that is not its default."""
  special = {
    "dataset": "cifar10:3.*.*",
    "train_split": "train[:900]",
    "test_fraction": 0.25,
    "image_key": "picture",
    "label_key": "kind",
    "image_size": 32,
    "label_noise": 0.125,
    "planted_near_noise": 0.05,
    "planted_copies": (2, 5),
    "near_duplicate_distance": 0.15,
    "subset_ratio": 0.35,
    "subset_families": ("r0.50", "full"),
    "models": ("cifar_resnet-14", "cifar_resnet-8-w0.5"),
    "removal_repeats": 3,
    "removal_thresholds": (0.125, 0.5),
    "removal_comparisons": ("targeted", "random"),
    "removal_models": ("cifar_resnet-14",),
    "own_models": (f"my_models.py:small@{'0' * 32}",),
    "imports": (f"my_layers.py@{'1' * 32}",),
    "warmup_epochs": 0.1,
    "decay_epochs": (1.5, 3.0),
    "decay_factor": 1 / 3,
    "momentum": 0.85,
    "batch_norm_momentum": 0.75,
    "weight_decay": 5e-5,
    "jit_compile": "off",
    "outcomes": ("correctness", "margin"),
    "score_epochs": (2, 1),
    "min_memorization": 0.5,
    "min_influence": 0.3,
    "min_change": 0.3,
    "interval_width": 0.1,
    "target_ci_width": 0.0,  # excluded by subset_families
    "jpeg_quality": 90,
    "memory_budget_gb": 0.5,
    "storage": "memory",
    "batch_size": 64,
    "update_labels": "pets",
    "proxies": ("el2n", "curvature"),
    "proxy_settings": ("el2n.at=none", "grand.at=0.5"),
    "curvature_step": 0.01,
  }
  if field.name in special:
    return special[field.name]
  if "choices" in field.metadata:
    choices = field.metadata["choices"]
    return next(c for c in choices if c != field.default)
  if isinstance(field.default, bool):
    return not field.default
  if isinstance(field.default, (int, float)):
    return field.default + 3
  return field.default  # Excluded by another, not recorded, or the only one.


def other_config():
  parts = {
    group: kind(**{f.name: other_value(f) for f in dataclasses.fields(kind)})
    for group, kind in config_lib.groups().items()
  }
  return config_rules.validated(config_lib.StudyConfig(**parts))


class DefineFlagsTest(parameterized.TestCase):
  @parameterized.parameters(*[(field,) for _, field in FIELDS])
  def test_field_has_a_flag_of_its_name_default_and_meaning(self, field):
    flag = new_flags()[field.name]

    default = field.default
    if isinstance(default, tuple):
      default = [str(item) for item in default]
    self.assertEqual(flag.default, default)
    self.assertIs(type(flag.default), type(default))
    # absl puts the choices of an enum before the text.
    self.assertEndsWith(flag.help, field.metadata["help"])

  def test_there_are_no_flags_but_the_fields_and_five(self):
    names = {field.name for _, field in FIELDS}

    # A fresh FlagValues has absl's own --flagfile and --undefok at most.
    found = set(new_flags()) - {"flagfile", "undefok"}

    self.assertEqual(
      found,
      names | {"experiment_dir", "dry_run", "smoke", "work_units", "import"},
    )

  def test_imports_have_a_second_name(self):
    values = new_flags()

    values(["program", "--import=my_layers.py,a.module"])

    self.assertEqual(values["imports"].value, ["my_layers.py", "a.module"])

  def test_global_flags_are_left_alone(self):
    before = set(flags.FLAGS)

    new_flags()

    self.assertEqual(set(flags.FLAGS), before)

  def test_each_flag_is_shown_in_one_group(self):
    groups = new_flags().flags_by_module_dict()

    shown = [flag.name for members in groups.values() for flag in members]
    shown = [name for name in shown if name not in ("flagfile", "undefok")]
    self.assertLen(set(shown), len(shown))
    short = {flag.name for flag in groups["program"]}
    self.assertEqual(
      short,
      {"experiment_dir", "dry_run", "smoke"}
      | {f.name for _, f in FIELDS if f.metadata.get("short")},
    )
    self.assertIn(
      "momentum",
      [
        flag.name
        for flag in groups["program: training: how a model is trained"]
      ],
    )

  @parameterized.parameters(
    "--epochs=many",
    "--epochs=1.5",
    "--learning_rate=fast",
    "--nesterov=perhaps",
    "--schedule=line",
    "--no_such_flag=1",
    "--epoch=3",
  )
  def test_wrong_flag_is_refused_by_name(self, argument):
    name = argument.partition("=")[0].lstrip("-")

    with self.assertRaisesRegex(flags.Error, name):
      config_from(argument)


class ExperimentConfigTest(parameterized.TestCase):
  def test_no_flags_give_the_default_config(self):
    self.assertEqual(config_from(), config_lib.StudyConfig())

  def test_each_kind_of_flag(self):
    config = config_from(
      "--epochs=3",
      "--learning_rate=0.25",
      "--nonesterov",
      "--keep_logits",
      "--schedule=step",
      "--models=cifar_resnet-8,cifar_resnet-14",
      "--decay_epochs=1,2.5",
      "--subset_families=",
    )

    self.assertEqual(config.training.epochs, 3)
    self.assertEqual(config.training.learning_rate, 0.25)
    self.assertIs(config.training.nesterov, False)
    self.assertIs(config.outputs.keep_logits, True)
    self.assertEqual(config.training.schedule, "step")
    self.assertEqual(
      config.models.models, ("cifar_resnet-8", "cifar_resnet-14")
    )
    self.assertEqual(config.training.decay_epochs, (1.0, 2.5))
    self.assertEqual(config.subsets.subset_families, ())

  def test_config_is_validated(self):
    with self.assertRaisesRegex(ValueError, "--subset_ratio must be strictly"):
      config_from("--subset_ratio=1")

  def test_list_of_numbers_takes_numbers(self):
    with self.assertRaisesRegex(
      ValueError, "--decay_epochs takes .*numbers.*--decay_epochs=1,x"
    ):
      config_from("--decay_epochs=1,x")


class RequestTest(parameterized.TestCase):
  def request(self, *arguments):
    values = new_flags()
    values(["program", *flagfiles.resolve(arguments)])
    return flags_lib.request(values, arguments), values

  @parameterized.parameters(
    ([], "studies/digits"),
    (["--dataset=cifar10"], "studies/cifar10"),
    (["--dataset=eurosat/rgb:2.0.0"], "studies/eurosat-rgb-2.0.0"),
    (["--dataset=npz:my data/MINE.npz"], "studies/MINE"),
    (["--dataset=folder:../pets, two/"], "studies/pets-two"),
    (["--dataset=folder:/"], "studies/study"),
    (["--flagfile=planted.flags", "--dataset=mnist5k"], "studies/planted"),
    (["--flagfile", "planted.flags"], "studies/planted"),
    (
      ["--flagfile=cifar10.flags", "--flagfile=mobilenet_v3.flags"],
      "studies/cifar10",
    ),
    (["--flagfile=cifar10.flags", "--smoke"], "studies/cifar10-smoke"),
    (["--smoke"], "studies/digits-smoke"),
    (["--update_labels=studies/pets/"], "studies/pets-labels2"),
    (["--update_labels=pets-labels9"], "pets-labels10"),
    (["--update_labels=pets", "--experiment_dir=here"], "here"),
    (["--smoke", "--experiment_dir=here"], "here"),
    (["--flagfile=cifar10.flags", "--experiment_dir=/a b"], "/a b"),
  )
  def test_folder(self, arguments, expected):
    asked, values = self.request(*arguments)

    self.assertEqual(asked.root, expected)
    self.assertEqual(values["experiment_dir"].value, expected)

  def test_units_and_config(self):
    name = "cifar_resnet-8/one_hot/r0.70/00003"

    asked, _ = self.request("--epochs=3", f"--work_units={name}")

    self.assertEqual(asked.config.training.epochs, 3)
    self.assertEqual([unit.name for unit in asked.units], [name])

  def test_labels_are_not_updated_in_place(self):
    with self.assertRaisesRegex(
      errors.UsageError, "another folder.*--experiment_dir=./pets"
    ):
      self.request("--update_labels=pets", "--experiment_dir=./pets")

  def test_smoke_is_the_small_study_of_the_flags(self):
    asked, _ = self.request("--flagfile=cifar10.flags", "--smoke", "--seed=3")

    whole = config_from("--flagfile=cifar10.flags", "--seed=3")
    self.assertEqual(asked.config, smoke.smoke(whole))

  @parameterized.parameters(
    ("--experiment_dir=", "--experiment_dir must name"),
    ("--work_units=x", "MODEL/RECIPE"),
    ("--epochs=0", "--epochs must be"),
  )
  def test_wrong_use(self, argument, message):
    for more in ([], ["--smoke"]):
      with self.assertRaisesRegex(errors.UsageError, message):
        self.request(argument, *more)


class OwnFlagfilesTest(absltest.TestCase):
  def test_each_is_found_by_name_and_gives_a_valid_config(self):
    names = [p.name for p in flagfiles.shipped_dir().glob("*.flags")]
    self.assertIn("digits.flags", names)

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
      for name in names:
        config = config_from(f"--flagfile={name}")

        self.assertNotEqual(config, config_lib.StudyConfig(), name)


class ResolvedFlagsTest(parameterized.TestCase):
  def parsed_again(self, config):
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / "resolved.flags"
      path.write_text(flagfile.resolved_flags(config))
      return config_from(f"--flagfile={path}")

  def test_other_config_differs_wherever_it_can(self):
    config = other_config()

    same = {
      f.name
      for g, f in FIELDS
      if getattr(getattr(config, g), f.name) == f.default
    }

    self.assertEqual(
      same,
      {
        "recipes",
        "data_dir",
        "labels_file",
        "test_split",
        "proxy_files",
        "target_ci_width",
      },
    )

  def test_parsed_again_gives_the_same_config(self):
    for config in (config_lib.StudyConfig(), other_config()):
      self.assertEqual(self.parsed_again(config), config)

  def test_no_path_of_this_machine_is_recorded(self):
    config = config_from(
      "--dataset=npz:/here/mine.npz",
      "--data_dir=/here",
      "--labels_file=/here/human.npy",
    )

    text = flagfile.resolved_flags(config)

    self.assertNotIn("/here", text)
    self.assertIn("--dataset=npz:mine.npz\n", text)
    self.assertIn("--labels_file=human.npy\n", text)

  def test_every_field_is_on_a_line_of_its_own(self):
    text = flagfile.resolved_flags(other_config())

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    # --data_dir and --proxy_files are this machine's.
    self.assertLen(lines, len(FIELDS) - 2)
    self.assertIn("--nonesterov", lines)
    self.assertIn("--keep_logits", lines)
    self.assertIn("--decay_epochs=1.5,3.0", lines)
    self.assertIn("--weight_decay=5e-05", lines)

  def test_holds_no_path(self):
    with tempfile.TemporaryDirectory() as folder:
      values = new_flags()
      values(["program", f"--experiment_dir={folder}/study"])

      text = flagfile.resolved_flags(flags_lib.study_config(values))

    self.assertNotIn("experiment_dir", text)
    self.assertNotIn(folder, text)
    self.assertNotIn(os.sep, text)


if __name__ == "__main__":
  absltest.main()
