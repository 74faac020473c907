"""The config: recorded and read, merged by policy, checked by rule."""

import dataclasses
import json

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib

FIELDS = [
  (group, field)
  for group, kind in config_lib.groups().items()
  for field in dataclasses.fields(kind)
]


def with_field(config, group, name, value):
  part = dataclasses.replace(getattr(config, group), **{name: value})
  return dataclasses.replace(config, **{group: part})


def config_of(**fields):
  """The default config with some fields changed, by name."""
  config = config_lib.StudyConfig()
  groups = {field.name: group for group, field in FIELDS}
  for name, value in fields.items():
    config = with_field(config, groups[name], name, value)
  return config


def other_value(value):
  """A value of the same type that is not this one."""
  if isinstance(value, bool):
    return not value
  if isinstance(value, (int, float)):
    return value + 1
  return value + (("x",) if isinstance(value, tuple) else "x")


def policy_of(name):
  return {f.name: f.metadata["policy"] for _, f in FIELDS}[name]


class JsonTest(parameterized.TestCase):
  def test_round_trip_of_the_default(self):
    config = config_lib.StudyConfig()

    self.assertEqual(config_lib.from_json(config.to_json()), config)

  def test_round_trip_with_every_field_changed(self):
    config = config_of(
      **{f.name: other_value(f.default) for _, f in FIELDS}
      | {"decay_epochs": (2.5, 7.0), "learning_rate": 1 / 3}
    )

    read = config_lib.from_json(config.to_json())

    self.assertEqual(read, config)
    self.assertEqual(read.training.decay_epochs, (2.5, 7.0))
    self.assertEqual(read.training.learning_rate, 1 / 3)
    self.assertIsInstance(read.models.models, tuple)

  def test_names_groups_and_version(self):
    content = json.loads(config_of(epochs=3, seed=5).to_json())

    self.assertEqual(content["format_version"], 2)
    self.assertEqual(content["training"]["epochs"], 3)
    self.assertEqual(content["running"]["seed"], 5)
    self.assertEqual(
      set(content),
      {
        "format_version",
        "data",
        "subsets",
        "models",
        "training",
        "running",
        "outputs",
        "proxies",
        "removal",
      },
    )

  def test_field_that_is_not_recorded_has_its_default(self):
    text = json.dumps({"format_version": 2, "training": {"epochs": 3}})

    self.assertEqual(config_lib.from_json(text), config_of(epochs=3))

  @parameterized.parameters(3, 99, None, "1", 1.5)
  def test_other_format_is_refused(self, version):
    content = json.loads(config_lib.StudyConfig().to_json())
    content["format_version"] = version

    with self.assertRaisesRegex(ValueError, f"format_version {version};"):
      config_lib.from_json(json.dumps(content))

  def test_format_1_named_the_group_of_training_settings_recipe(self):
    text = json.dumps({"format_version": 1, "recipe": {"epochs": 3}})

    self.assertEqual(config_lib.from_json(text), config_of(epochs=3))
    self.assertEqual(config_lib.format_version(text), 1)
    with self.assertRaisesRegex(ValueError, "unknown groups: .*recipe"):
      config_lib.from_json(text.replace("1,", "2,", 1))

  def test_missing_format_is_refused(self):
    with self.assertRaisesRegex(ValueError, "format_version None"):
      config_lib.from_json("{}")

  @parameterized.parameters("", "{", '{"format_version": 1')
  def test_damaged_text_is_refused(self, text):
    with self.assertRaises(ValueError):
      config_lib.from_json(text)

  def test_unknown_field_is_refused(self):
    text = json.dumps({"format_version": 2, "training": {"epoch": 3}})

    with self.assertRaisesRegex(
      ValueError, "unknown fields in 'training': epoch"
    ):
      config_lib.from_json(text)

  def test_unknown_group_is_refused(self):
    text = json.dumps({"format_version": 1, "cloud": {}})

    with self.assertRaisesRegex(ValueError, "unknown groups: .*cloud"):
      config_lib.from_json(text)


