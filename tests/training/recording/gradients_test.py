"""Per-example gradients of weights and images against slower ways."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.training.recording import gradients
from memo_tf.training.recording import input_gradients
from memo_tf.training.recording import snapshots
from tests.support import own_models

MEAN, STD = np.array([100.0], np.float32), np.array([50.0], np.float32)


def perturbed(model: keras.Model) -> keras.Model:
  """Weights and statistics that are not those of a fresh model."""
  rng = np.random.default_rng(1)
  for variable in model.weights:
    spread = rng.uniform(-0.2, 0.2, variable.shape)
    variable.assign(variable + spread.astype(variable.dtype))
  return model


def examples(count: int, shape, classes: int = 3):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, *shape)).astype(np.uint8)
  labels = rng.integers(0, classes, count).astype(np.int32)
  return tf.constant(images), tf.constant(labels)


def losses(model, inputs, labels):
  return tf.nn.sparse_softmax_cross_entropy_with_logits(
    labels, model(inputs, training=False)
  )


def normalized(images):
  return (tf.cast(images, tf.float32) - MEAN) * (1.0 / STD)


def linear_model(size: int = 4, classes: int = 3) -> keras.Model:
  """A softmax of a linear function of the pixels, in float64."""
  images = keras.Input((size, size, 1), dtype="float64")
  x = keras.layers.Flatten(dtype="float64", name="features")(images)
  x = keras.layers.Dense(classes, dtype="float64", name="logits")(x)
  model = keras.Model(images, x)
  # compute_dtype of a functional model is the global policy's.
  rng = np.random.default_rng(2)
  model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
  return model


class GradientNormsTest(parameterized.TestCase):
  @parameterized.parameters(
    ("cifar_resnet-8-w0.25", (8, 8, 1)),
    ("resnet-18-w0.125", (32, 32, 1)),
    ("mobilenet_v3_small-0.25", (16, 16, 1)),
  )
  def test_is_the_norm_of_each_examples_own_gradient(self, name, shape):
    model = perturbed(
      models.build_model(name, image_shape=shape, num_classes=3)
    )
    images, labels = examples(2, shape)

    found = gradients.GradientNorms(model, MEAN, STD).grand(images, labels)

    @tf.function
    def own_gradient(image, label):
      with tf.GradientTape() as tape:
        # The mean over eight copies: TensorFlow 2.21's gradient of a kernel
        # writes out of bounds for some batches of one image.
        copies = tf.repeat(normalized(image), 8, axis=0)
        loss = tf.reduce_mean(losses(model, copies, tf.repeat(label, 8)))
      parts = tape.gradient(loss, [v.value for v in model.trainable_variables])
      return [tf.reduce_sum(tf.square(tf.cast(p, tf.float64))) for p in parts]

    expected = [
      np.sqrt(np.sum(own_gradient(images[n : n + 1], labels[n : n + 1])))
      for n in range(2)
    ]
    self.assertGreater(np.ptp(expected), 0)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)

  def test_layers_may_have_activations_of_their_own(self):
    made = own_models.small((8, 8, 1), 3)
    model = perturbed(keras.Model(made.inputs[0], made.outputs[0]))
    images, labels = examples(3, (8, 8, 1))

    found = gradients.GradientNorms(model, MEAN, STD).grand(images, labels)

    expected = []
    for n in range(3):
      with tf.GradientTape() as tape:
        copies = tf.repeat(normalized(images[n : n + 1]), 8, axis=0)
        labels_of = tf.repeat(labels[n : n + 1], 8)
        loss = tf.reduce_mean(losses(model, copies, labels_of))
      parts = tape.gradient(loss, [v.value for v in model.trainable_variables])
      squares = [np.square(p.numpy()).sum() for p in parts]
      expected.append(np.sqrt(sum(squares)))
    self.assertGreater(np.ptp(expected), 0)
    np.testing.assert_allclose(found, expected, rtol=2e-4)

  def test_layers_without_a_rule_are_refused(self):
    def twice():
      images = keras.Input((8, 8, 1))
      layer = keras.layers.Conv2D(1, 3, padding="same")
      x = keras.layers.Flatten()(layer(layer(images)))
      return keras.Model(images, keras.layers.Dense(3)(x))

    def dense_of_maps():
      images = keras.Input((8, 8, 1))
      x = keras.layers.Dense(3)(images)
      return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

    def nested():
      images = keras.Input((8, 8, 1))
      return keras.Model(images, twice()(images))

    def of(layer):
      images = keras.Input((8, 8, 1))
      x = keras.layers.Flatten()(layer(images))
      return keras.Model(images, keras.layers.Dense(3)(x))

    class Halved(keras.layers.Dense):
      def call(self, inputs, training=None):
        return super().call(inputs, training=training) / 2

    def of_subclass():
      images = keras.Input((8, 8, 1))
      return keras.Model(images, Halved(3)(keras.layers.Flatten()(images)))

    dilated = keras.layers.Conv2D(2, 3, dilation_rate=2)
    first = keras.layers.BatchNormalization(axis=1)
    for build, message in (
      (lambda: of(dilated), "'conv2d.*with dilation_rate"),
      (lambda: of(first), "'batch_norm.*with axis 1"),
      (of_subclass, "Received: Halved"),
      (twice, "used 2 times"),
      (dense_of_maps, "features"),
      (nested, "Received: Functional"),
    ):
      model = build()
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        gradients.GradientNorms(model, MEAN, STD)

  @parameterized.parameters(1, 2, 7)
  def test_does_not_depend_on_the_batch(self, count):
    model = perturbed(
      models.build_model(
        "cifar_resnet-8-w0.25", image_shape=(8, 8, 1), num_classes=3
      )
    )
    images, labels = examples(7, (8, 8, 1))
    norms = gradients.GradientNorms(model, MEAN, STD)
    norms._batch_size = 3

    found = norms.grand(images[:count], labels[:count])

    self.assertLen(found, count)
    whole = gradients.GradientNorms(model, MEAN, STD).grand(images, labels)
    np.testing.assert_allclose(found, whole[:count], rtol=1e-5)

  def test_both_ways_of_a_convolution_give_the_same(self):
    rng = np.random.default_rng(3)
    images = keras.Input((5, 5, 2))
    for filters, strides in ((2, 1), (40, 2)):  # few and many entries
      layer = keras.layers.Conv2D(filters, 3, strides, padding="same")
      keras.Model(images, layer(images))
      x = tf.constant(rng.normal(size=(2, 5, 5, 2)).astype(np.float32))
      d = rng.normal(size=(2, *layer.output.shape[1:])).astype(np.float32)

      found = gradients._convolution(layer, x, tf.constant(d))

      for n in range(2):
        with tf.GradientTape() as tape:
          copies = tf.repeat(x[n : n + 1], 8, axis=0)
          total = tf.reduce_sum(layer(copies) * d[n]) / 8
        parts = tape.gradient(total, [v.value for v in layer.weights])
        expected = sum(np.square(p.numpy()).sum() for p in parts)
        np.testing.assert_allclose(found[n], expected, rtol=1e-4)

  def test_last_layer_by_hand(self):
    # One pixel h = 2; weights and bias 0, so softmax (1/2, 1/2). Label 0: the
    # gradient of the kernel is h (-1/2, 1/2) = (-1, 1), of the bias
    # (-1/2, 1/2): norm sqrt(1 + 1 + 1/4 + 1/4) = sqrt(2.5).
    images = keras.Input((1, 1, 1))
    x = keras.layers.Flatten(name="features")(images)
    x = keras.layers.Dense(2, kernel_initializer="zeros", name="logits")(x)
    model = keras.Model(images, x)
    image = tf.constant([[[[200]]]], tf.uint8)  # (200 - 100) / 50 = 2

    last = gradients.LastLayerNorms(model, MEAN, STD)
    whole = gradients.GradientNorms(model, MEAN, STD)
    label = tf.constant([0])

    np.testing.assert_allclose(last.grand_last(image, label), [2.5**0.5])
    # The model has no other layer, so that is all of its gradient.
    np.testing.assert_allclose(whole.grand(image, label), [2.5**0.5])

  @parameterized.parameters(
    (lambda x: keras.layers.Dense(3)(x) * 3.0, "Dense"),
    (keras.layers.Dense(3, activation="tanh"), "Dense"),
    (keras.layers.Dense(3, use_bias=False), "Dense"),
    (
      lambda x: keras.layers.ReLU()(keras.layers.Dense(3)(x)),
      "ReLU",
    ),
  )
  def test_a_last_layer_that_does_not_give_the_logits_is_refused(
    self, end, received
  ):
    images = keras.Input((8, 8, 1))
    model = keras.Model(images, end(keras.layers.Flatten()(images)))

    with self.assertRaisesRegex(ValueError, f"itself.*Received: {received}"):
      gradients.LastLayerNorms(model, MEAN, STD)

  def test_a_layer_without_a_rule_is_refused(self):
    images = keras.Input((8, 8, 1))
    x = keras.layers.LayerNormalization(name="odd")(images)
    model = keras.Model(images, keras.layers.Flatten()(x))

    with self.assertRaisesRegex(ValueError, "needs a rule.*'odd'"):
      gradients.GradientNorms(model, MEAN, STD)


class InputGradientsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.model = linear_model()
    self.images, self.labels = examples(5, (4, 4, 1))
    self.inputs = normalized(self.images).numpy().astype(np.float64)
    kernel, bias = self.model.get_weights()
    self.kernel = kernel  # [16, 3]
    logits = self.inputs.reshape(5, 16) @ kernel + bias
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    self.probs = weights / weights.sum(axis=1, keepdims=True)

  def made(self, **settings):
    made = input_gradients.InputGradients(self.model, MEAN, STD, **settings)
    made._type = "float64"
    return made

  @parameterized.parameters(("l2", 2), ("l1", 1))
  def test_sensitivity_of_a_linear_softmax(self, norm, order):
    found = self.made(norm=norm).loss_sensitivity(self.images, self.labels)

    # dl/dx = W (p - onehot).
    error = self.probs - np.eye(3)[self.labels.numpy()]
    expected = np.linalg.norm(error @ self.kernel.T, ord=order, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)

  def test_sensitivity_of_a_network_by_finite_differences(self):
    model = models.build_model(
      "cifar_resnet-8-w0.25",
      image_shape=(8, 8, 1),
      num_classes=3,
      precision="float64",
    )
    # Keras makes its input float32 whatever the policy is.
    model = keras.models.clone_model(
      perturbed(model), keras.Input((8, 8, 1), dtype="float64")
    )
    model = perturbed(model)
    images, labels = examples(1, (8, 8, 1))
    made = input_gradients.InputGradients(model, MEAN, STD)
    made._type = "float64"

    found = made.loss_sensitivity(images, labels)

    x = tf.cast(normalized(images), tf.float64)
    steps = 1e-6 * np.eye(64).reshape(64, 8, 8, 1)
    repeated = tf.repeat(labels, 64)
    up = losses(model, x + steps, repeated)
    down = losses(model, x - steps, repeated)
    numeric = (up - down).numpy() / 2e-6
    np.testing.assert_allclose(found, [np.linalg.norm(numeric)], rtol=1e-6)

  def test_curvature_of_a_linear_softmax(self):
    made = self.made(step=1e-4, draws=4)

    found = made.curvature(self.images, self.labels, seed=7)

    # The Hessian by x is W (diag p - p p') W'; the gradient moves by h H v.
    seed = tf.constant([7, 0])
    signs = np.stack(
      [
        input_gradients.rademacher(seed, draw, tf.range(5), (4, 4, 1)).numpy()
        for draw in range(4)
      ]
    ).reshape(4, 5, 16)
    self.assertEqual(set(np.unique(signs)), {-1.0, 1.0})
    self.assertLess(abs(signs.mean()), 0.2)
    for n in range(5):
      p = self.probs[n]
      hessian = self.kernel @ (np.diag(p) - np.outer(p, p)) @ self.kernel.T
      expected = np.linalg.norm(1e-4 * signs[:, n] @ hessian, axis=1).mean()
      np.testing.assert_allclose(found[n], expected, rtol=2e-2)

  def test_an_examples_value_does_not_depend_on_its_batch(self):
    made = self.made(draws=2)
    whole = made.curvature(self.images, self.labels, seed=7)

    one = made.curvature(self.images[:1], self.labels[:1], seed=7)

    np.testing.assert_allclose(one, whole[:1], rtol=1e-9)

  def test_vog_is_zero_while_a_linear_model_stays(self):
    kept = snapshots.Snapshots(self.model, [1, 2])
    kept.after_epoch(1)
    kept.after_epoch(2)

    found = input_gradients.variance_of_gradients(
      self.made(), kept, self.images, self.labels
    )

    np.testing.assert_array_equal(found, np.zeros(5))

  def test_vog_of_two_linear_models_by_hand(self):
    # dz_y/dx is the label's column of the kernel; doubled, the deviation over
    # (w, 2 w) is |w| / 2.
    kept = snapshots.Snapshots(self.model, [1, 2])
    kept.after_epoch(1)
    self.model.set_weights([2 * w for w in self.model.get_weights()])
    kept.after_epoch(2)
    final = self.model.get_weights()

    found = input_gradients.variance_of_gradients(
      self.made(), kept, self.images, self.labels
    )

    own = np.abs(self.kernel[:, self.labels.numpy()]) / 2
    np.testing.assert_allclose(found, own.mean(axis=0), rtol=1e-6)
    for before, after in zip(final, self.model.get_weights()):
      np.testing.assert_array_equal(before, after)

  def test_vog_of_probabilities_by_hand(self):
    # dp_y/dx = p_y (w_y - sum_c p_c w_c), at a kernel and at its double.
    kept = snapshots.Snapshots(self.model, [1, 2])
    kept.after_epoch(1)
    self.model.set_weights([2 * w for w in self.model.get_weights()])
    kept.after_epoch(2)

    found = input_gradients.variance_of_gradients(
      self.made(output="probability"), kept, self.images, self.labels
    )

    twice = self.probs**2 / (self.probs**2).sum(axis=1, keepdims=True)
    parts = []
    for kernel, probs in ((self.kernel, self.probs), (2 * self.kernel, twice)):
      own = kernel[:, self.labels.numpy()].T - probs @ kernel.T
      parts.append(probs[np.arange(5), self.labels.numpy(), None] * own)
    expected = np.std(parts, axis=0).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


if __name__ == "__main__":
  absltest.main()
