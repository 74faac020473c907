"""The small study of `--smoke`: valid, quick, and with the same set-up."""

import dataclasses

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.cli import flagfiles
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import smoke
from tests.cli import flags_test

SHIPPED = sorted(p.name for p in flagfiles.shipped_dir().glob("*.flags"))


def config_of(**groups):
  """A config with some settings changed: `training=dict(epochs=3)`."""
  config = config_lib.StudyConfig()
  changed = dataclasses.replace(
    config,
    **{
      group: dataclasses.replace(getattr(config, group), **changes)
      for group, changes in groups.items()
    },
  )
  return config_rules.validated(changed)


class SmokeTest(parameterized.TestCase):
  @parameterized.parameters(*SHIPPED)
  def test_every_shipped_flagfile(self, name):
    whole = flags_test.config_from(f"--flagfile={name}")

    config = smoke.smoke(whole)

    self.assertEqual(config.subsets.num_subsets, 2)
    self.assertEqual(config.training.epochs, 1)
    self.assertEqual(config.data.max_examples, 400)
    # Four steps at least: 0.7 * 400 = 280 examples in a subset.
    self.assertLessEqual(4 * config.training.batch_size, 280)
    self.assertEqual(config.models, whole.models)
    self.assertEqual(config.running, whole.running)
    self.assertEqual(config.outputs, whole.outputs)
    self.assertEqual(config.data.dataset, whole.data.dataset)
    self.assertEqual(smoke.smoke(config), config)

  def test_proxies_of_windows_are_left_out(self):
    config = config_of(
      proxies={"proxies": ("el2n", "dynamic_uncertainty")},
      training={"epochs": 10},
    )

    self.assertEqual(smoke.smoke(config).proxies.proxies, ("el2n",))

  def test_cifar10_hand_computed(self):
    whole = flags_test.config_from("--flagfile=cifar10.flags")

    training = smoke.smoke(whole).training

    # 0.8 * 0.7 * 400 = 224, a quarter of it 56: 1024 is halved to 32.
    self.assertEqual(training.batch_size, 32)
    self.assertEqual(training.learning_rate, 1.0 / 32)
    self.assertEqual(training.warmup_epochs, 15 / 450)
    self.assertEqual(training.decay_epochs, (200 / 450, 300 / 450, 400 / 450))
    for field in dataclasses.fields(training):
      if field.name not in (
        "epochs",
        "batch_size",
        "learning_rate",
        "warmup_epochs",
        "decay_epochs",
      ):
        self.assertEqual(
          getattr(training, field.name), getattr(whole.training, field.name)
        )

  def test_a_small_batch_and_its_learning_rate_stay(self):
    whole = config_of(training={"batch_size": 16, "learning_rate": 0.3})

    training = smoke.smoke(whole).training

    self.assertEqual((training.batch_size, training.learning_rate), (16, 0.3))

  @parameterized.parameters((96, 1, 48), (125, 1, 56), (1000, 4, 56), (9, 3, 9))
  def test_batches_that_powers_of_two_do_not_divide(self, batch, replicas, new):
    whole = config_of(
      training={"batch_size": batch},
      running={"strategy": "mirrored", "cpu_devices": replicas},
    )

    found = smoke.smoke(whole).training.batch_size

    self.assertEqual(found % replicas, 0)
    self.assertLessEqual(found, 56)
    self.assertEqual(found, new)

  def test_an_onion_has_runs_that_select(self):
    whole = config_rules.from_settings(
      {"num_subsets": 200, "onion_subsets": 100}
    )

    reduced = smoke.smoke(whole)

    self.assertEqual(reduced.subsets.num_subsets, 4)
    self.assertEqual(reduced.removal.onion_subsets, 2)

  def test_small_subsets_and_small_rests(self):
    small = config_of(subsets={"subset_families": ("r0.05",)})
    rest = config_of(subsets={"subset_ratio": 0.95})

    # 0.8 * 0.05 * 400 = 16: of the subset a quarter, of the rest all.
    self.assertEqual(smoke.smoke(small).training.batch_size, 4)
    self.assertLessEqual(smoke.smoke(rest).training.batch_size, 16)
    self.assertEqual(smoke.smoke(small).proxies.probe_neighbours, 8)

  def test_planted_examples_fit(self):
    whole = flags_test.config_from("--flagfile=planted.flags")

    data = smoke.smoke(whole).data

    # 40 of 400 labels are wrong: 13 images for each of 3 numbers of copies.
    self.assertEqual(data.planted_copied_labels, 13)
    # 150 of 360 right ones are fewer than the half, 180.
    self.assertEqual(data.planted_exact_duplicates, 50)
    self.assertEqual(data.planted_near_duplicates, 50)
    self.assertEqual(data.planted_conflicts, 50)
    self.assertEqual(data.planted_noise_images, 100)

  def test_many_planted_examples_become_fewer(self):
    whole = config_of(
      data={
        "planted_exact_duplicates": 3000,
        "planted_conflicts": 1000,
        "planted_noise_images": 5000,
        "num_examples": 200,
      }
    )

    data = smoke.smoke(whole).data

    # Half of 200, three to one.
    self.assertEqual(data.planted_exact_duplicates, 75)
    self.assertEqual(data.planted_conflicts, 25)
    self.assertEqual(data.planted_noise_images, 50)
    self.assertEqual(data.num_examples, 200)

  def test_custom_proxies_are_of_the_whole_study(self):
    whole = config_of(proxies={"proxy_files": ("mine.parquet",)})

    self.assertEqual(smoke.smoke(whole).proxies.proxy_files, ())

  def test_all_settings_at_once(self):
    config = smoke.smoke(flags_test.other_config())

    self.assertIsInstance(config.data, settings_lib.DataConfig)
    self.assertEqual(config.training.epochs, 1)


if __name__ == "__main__":
  absltest.main()
