"""Pad, crop, flip: against slices of NumPy, and of (seed, epoch, id) only."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from memo_tf.data import augmentation
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

KEY = {"seed": 0, "family": "r0.70", "index": 3, "epoch": 5}
RNG = np.random.default_rng(0)


def by_hand(image: np.ndarray, view: np.ndarray) -> np.ndarray:
  flip, top, left = view
  padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
  height, width = image.shape[:2]
  cropped = padded[top : top + height, left : left + width]
  return cropped[:, ::-1] if flip else cropped


class AugmentationTest(absltest.TestCase):
  def test_views_of_images_are_those_of_slices(self):
    for shape, dtype in (((8, 8, 1), np.uint8), ((9, 12, 3), np.uint16)):
      images = RNG.integers(0, 200, (64, *shape)).astype(dtype)
      chosen = augmentation.views(64, **KEY)

      found = augmentation.pad_crop_flip(tf.constant(images), chosen)

      self.assertEqual(found.dtype, dtype)
      expected = [by_hand(*pair) for pair in zip(images, chosen)]
      np.testing.assert_array_equal(found, expected)

  def test_the_middle_view_is_the_image_itself(self):
    images = RNG.integers(0, 200, (2, 8, 8, 3)).astype(np.uint8)

    found = augmentation.pad_crop_flip(
      tf.constant(images), np.array([[0, 4, 4], [1, 4, 4]], np.int32)
    )

    np.testing.assert_array_equal(found[0], images[0])
    np.testing.assert_array_equal(found[1], images[1, :, ::-1])

  def test_views_are_uniform_and_differ_by_every_part_of_their_key(self):
    base = augmentation.views(20_000, **KEY)

    self.assertEqual(base.dtype, np.int32)
    np.testing.assert_allclose(base[:, 0].mean(), 0.5, atol=0.02)
    for column in (1, 2):
      counts = np.bincount(base[:, column], minlength=9)
      self.assertLen(counts, 9)
      np.testing.assert_allclose(counts / 20_000, 1 / 9, atol=0.01)
    np.testing.assert_array_equal(base, augmentation.views(20_000, **KEY))
    for change in (
      {"seed": 1},
      {"family": "r0.50"},
      {"index": 4},
      {"epoch": 6},
    ):
      other = augmentation.views(20_000, **(KEY | change))
      agree = (other[:, 1] == base[:, 1]).mean()
      self.assertAlmostEqual(agree, 1 / 9, delta=0.02)

  def test_an_id_keeps_its_view_when_examples_are_appended(self):
    np.testing.assert_array_equal(
      augmentation.views(100, **KEY), augmentation.views(150, **KEY)[:100]
    )

  def test_training_sees_the_views(self):
    images = RNG.integers(0, 17, (64, 8, 8, 1)).astype(np.uint8)
    labels = RNG.integers(0, 3, 64).astype(np.int32)
    chosen = augmentation.views(64, **KEY)
    order = np.arange(64, dtype=np.int32).reshape(2, 32)
    rates = np.full(2, 0.1, np.float32)

    def train(name, pixels, views):
      trainer = trainer_lib.Trainer(
        "cifar_resnet-8-w0.5",
        recipes.parse(
          "one_hot",
          settings_lib.TrainingConfig(batch_size=32, augmentation=name),
        ),
        image_shape=(8, 8, 1),
        num_classes=3,
        mean=np.array([8.0], np.float32),
        std=np.array([6.0], np.float32),
        strategy=distribution.one_device(),
      )
      trainer.initialize(0, "unit")
      trainer.train_epoch(
        tf.constant(pixels), tf.constant(labels), order, rates, views
      )
      return trainer.state()

    augmented = train("pad_crop_flip", images, chosen[order])
    seen = np.stack([by_hand(*pair) for pair in zip(images, chosen)])
    expected = train("none", seen, None)

    for name, value in expected.items():
      np.testing.assert_array_equal(augmented[name], value)


if __name__ == "__main__":
  absltest.main()
