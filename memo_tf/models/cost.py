"""How much a model computes, counted from its layers without running it."""

import math

import keras


def multiply_adds(model: keras.Model) -> int:
  """Multiplications with additions for one image, of one forward pass.

  Counts convolutions and dense layers, which dominate; others count as 0.

  Args:
    model: built, functional; nested models are counted too.
  """
  return sum(map(_of_layer, model.layers))


def _of_layer(layer: keras.Layer) -> int:
  if isinstance(layer, keras.Model):
    return multiply_adds(layer)
  kernel = getattr(layer, "kernel", None)
  if kernel is None:
    return 0
  weights = math.prod(kernel.shape)
  try:
    shape = layer.output.shape[1:]
  except (AttributeError, ValueError):
    return weights  # inside a subclassed model, whose graph Keras does not keep
  if isinstance(layer, keras.layers.DepthwiseConv2D):
    return weights * _positions(shape)
  if len(kernel.shape) == 4:
    # The kernel is [height, width, channels of a group, filters].
    return weights * _positions(shape)
  return weights


def _positions(shape: tuple[int, ...]) -> int:
  """Pixels of an output `[H, W, channels]`."""
  height, width = shape[:2]
  return height * width
