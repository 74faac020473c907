"""XLA and bfloat16: what is compiled, once, and in which precision."""

import re

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

SHAPE = (8, 8, 1)
RNG = np.random.default_rng(0)
IMAGES = tf.constant(RNG.integers(0, 17, (64, *SHAPE)).astype(np.uint8))
LABELS = tf.constant(RNG.integers(0, 3, 64).astype(np.int32))


def make_trainer(precision: str, jit_compile: bool) -> trainer_lib.Trainer:
  settings = settings_lib.TrainingConfig(batch_size=16, precision=precision)
  trainer = trainer_lib.Trainer(
    "cifar_resnet-8-w0.5",
    recipes.parse("one_hot", settings),
    image_shape=SHAPE,
    num_classes=3,
    mean=np.array([8.0], np.float32),
    std=np.array([6.0], np.float32),
    strategy=distribution.one_device(),
    jit_compile=jit_compile,
  )
  trainer.initialize(0, "unit")
  return trainer


def losses(trainer: trainer_lib.Trainer, count: int) -> list[float]:
  order = np.arange(count * 16, dtype=np.int32).reshape(count, 1, 16) % 64
  rate = np.full(1, 0.01, np.float32)
  return [trainer.train_epoch(IMAGES, LABELS, o, rate).loss for o in order]


def unoptimized_hlo(trainer: trainer_lib.Trainer) -> str:
  batch = (IMAGES[:16], LABELS[:16], tf.constant(0.01))
  step = tf.function(lambda *batch: trainer.step(*batch)[:2], jit_compile=True)
  return step.experimental_get_compiler_ir(*batch)(stage="hlo")


class CompilationTest(parameterized.TestCase):
  def test_xla_computes_the_same_steps(self):
    plain = losses(make_trainer("float32", False), 5)
    compiled = losses(make_trainer("float32", True), 5)

    np.testing.assert_allclose(compiled, plain, rtol=1e-4)

  def test_xla_computes_the_same_predictions(self):
    plain = make_trainer("float32", False).predict(IMAGES)
    compiled = make_trainer("float32", True).predict(IMAGES)

    np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)

  def test_compiled_epochs_are_traced_once_over_runs(self):
    trainer = make_trainer("float32", True)
    for unit in range(3):
      trainer.initialize(0, f"unit {unit}")
      losses(trainer, 2)

    self.assertEqual(trainer._epoch.experimental_get_tracing_count(), 1)

  @parameterized.parameters(("float32", "f32"), ("bfloat16", "bf16"))
  def test_every_convolution_has_the_precision_asked_for(self, name, short):
    hlo = unoptimized_hlo(make_trainer(name, False))

    found = re.findall(r"= (\w+)\[[^=]*?\bconvolution\(", hlo)
    # Forward and towards the kernels: 7 each; towards the images: at least 6.
    self.assertGreaterEqual(len(found), 20)
    self.assertEqual(set(found), {short})

  def test_no_step_leaves_the_device(self):
    hlo = unoptimized_hlo(make_trainer("float32", False))

    for operation in ("infeed", "outfeed", "custom-call", "recv", "send("):
      self.assertNotIn(operation, hlo)

  def test_bfloat16_keeps_weights_statistics_and_logits_in_float32(self):
    trainer = make_trainer("bfloat16", False)
    found = losses(trainer, 5)
    reference = losses(make_trainer("float32", False), 5)

    self.assertEqual({v.dtype for v in trainer.model.variables}, {"float32"})
    self.assertEqual(trainer.model.output.dtype, "float32")
    self.assertEqual(trainer.predict(IMAGES).dtype, np.float32)
    np.testing.assert_allclose(found, reference, rtol=0.03)
    self.assertFalse(np.allclose(found, reference, rtol=1e-6))

  def test_building_leaves_the_global_policy_alone(self):
    before = keras.config.dtype_policy().name

    models.build_model(
      "cifar_resnet-8", image_shape=SHAPE, num_classes=3, precision="bfloat16"
    )

    self.assertEqual(keras.config.dtype_policy().name, before)

  def test_auto_is_off_on_a_cpu_and_for_replicas_and_can_be_forced(self):
    strategy = distribution.one_device()

    self.assertFalse(distribution.jit_compile("auto", strategy))
    self.assertTrue(distribution.jit_compile("on", strategy))
    self.assertFalse(distribution.jit_compile("off", strategy))


if __name__ == "__main__":
  absltest.main()
