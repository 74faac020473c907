"""Representations and prediction depth of every family of models."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf import proxies
from memo_tf.running.unit import traced
from memo_tf.training.recording import dynamics
from memo_tf.training.recording import representations

RNG = np.random.default_rng(0)
MEAN, STD = np.array([100.0], np.float32), np.array([50.0], np.float32)


class RepresentationsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("cifar_resnet-14-w0.25", 16, 6),
    ("resnet-18-w0.05", 32, 8),
    ("mobilenet_v3_small-0.25", 16, 11),
  )
  def test_prediction_depth_of_a_family(self, name, size, blocks):
    model = models.build_model(name, image_shape=(size, size, 1), num_classes=3)
    images = tf.constant(
      RNG.integers(0, 256, (30, size, size, 1)).astype(np.uint8)
    )
    labels = RNG.integers(0, 3, 30)
    indices = np.arange(25)
    made = representations.Representations(model, MEAN, STD, max_dimensions=64)

    layers = traced.Layers(made, images, indices)
    probabilities = layers[-1]
    depth = proxies.PROXIES["prediction_depth"].compute(
      representations=layers,
      labels=labels[:25],
      predicted=probabilities.argmax(axis=1),
      num_neighbours=3,
    )

    self.assertLen(layers, blocks + 2)
    self.assertEqual(depth.shape, (25,))
    self.assertBetween(depth.min(), 0, blocks + 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    inputs = (images[:25].numpy().astype(np.float32) - MEAN) / STD
    expected = tf.nn.softmax(model(inputs, training=False)).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)

  def test_blocks_of_a_resnet_are_what_the_next_one_reads(self):
    model = models.build_model(
      "cifar_resnet-14-w0.25", image_shape=(8, 8, 1), num_classes=3
    )

    names = models.block_outputs(model)

    self.assertEqual(
      names,
      [f"stage{s}_block{b}_relu" for s in (1, 2, 3) for b in (1, 2)],
    )
    features = model.get_layer("features")
    self.assertIs(features.input, model.get_layer(names[-1]).output)

  def test_flatten_averages_squares_until_it_fits(self):
    maps = np.arange(2 * 5 * 4 * 3, dtype=np.float32).reshape(2, 5, 4, 3)

    whole = representations.flatten(tf.constant(maps), 0).numpy()
    some = representations.flatten(tf.constant(maps), 20).numpy()

    np.testing.assert_array_equal(whole, maps.reshape(2, 60))
    # Squares of 2: 3 x 2 of 3 channels is 18; the last row has one line only.
    self.assertEqual(some.shape, (2, 18))
    np.testing.assert_allclose(some[0, :3], maps[0, :2, :2].mean(axis=(0, 1)))
    np.testing.assert_allclose(some[1, -3:], maps[1, 4, 2:].mean(axis=0))

  def test_channels_are_never_averaged(self):
    maps = tf.constant(RNG.normal(size=(2, 4, 4, 9)).astype(np.float32))

    found = representations.flatten(maps, 5).numpy()

    np.testing.assert_allclose(
      found, maps.numpy().mean(axis=(1, 2)), rtol=1e-5, atol=1e-6
    )


class DynamicsTest(absltest.TestCase):
  def test_by_hand(self):
    # Softmax of (0, 0) is 1/2 each; of (ln 3, 0) it is (3/4, 1/4).
    logits = np.array([[0.0, 0.0], [np.log(3.0), 0.0]])

    found = dynamics.from_logits(logits, np.array([1, 0]))

    half, quarter = np.log(2.0), np.log(4.0)
    np.testing.assert_allclose(found["label_prob"], [0.5, 0.75])
    np.testing.assert_allclose(found["max_prob"], [0.5, 0.75])
    np.testing.assert_allclose(
      found["entropy"], [half, 0.25 * quarter + 0.75 * np.log(4 / 3)], 1e-6
    )
    np.testing.assert_allclose(found["loss"], [half, np.log(4 / 3)], 1e-6)
    np.testing.assert_allclose(found["margin"], [0, np.log(3)], 1e-6)
    np.testing.assert_allclose(found["el2n"], [0.5**0.5, 0.125**0.5], 1e-6)
    np.testing.assert_array_equal(found["correct"], [False, True])

  def test_more_than_a_chunk(self):
    count = dynamics.CHUNK + 3
    logits, labels = RNG.normal(size=(count, 3)), RNG.integers(0, 3, count)

    found = dynamics.from_logits(logits, labels)

    last = dynamics.from_logits(logits[-3:], labels[-3:])
    for name in dynamics.FIELDS:
      np.testing.assert_array_equal(found[name][-3:], last[name])

  def test_what_was_not_presented_is_nan(self):
    recorder = dynamics.BatchDynamics(np.array([0, 1, 1]), [2])

    self.assertFalse(recorder.records(1))
    recorder.presented(2, np.array([2]), np.array([[0.0, 5.0]]))

    found = recorder.arrays()
    np.testing.assert_array_equal(found["batch_correct"], [[np.nan, np.nan, 1]])
    np.testing.assert_array_equal(found["epochs"], [2])


if __name__ == "__main__":
  absltest.main()
