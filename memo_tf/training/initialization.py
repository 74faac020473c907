"""The initial values of a run's variables, each from its own random stream."""

import keras

from memo_tf.experiment import random_streams


def initialize(
  model: keras.Model | keras.Layer, seed: int, unit_name: str
) -> None:
  """Sets every variable of a model to its initial value in a run.

  A variable's stream is keyed by the unit's name and the variable's path, so
  that no variable's value depends on which others the model has. The
  distribution is that of the initializer that the layer declares.

  Args:
    model: whose layers hold their variables themselves (no nested models), or
      one such layer.
    seed: of the study.
    unit_name: of the run.
  """
  is_model = isinstance(model, keras.Model)
  for layer in model.layers if is_model else [model]:
    for variable in layer.variables:
      name = f"{variable.name}_initializer"
      if not hasattr(layer, name):  # a depthwise convolution's kernel
        name = "depthwise_initializer"
      stream = random_streams.stream_seed(
        seed, "initialization", unit_name, variable.path
      )
      initializer = _seeded(getattr(layer, name), stream)
      variable.assign(initializer(variable.shape, variable.dtype))


def _seeded(initializer, stream: int):
  """The same initializer with its own seed, if it draws at all."""
  settings = initializer.get_config()
  if "seed" not in settings:
    return initializer
  return type(initializer).from_config({**settings, "seed": stream % 2**31})
