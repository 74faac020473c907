"""What can be described for tf_keras, and what is refused by name."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np

from memo_tf.compression import graph
from memo_tf.models import precision


def functional(*layers, shape=(8, 8, 3)):
  first = keras.Input(shape)
  x = first
  for layer in layers:
    x = layer(x)
  return keras.Model(first, x)


def shared():
  layer = keras.layers.Dense(3, name="twice")
  first = keras.Input((3,))
  return keras.Model(first, layer(layer(first)))


def two_inputs():
  inputs = [keras.Input((3,)), keras.Input((3,))]
  return keras.Model(inputs, keras.layers.Add()(inputs))


class Subclassed(keras.Model):
  def call(self, inputs):
    return inputs


def in_bfloat16():
  with precision.policy("bfloat16"):
    return functional(keras.layers.Dense(3, name="half"))


class GraphTest(parameterized.TestCase):
  def test_layers_settings_and_inputs(self):
    model = functional(
      keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="conv"),
      keras.layers.GlobalAveragePooling2D(name="pool"),
      keras.layers.Dense(5, use_bias=False, name="logits"),
    )

    found = graph.describe(model)

    self.assertEqual(found["input_shape"], [8, 8, 3])
    self.assertEqual(found["output"], "logits")
    conv, pool, dense = found["nodes"]
    self.assertEqual(conv["inputs"], [found["input"]])
    self.assertEqual(conv["settings"]["activation"], "relu")
    self.assertEqual(conv["settings"]["strides"], (2, 2))
    self.assertEqual((pool["inputs"], dense["inputs"]), (["conv"], ["pool"]))
    self.assertFalse(dense["settings"]["use_bias"])

  def test_a_sequential_model(self):
    model = keras.Sequential(
      [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)]
    )

    self.assertLen(graph.describe(model)["nodes"], 2)

  def test_weights_come_back_as_they_were(self):
    model = functional(
      keras.layers.Conv2D(4, 3, name="conv"),
      keras.layers.BatchNormalization(name="norm"),
      keras.layers.Dropout(0.5),
    )
    values = graph.weights(model)

    self.assertCountEqual(
      values,
      ["conv/0", "conv/1", "norm/0", "norm/1", "norm/2", "norm/3"],
    )
    graph.set_weights(model, {n: v + 1 for n, v in values.items()})
    for name, value in graph.weights(model).items():
      np.testing.assert_array_equal(value, values[name] + 1)

  @parameterized.named_parameters(
    (
      "a_kind",
      lambda: functional(keras.layers.LayerNormalization(name="odd")),
      "'odd', a keras.*LayerNormalization",
    ),
    (
      "a_softmax",
      lambda: functional(
        keras.layers.Dense(3, activation="softmax", name="end")
      ),
      "must be one of.*'?softmax'? of 'end'",
    ),
    (
      "an_own_function",
      lambda: functional(keras.layers.Activation(lambda x: x, name="odd")),
      "of 'odd'",
    ),
    ("a_layer_used_twice", shared, "more than once.*'twice'"),
    ("two_inputs", two_inputs, "one input and one output.*2 and 1"),
    ("a_subclassed_model", Subclassed, "functional and sequential"),
    ("another_precision", in_bfloat16, "'half', which computes in bfloat16"),
    (
      "another_axis",
      lambda: functional(keras.layers.BatchNormalization(axis=1, name="odd")),
      "last.*'odd'",
    ),
    (
      "an_operation",
      lambda: functional(lambda x: keras.ops.exp(x)),
      "consist of layers.*exp",
    ),
    (
      "a_model_inside",
      lambda: functional(functional(keras.layers.Flatten())),
      "Functional",
    ),
  )
  def test_refuses(self, make, message):
    with self.assertRaisesRegex(ValueError, message):
      graph.describe(make())


if __name__ == "__main__":
  absltest.main()