class FieldsTest(parameterized.TestCase):
  def test_names_are_unique_over_groups(self):
    names = [field.name for _, field in FIELDS]

    self.assertLen(set(names), len(names))

  def test_every_field_has_a_policy_and_says_what_it_means(self):
    for _, field in FIELDS:
      self.assertIn(
        field.metadata["policy"],
        ("fixed", "once", "grows", "union", "sources", "free"),
      )
      self.assertGreater(len(field.metadata["help"]), 10, field.name)

  def test_what_results_depend_on_is_fixed(self):
    for name in (
      "dataset",
      "label_noise",
      "subset_ratio",
      "subset_scheme",
      "seed",
      "threads_per_unit",
      *(f.name for f in dataclasses.fields(settings_lib.TrainingConfig)),
    ):
      self.assertEqual(policy_of(name), "fixed", name)

  @parameterized.parameters(
    ({}, ("r0.70",)),
    ({"subset_ratio": 0.5, "subset_scheme": "uniform"}, ("r0.50-uniform",)),
    (
      {"subset_families": ("full", "r0.70", "r0.50")},
      ("r0.70", "full", "r0.50"),
    ),
  )
  def test_family_names(self, fields, expected):
    self.assertEqual(config_of(**fields).family_names(), expected)


class MergeTest(parameterized.TestCase):
  @parameterized.parameters(
    *[(group, f.name) for group, f in FIELDS if f.metadata["policy"] == "fixed"]
  )
  def test_fixed_field_shows_both_values(self, group, name):
    # What is recorded for proxies is fixed once there is one.
    recorded = config_of(proxies=("el2n",))
    old = getattr(getattr(recorded, group), name)
    new = ("7.5",) if name == "decay_epochs" else other_value(old)

    with self.assertRaises(ValueError) as caught:
      config_lib.merge(recorded, with_field(recorded, group, name, new))

    self.assertIn(
      f"--{name}: recorded {config_lib.show(old)}, "
      f"given {config_lib.show(new)}",
      str(caught.exception),
    )
    self.assertIn("another --experiment_dir", str(caught.exception))

  def test_settings_of_proxies_are_free_until_there_is_one(self):
    given = config_of(proxies=("el2n",), record_epochs=3, proxy_runs=2)

    self.assertEqual(config_lib.merge(config_of(), given), given)
    with self.assertRaisesRegex(ValueError, "--record_epochs: recorded 3"):
      config_lib.merge(given, config_of())

  def test_every_conflict_is_shown_and_nothing_else(self):
    recorded = config_of(num_subsets=40)
    given = config_of(num_subsets=20, epochs=3, seed=1, workers=5)

    with self.assertRaises(ValueError) as caught:
      config_lib.merge(recorded, given)

    message = str(caught.exception)
    self.assertIn("--epochs: recorded 20, given 3", message)
    self.assertIn("--seed: recorded 0, given 1", message)
    self.assertIn(
      "--num_subsets: recorded 40, given 20 (it may only grow)", message
    )
    self.assertNotIn("workers", message)
    self.assertNotIn("batch_size", message)

  def test_lists_show_as_in_flags(self):
    recorded = config_of(decay_epochs=(10.0, 15.0))

    with self.assertRaisesRegex(
      ValueError, "--decay_epochs: recorded 10.0,15.0, given 5.0"
    ):
      config_lib.merge(recorded, config_of(decay_epochs=(5.0,)))

  def test_same_config_merges_to_itself(self):
    config = config_of(num_subsets=8, workers=3, subset_families=("full",))

    self.assertEqual(config_lib.merge(config, config), config)

  def test_number_of_subsets_grows(self):
    merged = config_lib.merge(
      config_of(num_subsets=40), config_of(num_subsets=60)
    )

    self.assertEqual(merged, config_of(num_subsets=60))

  def test_with_a_target_the_given_number_of_subsets_is_the_start(self):
    recorded = config_of(num_subsets=160, target_ci_width=0.2)
    given = config_of(num_subsets=40, target_ci_width=0.3, max_subsets=200)

    merged = config_lib.merge(recorded, given)

    self.assertEqual(
      merged,
      config_of(num_subsets=160, target_ci_width=0.3, max_subsets=200),
    )
    self.assertIs(config_rules.validated(merged), merged)
    with self.assertRaisesRegex(ValueError, "recorded 160, given 40"):
      config_lib.merge(recorded, config_of(num_subsets=40))

  def test_a_target_completes_the_last_block(self):
    merged = config_lib.merge(
      config_of(num_subsets=25), config_of(num_subsets=20, target_ci_width=0.2)
    )

    self.assertEqual(merged.subsets.num_subsets, 30)

  def test_a_limit_below_what_is_recorded_is_refused(self):
    given = config_of(num_subsets=40, target_ci_width=0.3, max_subsets=100)

    with self.assertRaisesRegex(
      ValueError, "--max_subsets: the study has 160 subsets already, given 100"
    ):
      config_lib.merge(config_of(num_subsets=160), given)

  @parameterized.parameters("models", "recipes", "subset_families")
  def test_lists_of_names_are_united_in_order(self, name):
    merged = config_lib.merge(
      config_of(**{name: ("b", "a")}), config_of(**{name: ("c", "a", "d")})
    )

    self.assertEqual(merged, config_of(**{name: ("b", "a", "c", "d")}))

  def test_names_that_are_not_given_again_stay(self):
    merged = config_lib.merge(
      config_of(subset_families=("full",)), config_of(subset_families=())
    )

    self.assertEqual(merged.subsets.subset_families, ("full",))

  @parameterized.parameters(
    *[(group, f.name) for group, f in FIELDS if f.metadata["policy"] == "free"]
  )
  def test_free_field_takes_the_new_value(self, group, name):
    recorded = config_lib.StudyConfig()
    value = other_value(getattr(getattr(recorded, group), name))
    given = with_field(recorded, group, name, value)

    self.assertEqual(config_lib.merge(recorded, given), given)
    self.assertEqual(config_lib.merge(given, recorded), recorded)


