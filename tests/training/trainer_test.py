"""The training loop against hand arithmetic and against Keras."""

import dataclasses

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

IMAGE_SHAPE = (8, 8, 1)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 17, (40, *IMAGE_SHAPE)).astype(np.uint8)
LABELS = RNG.integers(0, 3, 40).astype(np.int32)
MEAN, STD = np.array([5.0], np.float32), np.array([6.0], np.float32)


def recipe(**changes) -> recipes.Recipe:
  settings = {"batch_size": 8, "epochs": 2, **changes}
  return recipes.parse("one_hot", settings_lib.TrainingConfig(**settings))


def make_trainer(**changes) -> trainer_lib.Trainer:
  return trainer_lib.Trainer(
    "cifar_resnet-8-w0.25",
    recipe(**changes),
    image_shape=IMAGE_SHAPE,
    num_classes=3,
    mean=MEAN,
    std=STD,
    strategy=distribution.one_device(),
  )


def train(trainer, steps: int, rate: float, offset: int = 0):
  """Trains on the same batches each time; returns (mean loss, accuracy)."""
  order = (np.arange(steps * 8, dtype=np.int32) + offset) % 40
  rates = np.full(steps, rate, np.float32)
  return trainer.train_epoch(
    tf.constant(IMAGES), tf.constant(LABELS), order.reshape(steps, 8), rates
  )[:2]


