"""A functional Keras 3 model as plain data: layers, what feeds them, weights.

The tools that prune and cluster know tf_keras models only, which live in
another process. What goes there is this description, in JSON, and the weights
by layer. A layer that is not listed here is refused by name: rebuilding it
approximately would give another model.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from memo_tf.models import layers as own_layers

# Keras 3's functions that have a twin in `child.rebuilding`.
ACTIVATIONS = (
  "elu",
  "gelu",
  "hard_sigmoid",
  "hard_silu",
  "leaky_relu",
  "linear",
  "relu",
  "relu6",
  "selu",
  "sigmoid",
  "silu",
  "softplus",
  "tanh",
)
_CONVOLUTION = (
  "kernel_size",
  "strides",
  "padding",
  "dilation_rate",
  "use_bias",
  "activation",
)
_POOLING = ("pool_size", "strides", "padding")
# By kind of layer: the settings that say what it computes.
SETTINGS: dict[str, tuple[str, ...]] = {
  "Activation": ("activation",),
  "Add": (),
  "Average": (),
  "AveragePooling2D": _POOLING,
  "BatchNormalization": ("momentum", "epsilon", "center", "scale"),
  "Concatenate": ("axis",),
  "Conv2D": ("filters", "groups", *_CONVOLUTION),
  "Dense": ("units", "use_bias", "activation"),
  "DepthwiseConv2D": ("depth_multiplier", *_CONVOLUTION),
  "Dropout": ("rate",),
  "Flatten": (),
  "GlobalAveragePooling2D": ("keepdims",),
  "GlobalMaxPooling2D": ("keepdims",),
  "MaxPooling2D": _POOLING,
  "Maximum": (),
  "Multiply": (),
  "ReLU": ("max_value", "negative_slope", "threshold"),
  "Reshape": ("target_shape",),
  "SeparableConv2D": ("filters", "depth_multiplier", *_CONVOLUTION),
  "ShortcutA": ("filters", "strides"),
  "ZeroPadding2D": ("padding",),
}
_CLASSES: dict[str, type] = {
  **{n: getattr(keras.layers, n) for n in SETTINGS if n != "ShortcutA"},
  "ShortcutA": own_layers.ShortcutA,
}
_SUBCLASSES = (own_layers.BatchNormalization,)


def describe(model: keras.Model) -> dict[str, Any]:
  """What a model computes, without its weights, for `child.rebuilding`.

  Args:
    model: functional or sequential, built, float32, from one input to one
      output; every layer of a kind in `SETTINGS`, used once.

  Returns:
    `input_shape`; `nodes` in the order of computation, each with `name`,
    `kind`, `settings`, `trainable` and the names of its `inputs`; `output`,
    the last one's name.

  Raises:
    ValueError: that names the layer which cannot be compressed.
  """
  inputs = getattr(model, "inputs", None)
  if not inputs or not isinstance(model.layers, list):
    raise ValueError(
      "Only functional and sequential models that are built can be "
      f"compressed. Received: {type(model).__name__} {model.name!r}"
    )
  if len(inputs) != 1 or len(model.outputs) != 1:
    raise ValueError(
      "A model to compress must have one input and one output. Received: "
      f"{len(inputs)} and {len(model.outputs)} of {model.name!r}"
    )
  nodes, given = [], {id(inputs[0]): inputs[0]._keras_history.operation.name}
  for operation in _operations(model):
    if isinstance(operation, keras.layers.InputLayer):
      continue
    tensors = operation.input
    tensors = tensors if isinstance(tensors, list) else [tensors]
    nodes.append(_node(operation) | {"inputs": [given[id(t)] for t in tensors]})
    given[id(operation.output)] = operation.name
  return {
    "input_shape": list(inputs[0].shape[1:]),
    "input": inputs[0]._keras_history.operation.name,
    "nodes": nodes,
    "output": given[id(model.outputs[0])],
  }


def weights(model: keras.Model) -> dict[str, np.ndarray]:
  """The weights of a model that can be described: `LAYER/i` to values."""
  return {
    f"{layer.name}/{i}": value
    for layer in model.layers
    for i, value in enumerate(layer.get_weights())
    if not isinstance(layer, keras.layers.Dropout)  # its state of draws
  }


def set_weights(model: keras.Model, values: dict[str, np.ndarray]) -> None:
  """Sets the weights of a model to values, named as by `weights`."""
  for layer in model.layers:
    if isinstance(layer, keras.layers.Dropout):
      continue
    count = len(layer.get_weights())
    layer.set_weights([values[f"{layer.name}/{i}"] for i in range(count)])


def _operations(model: keras.Model) -> list:
  """The layers in the order of computation.

  Raises:
    ValueError: for an operation that is no layer, or a layer used twice.
  """
  function = getattr(model, "_functional", None) or model
  found = list(function.operations)
  for operation in found:
    if not isinstance(operation, keras.layers.Layer):
      raise ValueError(
        "A model to compress must consist of layers. Received: the operation "
        f"{operation.name!r} of {model.name!r}"
      )
    if len(operation._inbound_nodes) > 1:
      raise ValueError(
        "A layer that is used more than once cannot be compressed. Received: "
        f"{operation.name!r} of {model.name!r}"
      )
  return found


def _node(layer: keras.layers.Layer) -> dict[str, Any]:
  kind = next(
    (
      kind
      for kind, known in _CLASSES.items()
      if type(layer) is known
      or (type(layer) in _SUBCLASSES and isinstance(layer, known))
    ),
    None,
  )
  if kind is None:
    raise ValueError(
      "A model to compress must consist of the layers "
      f"{', '.join(sorted(SETTINGS))}. Received: {layer.name!r}, a "
      f"{type(layer).__module__}.{type(layer).__name__}"
    )
  if layer.compute_dtype != "float32":
    raise ValueError(
      "Only float32 models can be compressed. Received: "
      f"{layer.name!r}, which computes in {layer.compute_dtype}"
    )
  _check(layer)
  return {
    "name": layer.name,
    "kind": kind,
    "settings": {name: _setting(layer, name) for name in SETTINGS[kind]},
    "trainable": layer.trainable,
  }


def _check(layer: keras.layers.Layer) -> None:
  """Refuses what a kind of layer can do and its twin does not."""
  last = getattr(layer, "data_format", "channels_last") == "channels_last"
  if isinstance(layer, keras.layers.BatchNormalization):
    axis = layer.axis
    last = axis in (-1, len(layer.input.shape) - 1) and not layer.synchronized
  if not last:
    raise ValueError(
      "Channels must come last, and batch normalization must not be "
      f"synchronized, in a model to compress. Received: {layer.name!r}"
    )


def _setting(layer: keras.layers.Layer, name: str) -> Any:
  """A setting as JSON has it."""
  value = getattr(layer, name)
  if name != "activation":
    return value
  function: Callable = value
  known = getattr(function, "__name__", "")
  is_kerass = known in ACTIVATIONS and function is getattr(
    keras.activations, known
  )
  if not is_kerass:
    raise ValueError(
      f"An activation to compress must be one of {', '.join(ACTIVATIONS)}. "
      f"Received: {known or function!r} of {layer.name!r}"
    )
  return known
