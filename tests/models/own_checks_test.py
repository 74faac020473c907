"""Models that would be trained wrongly are refused, others are described."""

import functools
import os

from absl.testing import absltest
from absl.testing import parameterized
import keras
from keras import layers
import numpy as np
import tensorflow as tf

from memo_tf.models import own_checks
from tests.support import own_models

SHAPE, CLASSES = (6, 6, 1), 4


def ending(*make):
  """A builder of a flat model that ends with some layers."""

  def build(seed):
    keras.utils.set_random_seed(seed)
    steps = [keras.Input(SHAPE), layers.Flatten(), *(f() for f in make)]
    return keras.Sequential(steps)

  return build


def dense(**options):
  return lambda: layers.Dense(CLASSES, **options)


def function(operation):
  return lambda: layers.Lambda(operation)


class TensorFlowNoise(layers.Layer):
  def call(self, x):
    return x + tf.random.normal(tf.shape(x))


class TensorFlowShift(layers.Layer):
  def call(self, x):
    return x + tf.cast(tf.random.uniform([], 0, 5, tf.int32), x.dtype)


class TensorFlowCount(layers.Layer):
  def call(self, x):
    return x + tf.random.poisson([], 2.0)


class KerasNoise(layers.Layer):
  def call(self, x):
    return x + keras.random.normal(keras.ops.shape(x))


class Untracked(layers.Layer):
  def __init__(self):
    super().__init__()
    self.scale = tf.Variable(2.0)

  def call(self, x):
    return x * self.scale


class Unused(layers.Layer):
  def build(self, shape):
    self.weight = self.add_weight(shape=(3,), name="extra")

  def call(self, x):
    return x


def operation(seed):
  keras.utils.set_random_seed(seed)
  images = keras.Input(SHAPE)
  x = layers.Dense(CLASSES)(layers.Flatten()(images))
  return keras.Model(images, keras.ops.log_softmax(x))


def nested(seed):
  keras.utils.set_random_seed(seed)
  images = keras.Input(SHAPE)
  return keras.Model(images, ending(dense(activation="softmax"))(seed)(images))


def by_the_clock(seed):
  model = ending(dense())(seed)
  value = np.frombuffer(os.urandom(CLASSES), np.uint8).astype(np.float32)
  model.layers[-1].bias.assign(value)
  return model


def frozen(seed):
  model = ending(dense())(seed)
  model.trainable = False
  return model


def changing():
  sizes = iter(range(1, 9))
  return lambda seed: ending(lambda: layers.Dense(next(sizes)), dense())(seed)


def deep(seed):
  """Probabilities in code, behind so many layers that weights of 1 overflow."""
  steps = [functools.partial(layers.Dense, 64, "relu")] * 60
  return ending(*steps, dense(), function(tf.nn.softmax))(seed)


def cached():
  model = ending(dense())(0)
  return lambda seed: model


def partly_cached():
  """Makes the head anew, and keeps the rest between calls."""
  hidden = layers.Dense(5)

  def build(seed):
    return ending(lambda: hidden, dense())(seed)

  return build


NAN = keras.initializers.Constant(float("nan"))
LINEAR = "linear"
PASSING = (lambda: layers.Dropout(0.1), lambda: layers.Activation(LINEAR))


class OwnChecksTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("softmax", ending(dense(activation="softmax")), "ends with softmax"),
    ("layer", ending(dense(), layers.Softmax), "ends with softmax"),
    (
      "behind",
      ending(dense(activation="sigmoid"), *PASSING),
      "ends with sigmoid",
    ),
    ("operation", operation, "ends with log_softmax"),
    ("nested", nested, "ends with softmax"),
    ("in_code", ending(dense(), function(tf.nn.softmax)), "that sum to 1"),
    ("deep", deep, "that sum to 1"),
    (
      "log_in_code",
      ending(dense(), function(tf.nn.log_softmax)),
      "gives logarithms of prob",
    ),
    ("sigmoid", ending(dense(), function(tf.sigmoid)), "as of a sigmoid"),
    ("nan", ending(dense(bias_initializer=NAN)), "not finite"),
    ("frozen", frozen, "no trainable weights"),
    ("penalty", ending(dense(kernel_regularizer="l2")), "has a regularizer on"),
    ("activity", ending(dense(activity_regularizer="l2")), "adds losses"),
    ("constraint", ending(dense(kernel_constraint="max_norm")), "a constraint"),
    ("clock", by_the_clock, "under the same seed"),
    ("changing", changing(), "other variables each time"),
    ("cached", cached(), "the same trainable weights"),
    ("partly_cached", partly_cached(), "the same trainable weights"),
    ("noise", ending(TensorFlowNoise, dense()), "RandomStandardNormal"),
    ("shift", ending(TensorFlowShift, dense()), "RandomUniformInt"),
    ("count", ending(TensorFlowCount, dense()), "RandomPoissonV2"),
    ("keras_noise", ending(KerasNoise, dense()), "seed_generator_state"),
    ("untracked", ending(Untracked, dense()), "variable that is not its own"),
    ("unused", ending(Unused, dense()), "extra.*do not reach"),
  )
  def test_refuses(self, build, message):
    with self.assertRaisesRegex(ValueError, f"^mine .*{message}"):
      own_checks.check("mine", build)

  @parameterized.named_parameters(
    ("zeros", ending(dense(kernel_initializer="zeros"))),
    ("relu", ending(dense(activation="relu"))),
    ("tanh", ending(dense(activation="tanh"))),
    ("positive", ending(dense(bias_initializer="ones"))),
    ("two_branches", lambda seed: own_models.small(SHAPE, CLASSES)),
  )
  def test_logits_are_accepted(self, build):
    def seeded(seed):
      keras.utils.set_random_seed(seed)
      return build(seed)

    self.assertGreater(own_checks.check("mine", seeded)["parameters"], 0)

  def test_says_what_is_trained_drawn_and_kept(self):
    def build(seed):
      keras.utils.set_random_seed(seed)
      return own_models.tuned(SHAPE, CLASSES)

    before = own_checks.check("mine", build)
    found = own_checks.check("mine", build)

    # A convolution (9 * 4 + 4), a batch norm (4 * 4), a head (4 * 4 + 4).
    self.assertEqual(found["parameters"], 20)
    self.assertEqual(found["frozen"], 56)
    self.assertEqual(found["drawn"], 16)
    self.assertEqual(found, before)
    values = own_checks.values_of(build(9))
    self.assertEqual(
      own_checks.start_digest(values, found["kept"]), found["start"]
    )
    values[found["kept"][0]] = values[found["kept"][0]] + 1
    self.assertNotEqual(
      own_checks.start_digest(values, found["kept"]), found["start"]
    )

  def test_the_probe_leaves_the_weights(self):
    built = []

    def build(seed):
      built.append(ending(dense())(seed))
      return built[-1]

    own_checks.check("mine", build)

    for one, two in zip(built[0].get_weights(), built[1].get_weights()):
      np.testing.assert_array_equal(one, two)


if __name__ == "__main__":
  absltest.main()
