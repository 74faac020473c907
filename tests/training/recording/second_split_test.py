"""The second training: what it forgets, and that the run is left as it was."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.proxies import second_split as proxy
from memo_tf.training import distribution
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib
from memo_tf.training.recording import second_split

EPOCHS, BATCH, CLASSES = 6, 8, 3
RNG = np.random.default_rng(0)
LABELS = np.arange(60, dtype=np.int32) % CLASSES
# Each class is bright in rows of its own: easily learned.
IMAGES = RNG.integers(0, 60, (60, 8, 8, 1)).astype(np.uint8)
for _place, _label in enumerate(LABELS):
  IMAGES[_place, 2 * _label : 2 * _label + 2] += 150
MEMBERS = np.arange(36)
OTHERS = np.arange(36, 60)
STREAM = {"seed": 3, "family": "r0.60", "index": 2}


def trained(rate=0.1, augmentation="none") -> trainer_lib.Trainer:
  """A trainer that has learned the members."""
  recipe = recipes.parse(
    "one_hot",
    settings_lib.TrainingConfig(
      epochs=EPOCHS,
      batch_size=BATCH,
      learning_rate=rate,
      warmup_epochs=0.0,
      decay_epochs=(),
      augmentation=augmentation,
      batch_norm_momentum=0.5,
    ),
  )
  trainer = trainer_lib.Trainer(
    "cifar_resnet-8-w0.25",
    recipe,
    image_shape=(8, 8, 1),
    num_classes=CLASSES,
    mean=np.array([100.0], np.float32),
    std=np.array([60.0], np.float32),
    strategy=distribution.one_device(),
  )
  trainer.initialize(0, "unit")
  for epoch in range(8):
    order = np.random.default_rng(epoch).permutation(MEMBERS)[:32]
    trainer.train_epoch(
      tf.constant(IMAGES),
      tf.constant(LABELS),
      order.reshape(4, BATCH).astype(np.int32),
      np.full(4, 0.1, np.float32),
      np.zeros((4, BATCH, 3), np.int32),
    )
  return trainer


def softmax(logits):
  odds = np.exp(np.float64(logits) - logits.max(axis=1, keepdims=True))
  return odds / odds.sum(axis=1, keepdims=True)


def second_training(trainer, labels=LABELS):
  return second_split.second_training(
    trainer, tf.constant(IMAGES), tf.constant(labels), MEMBERS, **STREAM
  )


def second_correct(trainer, labels=LABELS):
  return second_training(trainer, labels)["second_correct"]


class SecondSplitTest(absltest.TestCase):
  def test_what_the_others_contradict_is_forgotten_and_the_rest_is_not(self):
    trainer = trained()
    before = trainer.predict(tf.constant(IMAGES)).argmax(axis=1)
    self.assertGreater(np.mean(before[MEMBERS] == LABELS[MEMBERS]), 0.9)
    other = LABELS.copy()
    other[OTHERS] = np.where(LABELS[OTHERS] == 0, 1, LABELS[OTHERS])

    records = second_training(trainer, other)
    values, never = proxy.second_split_forgetting(
      correct=records["second_correct"]
    )
    moved = proxy.holdout_retraining(divergence=records["second_divergence"])

    # To the others class 0 is class 1.
    self.assertGreater(
      np.isfinite(values[MEMBERS][LABELS[:36] == 0]).mean(), 0.9
    )
    self.assertGreater(never[MEMBERS][LABELS[:36] != 0].mean(), 0.9)
    self.assertGreater(
      np.median(moved[MEMBERS][LABELS[:36] == 0]),
      10 * np.median(moved[MEMBERS][LABELS[:36] != 0]),
    )
    self.assertTrue(np.isnan(moved[OTHERS]).all())
    self.assertTrue(np.isnan(values[OTHERS]).all())
    self.assertFalse(never[OTHERS].any())

  def test_the_trainer_is_left_as_it_was(self):
    trainer = trained(augmentation="pad_crop_flip")
    before = {name: a.copy() for name, a in trainer.state().items()}
    self.assertTrue(
      any(np.any(a) for n, a in before.items() if "velocity" in n)
    )

    found = second_correct(trainer)

    self.assertEqual(found.shape, (EPOCHS, 60))
    self.assertTrue(np.isin(found[:, MEMBERS], (0, 1)).all())
    self.assertTrue(np.isnan(found[:, OTHERS]).all())
    for name, array in trainer.state().items():
      np.testing.assert_array_equal(array, before[name], name)
    np.testing.assert_array_equal(found, second_correct(trainer))

  def test_it_is_the_recipe_from_its_beginning_on_the_others_alone(self):
    trainer = trained()
    records = second_training(trainer)
    found, moved = records["second_correct"], records["second_divergence"]
    before = softmax(trainer.predict(tf.constant(IMAGES)))

    # The same as a trainer that sees an array of the others only.
    trainer.optimizer.reset()
    rates = schedule.learning_rates(trainer.recipe, len(OTHERS) // BATCH)
    for epoch in range(EPOCHS):
      order = pipeline.epoch_order(
        len(OTHERS),
        BATCH,
        seed=3,
        family="r0.60/second_split",
        index=2,
        epoch=epoch,
      )
      trainer.train_epoch(
        tf.constant(IMAGES[OTHERS]),
        tf.constant(LABELS[OTHERS]),
        order,
        rates[epoch],
      )
      logits = trainer.predict(tf.constant(IMAGES))
      np.testing.assert_array_equal(
        found[epoch, MEMBERS], (logits.argmax(axis=1) == LABELS)[MEMBERS]
      )
      after = softmax(logits)
      both = (before * np.log(before / after)).sum(axis=1)
      both += (after * np.log(after / before)).sum(axis=1)
      np.testing.assert_allclose(
        moved[epoch, MEMBERS], both[MEMBERS] / 2, rtol=1e-5, atol=1e-9
      )

  def test_one_that_diverges_has_no_values(self):
    trainer = trained(rate=1e30)
    before = trainer.state()

    for values in second_training(trainer).values():
      self.assertTrue(np.isnan(values).all())

    for name, array in trainer.state().items():
      np.testing.assert_array_equal(array, before[name], name)


if __name__ == "__main__":
  absltest.main()