class RulesTest(parameterized.TestCase):
  def test_default_is_valid(self):
    config = config_lib.StudyConfig()

    self.assertIs(config_rules.validated(config), config)

  @parameterized.parameters(
    {"label_noise": 0.0},
    {"label_noise": 0.99},
    {"num_subsets": 2},
    {"subset_ratio": 0.123456},
    {"subset_scheme": "uniform"},
    {"subset_families": ("r0.50", "r0.30-uniform", "full")},
    {"models": ("cifar_resnet-8", "cifar_resnet-20-w0.5")},
    {"epochs": 1, "warmup_epochs": 1.0},
    {"batch_size": 1},
    {"schedule": "step", "decay_epochs": (2.5, 5.0), "decay_factor": 1.0},
    {"momentum": 0.0, "batch_norm_momentum": 0.0, "weight_decay": 0.0},
    {"weight_decay_convention": "decoupled", "weight_decay_coverage": "all"},
    {"seed": 2**40, "threads_per_unit": 8, "workers": 3},
  )
  def test_accepts(self, **fields):
    config = config_of(**fields)

    self.assertIs(config_rules.validated(config), config)

  @parameterized.parameters(
    {"num_subsets": 20, "max_subsets": 20},
    {"num_subsets": 7, "max_subsets": 9, "subset_scheme": "uniform"},
    {"target_examples": "all", "estimator": "margin_sizes"},
  )
  def test_accepts_with_a_target(self, **fields):
    config = config_of(target_ci_width=0.2, **fields)

    self.assertIs(config_rules.validated(config), config)

  @parameterized.parameters(
    ({"num_subsets": 25}, "--num_subsets must be whole blocks of 10"),
    ({"max_subsets": 995}, "--max_subsets must be whole blocks of 10"),
    (
      {"num_subsets": 40, "max_subsets": 30},
      "--max_subsets must be at least --num_subsets, 40. Received: "
      "--max_subsets=30",
    ),
    ({"subset_families": ("full",)}, "--subset_families and --target_ci_width"),
    ({"strategy": "multi_worker"}, "--strategy must not be multi_worker"),
    (
      {
        "dataset": "predictions:mine",
        "models": ("given-model",),
        "recipes": ("given",),
      },
      "--target_ci_width must be 0 for given predictions",
    ),
  )
  def test_rejects_with_a_target(self, fields, rule):
    with self.assertRaisesRegex(ValueError, f"^{rule}"):
      config_rules.validated(config_of(target_ci_width=0.2, **fields))

  def test_whole_numbers_are_as_flags_give_them(self):
    """Else a study made in Python would have another recipe for a launch."""
    given = {"weight_decay": 0, "decay_epochs": [1, 2], "warmup_epochs": True}
    with self.assertRaisesRegex(ValueError, "--warmup_epochs must be of type"):
      config_rules.from_settings(given)
    del given["warmup_epochs"]
    one = config_rules.from_settings(given)
    two = config_of(weight_decay=0.0, decay_epochs=(1.0, 2.0))

    self.assertEqual(one.to_json(), two.to_json())
    digests = []
    for config in (one, two):
      recipes.parse.cache_clear()  # its keys do not tell 0 from 0.0
      digests.append(recipes.parse("one_hot", config.training).digest())
    self.assertEqual(*digests)

  @parameterized.parameters(
    "cifar10", "eurosat/rgb:2.0.0", "mnist:3.*.*", "npz:a/b.npz", "folder:/x"
  )
  def test_data_sets_by_name_and_by_path(self, name):
    data = settings_lib.DataConfig(dataset=name)

    config_rules.validated(config_lib.StudyConfig(data=data))

  @parameterized.parameters(
    ({"labels_file": "a.npy", "label_noise": 0.1}, "--label_noise exclude"),
    ({"test_split": "test", "test_fraction": 0.1}, "--test_fraction exclude"),
  )
  def test_settings_that_exclude_each_other(self, settings, words):
    data = settings_lib.DataConfig(**settings)

    with self.assertRaisesRegex(ValueError, words):
      config_rules.validated(config_lib.StudyConfig(data=data))

  @parameterized.parameters(
    ({"precision": "bfloat16"}, "--precision must be float32.*pruned-0.5"),
    ({"strategy": "mirrored"}, "--strategy must be one_device.*pruned-0.5"),
    ({"proxies": ("el2n",)}, "--proxies must be empty.*pruned-0.5"),
  )
  def test_what_compressed_recipes_do_not_support(self, fields, words):
    config_rules.validated(config_of(**fields))

    with self.assertRaisesRegex(ValueError, words):
      config_rules.validated(
        config_of(recipes=("one_hot", "pruned-0.5"), **fields)
      )

  def test_replicas_share_a_batch_evenly(self):
    def config(batch_size):
      return config_lib.StudyConfig(
        training=settings_lib.TrainingConfig(batch_size=batch_size),
        running=settings_lib.RunningConfig(strategy="mirrored", cpu_devices=2),
      )

    config_rules.validated(config(128))
    with self.assertRaisesRegex(ValueError, "--batch_size must be a multiple"):
      config_rules.validated(config(127))

  def test_the_same_file_elsewhere_is_the_same_study(self):
    def config(place, name="mine.npz"):
      return config_lib.StudyConfig(
        data=settings_lib.DataConfig(
          dataset=f"npz:{place}/{name}",
          data_dir=place,
          labels_file=f"{place}/human.npy",
        )
      )

    merged = config_lib.merge(config("/here"), config("/there"))

    self.assertEqual(merged, config("/there"))
    with self.assertRaisesRegex(ValueError, "--dataset"):
      config_lib.merge(config("/here"), config("/here", "other.npz"))

  @parameterized.parameters(
    ("dataset", "../imagenet", "one of: digits"),
    ("dataset", "npz:", "npz:FILE"),
    ("dataset", "", "one of: digits"),
    ("test_fraction", 1.0, r"in \[0, 1\)"),
    ("image_size", 4, "at least 8"),
    ("image_size", -1, "at least 8"),
    ("train_split", "", "name a split"),
    ("label_noise", -0.1, r"in \[0, 1\)"),
    ("label_noise", 1.0, r"in \[0, 1\)"),
    ("label_noise", float("nan"), r"in \[0, 1\)"),
    ("num_subsets", 1, "at least 2"),
    ("num_subsets", 0, "at least 2"),
    ("num_subsets", -4, "at least 2"),
    ("target_ci_width", -0.1, "0 .off., or above 0 and below 2"),
    ("target_ci_width", 2.0, "0 .off., or above 0 and below 2"),
    ("target_ci_width", float("nan"), "0 .off., or above 0 and below 2"),
    ("target_examples", "few", "one of: ambiguous, all"),
    ("max_subsets", 1, "at least 2"),
    ("subset_ratio", 0.0, "strictly between 0 and 1"),
    ("subset_ratio", 1.0, "strictly between 0 and 1"),
    ("subset_ratio", -0.7, "strictly between 0 and 1"),
    ("subset_ratio", 70.0, "strictly between 0 and 1"),
    ("subset_ratio", float("nan"), "strictly between 0 and 1"),
    ("subset_ratio", 1 / 3, "at most six decimals"),
    ("subset_scheme", "random", "one of: balanced, uniform"),
    ("epochs", 0, "at least 1"),
    ("batch_size", 0, "at least 1"),
    ("learning_rate", 0.0, "above 0"),
    ("learning_rate", -0.1, "above 0"),
    ("learning_rate", float("inf"), "above 0"),
    ("learning_rate", float("nan"), "above 0"),
    ("schedule", "line", "one of: step, cosine, linear"),
    ("warmup_epochs", -1.0, "between 0 and --epochs"),
    ("warmup_epochs", 20.5, "between 0 and --epochs"),
    ("warmup_epochs", float("nan"), "between 0 and --epochs"),
    ("decay_epochs", (0.0, 5.0), "above 0 and in order"),
    ("decay_epochs", (10.0, 5.0), "above 0 and in order"),
    ("decay_factor", 0.0, r"in \(0, 1\]"),
    ("decay_factor", 1.5, r"in \(0, 1\]"),
    ("momentum", 1.0, r"in \[0, 1\)"),
    ("momentum", -0.1, r"in \[0, 1\)"),
    ("weight_decay", -1e-4, "0 or more"),
    ("weight_decay", float("inf"), "0 or more"),
    ("weight_decay_convention", "l2", "one of: gradient, loss, decoupled"),
    ("weight_decay_coverage", "none", "one of: kernels, all"),
    ("batch_norm_momentum", 1.0, r"in \[0, 1\)"),
    ("min_change", 0.0, r"in \(0, 1\]"),
    ("min_change", 1.5, r"in \(0, 1\]"),
    ("trajectory_rule", "slope", "one of: default"),
    ("batch_norm_momentum", -0.5, r"in \[0, 1\)"),
    ("seed", -1, "0 or more"),
    ("threads_per_unit", 0, "at least 1"),
    ("workers", -1, "0 or more"),
    ("checkpoint_epochs", -1, "0 or more"),
    ("models", (), "at least one"),
    ("models", ("cifar_resnet-8", "cifar_resnet-8"), "twice"),
    ("recipes", (), "at least one"),
    ("recipes", ("one_hot", "one_hot"), "twice"),
    ("subset_families", ("full", "full"), "twice"),
  )
  def test_rejects_with_flag_rule_and_value(self, name, value, rule):
    with self.assertRaisesRegex(ValueError, f"^--{name} .*{rule}") as caught:
      config_rules.validated(config_of(**{name: value}))

    self.assertIn(
      f"Received: --{name}={config_lib.show(value)}", str(caught.exception)
    )

  @parameterized.parameters(
    *[
      (f.name, f.metadata["choices"])
      for _, f in FIELDS
      if "choices" in f.metadata
    ]
  )
  def test_every_choice_is_taken_and_nothing_else(self, name, choices):
    self.assertGreater(len(choices), 1)
    for choice in choices:
      ratio = {"subset_ratio": 0.5} if choice == "complementary" else {}
      config_rules.validated(config_of(**{name: choice}, **ratio))

    rule = f"^--{name} must be one of: {', '.join(choices)}"
    with self.assertRaisesRegex(ValueError, f"{rule}.*--{name}=no such"):
      config_rules.validated(config_of(**{name: "no such"}))

  @parameterized.parameters(
    ("models", ("cifar_resnet-8", "vgg-16"), "Unknown model family.*'vgg-16'"),
    ("models", ("cifar_resnet-9",), r"6n \+ 2.*'cifar_resnet-9'"),
    ("models", ("../x",), "Unknown model family"),
    ("recipes", ("one_hot", "two_hot"), "Unknown recipe.*'two_hot'"),
    ("subset_families", ("r0.5",), "A subset family is.*'r0.5'"),
    ("subset_families", ("r0.500",), "is written 'r0.50'"),
  )
  def test_unknown_name_is_shown_with_its_flag(self, name, value, message):
    with self.assertRaisesRegex(ValueError, f"^--{name}: .*{message}"):
      config_rules.validated(config_of(**{name: value}))

  def test_show_is_as_in_a_flag(self):
    self.assertEqual(config_lib.show(("a", "b")), "a,b")
    self.assertEqual(config_lib.show(()), "")
    self.assertEqual(config_lib.show(0.7), "0.7")


if __name__ == "__main__":
  absltest.main()
