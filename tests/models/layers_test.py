"""The fused batch normalization against Keras's own layer."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf.models import layers


def pair(**options):
  """Our layer and Keras's, with the same random weights and statistics."""
  rng = np.random.default_rng(1)
  built = []
  for kind in (layers.BatchNormalization, keras.layers.BatchNormalization):
    layer = kind(**options)
    layer.build((None, 4, 4, 3))
    built.append(layer)
  weights = [rng.normal(size=3), rng.normal(size=3), rng.normal(size=3)]
  weights.append(rng.uniform(0.5, 2.0, size=3))
  for layer in built:
    layer.set_weights(weights)
  return built


class BatchNormalizationTest(parameterized.TestCase):
  @parameterized.parameters(1, 2, 37)
  def test_training_gives_keras_results_statistics_and_gradients(self, batch):
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(2, 3, (batch, 4, 4, 3)).astype(np.float32))
    direction = rng.normal(size=(batch, 4, 4, 3)).astype(np.float32)
    results = []
    for layer in pair(momentum=0.9, epsilon=1e-3):
      with tf.GradientTape() as tape:
        tape.watch(images)
        output = layer(images, training=True)
        value = tf.reduce_sum(output * direction)
      sources = [images, layer.gamma.value, layer.beta.value]
      gradients = tape.gradient(value, sources)
      results.append([output, *gradients, *layer.get_weights()])

    for ours, keras_own in zip(*results):
      np.testing.assert_allclose(ours, keras_own, rtol=2e-4, atol=2e-5)

  def test_moving_variance_is_the_biased_one(self):
    # Two values, 0 and 2, a channel: biased variance 1, unbiased 2.
    layer = layers.BatchNormalization(momentum=0.5)
    images = np.array([0.0, 2.0], np.float32).reshape(2, 1, 1, 1)

    layer(images, training=True)

    # 0.5 * 0 + 0.5 * mean 1, and 0.5 * 1 + 0.5 * variance 1.
    np.testing.assert_allclose(layer.moving_mean, [0.5], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [1.0], rtol=1e-6)

  def test_evaluation_gives_keras_results_and_changes_nothing(self):
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 3))
    ours, keras_own = pair()
    before = ours.get_weights()

    np.testing.assert_allclose(
      ours(images, training=False),
      keras_own(images, training=False),
      rtol=1e-5,
      atol=1e-6,
    )
    for old, new in zip(before, ours.get_weights()):
      np.testing.assert_array_equal(old, new)

  def test_frozen_layer_uses_its_statistics_in_training(self):
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 3))
    ours, keras_own = pair(trainable=False)

    np.testing.assert_allclose(
      ours(images, training=True),
      keras_own(images, training=True),
      rtol=1e-5,
      atol=1e-6,
    )

  @parameterized.named_parameters(
    ("float64", {"dtype": "float64"}),
    ("no_scale", {"scale": False}),
    ("no_center", {"center": False}),
    ("axis", {"axis": 1}),
  )
  def test_what_the_kernel_cannot_do_is_left_to_keras(self, options):
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 4))
    ours = layers.BatchNormalization(**options)
    keras_own = keras.layers.BatchNormalization(momentum=0.9, **options)

    np.testing.assert_allclose(
      ours(images, training=True),
      keras_own(images, training=True),
      rtol=1e-6,
      atol=1e-6,
    )

  def test_bfloat16_images_keep_float32_statistics(self):
    images = np.random.default_rng(0).normal(3, 1, (64, 4, 4, 3))
    layer = layers.BatchNormalization(dtype="mixed_bfloat16", momentum=0.0)

    output = layer(tf.cast(images, tf.bfloat16), training=True)

    self.assertEqual(output.dtype, tf.bfloat16)
    self.assertEqual(layer.moving_mean.dtype, "float32")
    np.testing.assert_allclose(
      layer.moving_mean, images.mean(axis=(0, 1, 2)), atol=0.02
    )

  def test_default_momentum(self):
    self.assertEqual(layers.BatchNormalization().momentum, 0.9)


if __name__ == "__main__":
  absltest.main()
