"""Training on images on disk: the same weights and logits as from memory."""

from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from memo_tf.data import augmentation
from memo_tf.data.stored import images as images_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib
from tests.support import stored_images


def make_trainer(**changes) -> trainer_lib.Trainer:
  settings = {"batch_size": 8, "epochs": 2, **changes}
  return trainer_lib.Trainer(
    "cifar_resnet-8-w0.25",
    recipes.parse("one_hot", settings_lib.TrainingConfig(**settings)),
    image_shape=stored_images.SHAPE,
    num_classes=4,
    mean=np.full(3, 120, np.float32),
    std=np.full(3, 70, np.float32),
    strategy=distribution.one_device(),
  )


class TrainingTest(absltest.TestCase):
  def test_weights_and_logits_are_those_of_memory_to_the_bit(self):
    stored, labels = (
      stored_images.store(self),
      tf.constant(stored_images.LABELS),
    )
    order = (
      stored_images.RNG.permutation(stored_images.COUNT)[:88]
      .reshape(11, 8)
      .astype(np.int32)
    )
    rates = np.linspace(0.1, 0.01, 11).astype(np.float32)
    views = augmentation.views(
      stored_images.COUNT, seed=0, family="f", index=0, epoch=0
    )
    trainer = make_trainer(augmentation="pad_crop_flip")
    found = []

    for images in (tf.constant(stored_images.IMAGES), stored):
      trainer.initialize(0, "unit")
      with mock.patch.object(images_lib, "CHUNK_BYTES", 3 * 8 * 360):
        told = [
          trainer.train_epoch(images, labels, order, rates, views[order])[:2]
          for _ in range(2)
        ]
      state = trainer.state()
      found.append([*state.values(), trainer.predict(images), np.array(told)])

    for one, other in zip(*found):
      np.testing.assert_array_equal(one, other)
    self.assertEqual(trainer._epoch.experimental_get_tracing_count(), 1)

  def test_every_image_is_predicted_once_in_order_of_id(self):
    images = stored_images.RNG.integers(
      0, 256, (600, *stored_images.SHAPE)
    ).astype(np.uint8)
    trainer = make_trainer()
    trainer.initialize(0, "unit")

    for count in (1, 255, 256, 600):
      logits = trainer.predict(stored_images.store(self, "raw", images[:count]))

      self.assertEqual(logits.shape, (count, 4))
      np.testing.assert_array_equal(
        logits, trainer.predict(tf.constant(images[:count]))
      )


if __name__ == "__main__":
  absltest.main()
