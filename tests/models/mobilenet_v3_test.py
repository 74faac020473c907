"""MobileNetV3: against keras.applications, and what differs from it."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.experiment import model_names

APPLICATIONS = {
  "small": keras.applications.MobileNetV3Small,
  "large": keras.applications.MobileNetV3Large,
}


def kernel_sizes(model: keras.Model) -> list[int]:
  return sorted(int(np.prod(v.shape)) for v in model.trainable_variables)


class MobileNetV3Test(parameterized.TestCase):
  @parameterized.product(variant=("small", "large"), width=(0.35, 1.0, 1.25))
  def test_parameters_are_those_of_keras_applications(self, variant, width):
    ours = models.build_model(
      f"mobilenet_v3_{variant}-{width:g}",
      image_shape=(224, 224, 3),
      num_classes=1000,
    )
    theirs = APPLICATIONS[variant](
      input_shape=(224, 224, 3), alpha=width, weights=None
    )

    self.assertEqual(
      models.count_parameters(ours), models.count_parameters(theirs)
    )
    self.assertEqual(kernel_sizes(ours), kernel_sizes(theirs))

  def test_with_the_same_weights_it_computes_the_same(self):
    ours = models.build_model(
      "mobilenet_v3_small-1", image_shape=(224, 224, 3), num_classes=10
    )
    theirs = keras.applications.MobileNetV3Small(
      input_shape=(224, 224, 3),
      weights=None,
      classes=10,
      classifier_activation=None,
      include_preprocessing=False,
    )
    weights = [v.numpy() for v in ours.weights]
    rng = np.random.default_rng(0)
    for given, weight in zip(theirs.weights, weights):
      value = weight + 0.1 * rng.random(weight.shape)  # variances stay above 0
      given.assign(value.reshape(given.shape))
    for own, given in zip(ours.weights, theirs.weights):
      own.assign(given.numpy().reshape(own.shape))
    images = rng.random((2, 224, 224, 3)).astype(np.float32)

    expected = theirs(images, training=False)
    found = ours(images, training=False)

    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)

  @parameterized.parameters(
    (8, 2), (15, 4), (16, 2), (28, 4), (32, 4), (64, 8), (65, 3), (224, 7)
  )
  def test_small_images_keep_their_resolution_longer(self, size, last):
    model = models.build_model(
      "mobilenet_v3_small-0.25", image_shape=(size, size, 1), num_classes=7
    )

    self.assertEqual(model.get_layer("pool").input.shape[1:3], (last, last))
    logits = model(np.ones((2, size, size, 1), np.float32), training=False)
    self.assertEqual((logits.shape, logits.dtype), ((2, 7), tf.float32))
    self.assertEqual(model.get_layer("features").output.shape, (None, 1024))

  @parameterized.parameters(
    ("mobilenet_v3_small", "-WIDTH"),
    ("mobilenet_v3_small-1.0", "'mobilenet_v3_small-1'"),
    ("mobilenet_v3_large-0", "above 0"),
    ("mobilenet_v3-1", "Unknown model family"),
  )
  def test_other_names_are_refused(self, name, words):
    with self.assertRaisesRegex(ValueError, words):
      model_names.parse(name)


if __name__ == "__main__":
  absltest.main()
