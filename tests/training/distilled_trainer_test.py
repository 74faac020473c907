"""The Trainer's distilled step is the Distiller's."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import distillation
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 17, (24, 8, 8, 1)).astype(np.uint8)
LABELS = RNG.integers(0, 3, 24).astype(np.int32)
MEAN, STD = np.array([5.0], np.float32), np.array([6.0], np.float32)
TEACHER = "cifar_resnet-14-w0.25"


def make_trainer(recipe_name: str) -> trainer_lib.Trainer:
  settings = settings_lib.TrainingConfig(batch_size=8, weight_decay=0.0)
  trainer = trainer_lib.Trainer(
    "cifar_resnet-8-w0.25",
    recipes.parse(recipe_name, settings),
    image_shape=(8, 8, 1),
    num_classes=3,
    mean=MEAN,
    std=STD,
    strategy=distribution.one_device(),
  )
  trainer.initialize(0, "unit")
  return trainer


def train(trainer, steps: int = 3):
  order = np.arange(8 * steps, dtype=np.int32).reshape(steps, 8)
  rates = np.full(steps, 0.02, np.float32)
  return trainer.train_epoch(
    tf.constant(IMAGES), tf.constant(LABELS), order, rates
  )


class DistilledTrainerTest(parameterized.TestCase):
  # Each traces two models, which is slow: one plain, one with every option.
  @parameterized.parameters("t3", "t2-a0.5-scaled")
  def test_three_steps_are_those_of_the_distiller(self, options):
    trainer = make_trainer(f"distilled-{TEACHER}-{options}")
    student = keras.models.clone_model(trainer.model)
    student.set_weights(trainer.model.get_weights())
    recipe = trainer.recipe
    distiller = distillation.Distiller(
      student=student,
      teacher=trainer.teacher,
      temperature=recipe.temperature,
      alpha=recipe.alpha,
      scale_by_temperature_squared=recipe.scale_by_temperature_squared,
    )
    distiller.compile(
      keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
      "sparse_categorical_crossentropy",
      metrics=["accuracy"],
    )
    inputs = (IMAGES.astype(np.float32) - MEAN) / STD
    teachers_own = trainer.teacher.get_weights()

    loss, accuracy, _ = train(trainer)
    history = distiller.fit(
      inputs, LABELS, batch_size=8, shuffle=False, verbose=0
    ).history

    self.assertAlmostEqual(loss, history["loss"][0], delta=1e-4)
    self.assertAlmostEqual(accuracy, history["accuracy"][0], delta=1e-6)
    for ours, theirs in zip(
      trainer.model.get_weights(), student.get_weights(), strict=True
    ):
      np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=5e-5)
    for old, new in zip(teachers_own, trainer.teacher.get_weights()):
      np.testing.assert_array_equal(old, new)

  def test_another_teacher_gives_another_student(self):
    trainer = make_trainer(f"distilled-{TEACHER}-t3")
    own = trainer.teacher.get_weights()
    results = []
    for factor in (1.0, 3.0, 1.0):
      trainer.teacher.set_weights([factor * w for w in own])
      trainer.initialize(0, "unit")
      train(trainer)
      results.append(trainer.model.get_weights()[0])

    np.testing.assert_array_equal(results[0], results[2])
    self.assertGreater(np.abs(results[0] - results[1]).max(), 1e-4)

  def test_smoothed_labels_are_those_of_keras(self):
    trainer = make_trainer("smoothed-0.2")
    model = keras.models.clone_model(trainer.model)
    model.set_weights(trainer.model.get_weights())
    model.compile(
      keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
      keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.2
      ),
    )
    inputs = (IMAGES.astype(np.float32) - MEAN) / STD

    loss, _, _ = train(trainer)
    history = model.fit(
      inputs, np.eye(3)[LABELS], batch_size=8, shuffle=False, verbose=0
    ).history

    self.assertAlmostEqual(loss, history["loss"][0], delta=1e-4)
    for ours, theirs in zip(
      trainer.model.get_weights(), model.get_weights(), strict=True
    ):
      np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=5e-5)

  def test_smoothed_targets_by_hand(self):
    # 0.9 + 0.1 / 4 for the label, 0.1 / 4 for each other class.
    np.testing.assert_allclose(
      trainer_lib.smoothed_targets(4, 0.1)[1], [0.025, 0.925, 0.025, 0.025]
    )

  def test_one_hot_has_no_teacher(self):
    self.assertIsNone(make_trainer("one_hot").teacher)


if __name__ == "__main__":
  absltest.main()
