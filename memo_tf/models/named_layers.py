"""The layers that all families are built from, each with its name.

Names are part of a study's results: an initial weight's random stream is keyed
by the path of its variable, and blocks are found by the prefix of their layers.
"""

import keras

from memo_tf.models import layers


class NamedLayers:
  """Adds layers to a functional model, with one setting for all of them.

  Args:
    batch_norm_momentum: of the moving statistics, in [0, 1).
    synchronized: whether batch statistics are those of all replicas.
  """

  def __init__(self, batch_norm_momentum: float, synchronized: bool):
    self._momentum = batch_norm_momentum
    self._synchronized = synchronized

  def conv(
    self,
    x: keras.KerasTensor,
    filters: int,
    prefix: str,
    *,
    size: int = 3,
    strides: int = 1,
    use_bias: bool = False,
  ) -> keras.KerasTensor:
    """A convolution with "same" padding and He initialization."""
    return keras.layers.Conv2D(
      filters,
      size,
      strides=strides,
      padding="same",
      use_bias=use_bias,
      kernel_initializer="he_normal",
      name=f"{prefix}_conv",
    )(x)

  def norm(self, x: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
    """A batch normalization."""
    return layers.BatchNormalization(
      momentum=self._momentum,
      synchronized=self._synchronized,
      name=f"{prefix}_bn",
    )(x)

  def conv_norm(
    self,
    x: keras.KerasTensor,
    filters: int,
    prefix: str,
    *,
    size: int = 3,
    strides: int = 1,
  ) -> keras.KerasTensor:
    """A convolution, then a batch normalization."""
    x = self.conv(x, filters, prefix, size=size, strides=strides)
    return self.norm(x, prefix)

  def relu(self, x: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
    """A rectifier."""
    return keras.layers.ReLU(name=f"{prefix}_relu")(x)

  def logits(self, x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """The last, linear layer; in the weights' type under mixed precision."""
    dtype = keras.config.dtype_policy().variable_dtype
    return keras.layers.Dense(num_classes, dtype=dtype, name="logits")(x)