class TrainerTest(parameterized.TestCase):
  def loss_gradients(self, model, batch):
    """Gradients of the mean cross-entropy of one batch, by plain TensorFlow."""
    inputs = (IMAGES[batch].astype(np.float32) - MEAN) / STD
    weights = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
      logits = model(inputs, training=True)
      loss = tf.reduce_mean(
        -tf.gather(tf.nn.log_softmax(logits), LABELS[batch], batch_dims=1)
      )
    return float(loss), [g.numpy() for g in tape.gradient(loss, weights)]

  @parameterized.named_parameters(
    ("none", 0.0, "gradient", "kernels", 0.0, 0.0),
    ("gradient", 0.1, "gradient", "kernels", 0.1, 0.0),
    ("gradient_all", 0.1, "gradient", "all", 0.1, 0.1),
    ("loss", 0.1, "loss", "kernels", 0.2, 0.0),
    ("loss_all", 0.1, "loss", "all", 0.2, 0.2),
  )
  def test_two_steps_of_nesterov_by_hand(
    self, decay, convention, coverage, on_kernels, on_others
  ):
    trainer = make_trainer(
      weight_decay=decay,
      weight_decay_convention=convention,
      weight_decay_coverage=coverage,
      momentum=0.9,
    )
    trainer.initialize(0, "unit")
    variables = trainer.model.trainable_variables
    expected = [v.numpy() for v in variables]
    velocities = [np.zeros_like(w) for w in expected]
    reference = keras.models.clone_model(trainer.model)
    reference.set_weights(trainer.model.get_weights())
    losses = []
    for step in range(2):
      loss, gradients = self.loss_gradients(reference, np.arange(8) + 8 * step)
      losses.append(loss)
      for i, variable in enumerate(variables):
        strength = on_kernels if variable.name == "kernel" else on_others
        gradient = gradients[i] + strength * expected[i]
        velocities[i] = 0.9 * velocities[i] - 0.05 * gradient
        expected[i] = expected[i] + 0.9 * velocities[i] - 0.05 * gradient
      for variable, value in zip(reference.trainable_variables, expected):
        variable.assign(value)

    loss, _ = train(trainer, 2, 0.05)

    self.assertAlmostEqual(loss, np.mean(losses), delta=1e-5)
    for variable, value in zip(variables, expected):
      np.testing.assert_allclose(variable, value, rtol=2e-4, atol=2e-6)

  def test_decoupled_decay_by_hand(self):
    trainer = make_trainer(
      weight_decay=0.5,
      weight_decay_convention="decoupled",
      momentum=0.0,
      nesterov=False,
    )
    trainer.initialize(0, "unit")
    variables = trainer.model.trainable_variables
    before = [v.numpy() for v in variables]
    reference = keras.models.clone_model(trainer.model)
    reference.set_weights(trainer.model.get_weights())
    _, gradients = self.loss_gradients(reference, np.arange(8))

    train(trainer, 1, 0.1)

    for variable, old, gradient in zip(variables, before, gradients):
      shrink = 1 - 0.1 * 0.5 if variable.name == "kernel" else 1.0
      expected = shrink * old - 0.1 * gradient
      np.testing.assert_allclose(variable, expected, rtol=2e-4, atol=2e-6)

  @parameterized.parameters(True, False)
  def test_many_steps_are_those_of_keras_sgd(self, nesterov):
    trainer = make_trainer(weight_decay=0.0, nesterov=nesterov)
    trainer.initialize(3, "unit")
    reference = keras.models.clone_model(trainer.model)
    reference.set_weights(trainer.model.get_weights())
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=nesterov)
    for step in range(10):
      batch = np.arange(8 * step, 8 * step + 8) % 40
      _, gradients = self.loss_gradients(reference, batch)
      optimizer.apply(
        [tf.constant(g) for g in gradients], reference.trainable_variables
      )

    train(trainer, 10, 0.01)

    for ours, keras_own in zip(
      trainer.model.get_weights(), reference.get_weights()
    ):
      np.testing.assert_allclose(ours, keras_own, rtol=2e-3, atol=2e-5)

  def test_a_used_trainer_repeats_a_fresh_one_to_the_bit(self):
    fresh, used = make_trainer(), make_trainer()
    used.initialize(1, "another unit")
    train(used, 7, 0.1)
    results = []
    for trainer in (fresh, used):
      trainer.initialize(1, "unit")
      train(trainer, 5, 0.1)
      results.append(
        [*trainer.state().values(), trainer.predict(tf.constant(IMAGES))]
      )

    for one, other in zip(*results):
      np.testing.assert_array_equal(one, other)

  def test_one_trace_serves_many_runs(self):
    trainer = make_trainer()
    for unit in range(3):
      trainer.initialize(0, f"unit {unit}")
      train(trainer, unit + 1, 0.1)
      trainer.predict(tf.constant(IMAGES[: 10 + unit]))

    self.assertEqual(trainer._epoch.experimental_get_tracing_count(), 1)
    predictor = trainer._predictor._batches
    self.assertEqual(predictor.experimental_get_tracing_count(), 1)

  def test_state_goes_on_to_the_bit(self):
    straight, resumed = make_trainer(), make_trainer()
    straight.initialize(0, "unit")
    train(straight, 3, 0.1)
    state = straight.state()
    train(straight, 3, 0.1, offset=24)

    resumed.initialize(9, "something else")
    resumed.set_state(state)
    train(resumed, 3, 0.1, offset=24)

    for one, other in zip(straight.state().values(), resumed.state().values()):
      np.testing.assert_array_equal(one, other)

  def test_initial_weights_differ_by_unit_seed_and_variable(self):
    trainer = make_trainer()

    def kernels(seed, unit):
      trainer.initialize(seed, unit)
      return [
        v.numpy()
        for v in trainer.model.trainable_variables
        if v.name == "kernel"
      ]

    base = kernels(0, "a")
    for other in (kernels(1, "a"), kernels(0, "b")):
      for one, two in zip(base, other):
        self.assertFalse(np.array_equal(one, two))
    same_shape = [k for k in base if k.shape == base[1].shape]
    self.assertGreater(len(same_shape), 1)
    self.assertFalse(np.array_equal(same_shape[0], same_shape[1]))
    for one, two in zip(base, kernels(0, "a")):
      np.testing.assert_array_equal(one, two)

  def test_initial_kernels_are_he_normal_and_statistics_fresh(self):
    trainer = trainer_lib.Trainer(
      "cifar_resnet-8",
      recipe(),
      image_shape=IMAGE_SHAPE,
      num_classes=3,
      mean=MEAN,
      std=STD,
      strategy=distribution.one_device(),
    )
    trainer.initialize(0, "unit")
    train(trainer, 4, 0.1)
    trainer.initialize(0, "unit")

    kernel = trainer.model.get_layer("stage3_block1_2_conv").kernel.numpy()
    self.assertAlmostEqual(
      kernel.std() / np.sqrt(2 / (9 * 64)), 1.0, delta=0.02
    )
    normalization = trainer.model.get_layer("stem_bn")
    np.testing.assert_array_equal(normalization.moving_mean, 0)
    np.testing.assert_array_equal(normalization.moving_variance, 1)
    np.testing.assert_array_equal(normalization.gamma, 1)

  @parameterized.parameters(1, 39, 256, 257, 600)
  def test_every_image_is_predicted_once_whatever_the_count(self, count):
    trainer = make_trainer()
    trainer.initialize(0, "unit")
    train(trainer, 5, 0.1)
    images = RNG.integers(0, 17, (count, *IMAGE_SHAPE)).astype(np.uint8)

    logits = trainer.predict(tf.constant(images))

    inputs = (images.astype(np.float32) - MEAN) / STD
    expected = trainer.model(inputs, training=False).numpy()
    self.assertEqual(logits.shape, (count, 3))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)

  def test_an_infinite_rate_gives_a_loss_that_is_not_finite(self):
    trainer = make_trainer()
    trainer.initialize(0, "unit")

    loss, _ = train(trainer, 5, 1e30)

    self.assertFalse(np.isfinite(loss))

  def test_accuracy_counts_hits_before_each_step(self):
    trainer = make_trainer()
    trainer.initialize(0, "unit")
    inputs = (IMAGES[:8].astype(np.float32) - MEAN) / STD
    logits = keras.models.clone_model(trainer.model)
    logits.set_weights(trainer.model.get_weights())
    hits = np.argmax(logits(inputs, training=True), axis=1) == LABELS[:8]

    _, accuracy = train(trainer, 1, 0.1)

    self.assertAlmostEqual(accuracy, hits.mean(), places=6)

  def test_recipe_is_frozen(self):
    with self.assertRaises(dataclasses.FrozenInstanceError):
      recipe().epochs = 3


if __name__ == "__main__":
  absltest.main()
