"""A model of every family learns, and goes on from a checkpoint to the bit."""

import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
import tensorflow as tf

from memo_tf import models
from memo_tf.experiment import model_names
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import checkpoints
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

MODELS = {
  "cifar_resnet-8-w0.25-v2-shortcutB": 8,
  "mobilenet_v3_small-0.25": 8,
  "resnet-18-w0.125": 32,
}
# The plain one is trained by most other tests; tracing the large one is slow.
SLOW_MODELS = {
  "cifar_resnet-8-w0.25": 8,
  "mobilenet_v3_large-0.25": 8,
}


class FamiliesTest(parameterized.TestCase):
  def test_every_family_is_here(self):
    names = [*MODELS, *SLOW_MODELS]
    families = {model_names.parse(name).family for name in names}

    self.assertEqual(families, set(models.list_models()))

  @parameterized.parameters(*MODELS.items())
  def test_learns_and_goes_on(self, name, size):
    self.assert_learns_and_goes_on(name, size)

  @parameterized.parameters(*SLOW_MODELS.items())
  @pytest.mark.slow
  def test_the_others_learn_and_go_on(self, name, size):
    self.assert_learns_and_goes_on(name, size)

  def assert_learns_and_goes_on(self, name: str, size: int) -> None:
    trainer = trainer_lib.Trainer(
      name,
      recipes.parse("one_hot", settings_lib.TrainingConfig(batch_size=16)),
      image_shape=(size, size, 1),
      num_classes=2,
      mean=np.array([128.0], np.float32),
      std=np.array([64.0], np.float32),
      strategy=distribution.one_device(),
    )
    rng = np.random.default_rng(0)
    labels = np.arange(16, dtype=np.int32) % 2
    images = rng.integers(0, 100, (16, size, size, 1))
    images = tf.constant(
      (images + 150 * labels[:, None, None, None]).astype(np.uint8)
    )
    order = np.tile(np.arange(16, dtype=np.int32), (10, 1))
    rates = np.full(10, 0.05, np.float32)

    def epoch():
      return trainer.train_epoch(images, tf.constant(labels), order, rates).loss

    path = pathlib.Path(self.create_tempdir().full_path) / "checkpoint.npz"
    trainer.initialize(0, "unit")
    first = epoch()
    checkpoints.save(path, "key", 1, [], trainer.state())
    second = epoch()
    end = trainer.state()
    trainer.initialize(1, "another unit")
    epoch()
    trainer.set_state(checkpoints.load(path, "key")[2])
    again = epoch()

    self.assertLess(second, 0.5 * first)
    self.assertEqual(again, second)
    for key, value in trainer.state().items():
      np.testing.assert_array_equal(value, end[key], key)


if __name__ == "__main__":
  absltest.main()
