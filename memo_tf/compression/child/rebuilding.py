"""The tf_keras model of a graph that `compression.graph` describes.

Every layer is the tf_keras layer of the same name where that computes the same;
the others have a twin here. The parent compares logits before anything is
compressed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

# Kinds of layers whose kernels are pruned or clustered. The tools leave the
# kernels of depthwise convolutions as they are, also within separable ones.
COMPRESSED = ("Conv2D", "Dense", "SeparableConv2D")
# Makes a layer of another one: what prunes or clusters its weights.
Wrap = Callable[[tf_keras.layers.Layer], tf_keras.layers.Layer]


def _hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
  return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


# By Keras 3's names. tf_keras's own hard sigmoid is another function.
_ACTIVATIONS: dict[str, Callable] = {
  "elu": tf.nn.elu,
  "gelu": lambda x: tf.nn.gelu(x, approximate=False),
  "hard_sigmoid": _hard_sigmoid,
  "hard_silu": lambda x: x * _hard_sigmoid(x),
  "leaky_relu": lambda x: tf.nn.leaky_relu(x, alpha=0.2),
  "linear": tf.identity,
  "relu": tf.nn.relu,
  "relu6": tf.nn.relu6,
  "selu": tf.nn.selu,
  "sigmoid": tf.nn.sigmoid,
  "silu": tf.nn.silu,
  "softplus": tf.nn.softplus,
  "tanh": tf.nn.tanh,
}


class ShortcutA(tf_keras.layers.Layer):
  """The twin of `memo_tf.models.layers.ShortcutA`."""

  def __init__(self, filters: int, strides: int, **kwargs):
    super().__init__(**kwargs)
    self._filters, self._strides = filters, strides

  def call(self, inputs):
    x = inputs[:, :: self._strides, :: self._strides, :]
    missing = self._filters - inputs.shape[-1]
    before = missing // 2
    return tf.pad(x, [[0, 0], [0, 0], [0, 0], [before, missing - before]])


class Dropout(tf_keras.layers.Layer):
  """Dropout that draws the same in every fine-tuning: `step` starts at 0.

  Args:
    rate: share of the inputs that become 0.
    place: of the layer in its graph, so that no two layers draw the same. Not
      its name: Keras counts in names what the process has built before.
  """

  def __init__(self, rate: float, place: int, **kwargs):
    super().__init__(**kwargs)
    self._rate, self._place = rate, place
    # Not a weight of the layer, which has none in Keras 3.
    self.step = [tf.Variable(0, dtype=tf.int32, trainable=False)]

  def call(self, inputs, training=None):
    if not training or not self._rate:
      return inputs
    seed = tf.stack([self.step[0], tf.constant(self._place)])
    self.step[0].assign_add(1)
    return tf.nn.experimental.stateless_dropout(inputs, self._rate, seed)


_TWINS: dict[str, Callable] = {"Dropout": Dropout, "ShortcutA": ShortcutA}


def build(graph: dict[str, Any], wrap: Wrap | None = None) -> tf_keras.Model:
  """The model of a graph, with any weights.

  Args:
    graph: as `compression.graph.describe` returns it.
    wrap: applied to every convolution and dense layer that is trained.
  """
  first = tf_keras.Input(graph["input_shape"], name=graph["input"])
  tensors = {graph["input"]: first}
  for place, node in enumerate(graph["nodes"]):
    inputs = [tensors[name] for name in node["inputs"]]
    layer = _layer(node, place)
    if wrap and node["trainable"] and node["kind"] in COMPRESSED:
      layer.build(inputs[0].shape)  # what clusters looks at the weights
      layer = wrap(layer)
    tensors[node["name"]] = layer(inputs[0] if len(inputs) == 1 else inputs)
  return tf_keras.Model(first, tensors[graph["output"]])


def _layer(node: dict[str, Any], place: int) -> tf_keras.layers.Layer:
  settings = dict(node["settings"])
  if "activation" in settings:
    settings["activation"] = _ACTIVATIONS[settings["activation"]]
  kind = node["kind"]
  if kind == "Dropout":
    settings["place"] = place
  made = _TWINS.get(kind) or getattr(tf_keras.layers, kind)
  return made(name=node["name"], trainable=node["trainable"], **settings)


def set_weights(model: tf_keras.Model, values: dict[str, np.ndarray]) -> None:
  """Sets weights by `LAYER/i`, and restarts what draws at random.

  Raises:
    ValueError: if a layer has other weights.
  """
  known = variables(model)
  if set(known) != set(values):
    raise ValueError(
      f"tf_keras has other weights: {sorted(set(known) ^ set(values))}"
    )
  for name, variable in known.items():
    variable.assign(values[name])
  for layer in model.layers:
    if isinstance(layer, Dropout):
      layer.step[0].assign(0)


def weights(model: tf_keras.Model) -> dict[str, np.ndarray]:
  """The weights as `compression.graph.weights` names them."""
  return {name: v.numpy() for name, v in variables(model).items()}


def variables(model: tf_keras.Model) -> dict[str, tf.Variable]:
  """The variables of a model's own layers, as `weights` names them."""
  found: dict[str, tf.Variable] = {}
  for layer in model.layers:
    if isinstance(layer, Dropout):
      continue  # its count of draws is no weight
    inner = getattr(layer, "layer", layer)
    own = list(inner.weights)
    # A wrapper that clusters takes a layer's kernel away.
    for index, name in getattr(layer, "position_original_weights", {}).items():
      own.insert(index, layer.original_clusterable_weights[name])
    found |= {f"{inner.name}/{i}": v for i, v in enumerate(own)}
  return found
