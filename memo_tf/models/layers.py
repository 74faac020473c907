"""Batch normalization by TensorFlow's fused kernel, and a shortcut.

Keras 3 on TensorFlow normalizes with a chain of element-wise ops; the fused
kernel does the same in one op forward and one backward, which makes training on
a CPU faster (`benchmarks/training.py`). Weights, their names and the results
are those of `keras.layers.BatchNormalization`, so that weights of one can be
loaded into the other.

Results depend on this: the moving variance averages the *biased* batch
variance, as in Keras. The kernel returns the variance with Bessel's correction
(n / (n - 1)), which is undone here.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="memo_tf")
class BatchNormalization(keras.layers.BatchNormalization):
  """`keras.layers.BatchNormalization` over `[B, H, W, C]` by the fused kernel.

  Takes the arguments of Keras's layer. What the kernel does not support
  (statistics synchronized over replicas, an axis other than the last, another
  rank, a mask, float64) is left to Keras's implementation. `momentum` defaults
  to 0.9: with Keras's 0.99, a fifth of the initial statistics is left after 160
  steps.
  """

  def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
    super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

  def call(self, inputs, training=None, mask=None):
    fused = (
      len(inputs.shape) == 4
      and self.axis in (-1, 3)
      and mask is None
      and not self.synchronized
      and self.scale
      and self.center
    )
    if not fused:
      return super().call(inputs, training=training, mask=mask)
    # The kernel takes its parameters in float32, whatever the images' type.
    moving_mean = tf.convert_to_tensor(self.moving_mean)
    moving_variance = tf.convert_to_tensor(self.moving_variance)
    scale = tf.cast(tf.convert_to_tensor(self.gamma), moving_mean.dtype)
    offset = tf.cast(tf.convert_to_tensor(self.beta), moving_mean.dtype)
    if moving_mean.dtype != tf.float32:  # float64 has no fused kernel
      return super().call(inputs, training=training, mask=mask)
    if not (training and self.trainable):
      return tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=scale,
        offset=offset,
        mean=moving_mean,
        variance=moving_variance,
        epsilon=self.epsilon,
        is_training=False,
      ).y
    shape = tf.shape(inputs)
    count = tf.cast(shape[0] * shape[1] * shape[2], tf.float32)
    if inputs.shape[:3].is_fully_defined():
      count = tf.constant(float(inputs.shape[:3].num_elements()))
    bessel = count / tf.maximum(count - 1.0, 1.0)
    # The kernel also updates the moving averages: old * (1 - f) + batch * f.
    output = tf.raw_ops.FusedBatchNormV3(
      x=inputs,
      scale=scale,
      offset=offset,
      mean=moving_mean,
      variance=moving_variance * bessel,
      epsilon=self.epsilon,
      exponential_avg_factor=1.0 - self.momentum,
      is_training=True,
    )
    self.moving_mean.assign(output.batch_mean)
    self.moving_variance.assign(output.batch_variance / bessel)
    return output.y


@keras.saving.register_keras_serializable(package="memo_tf")
class ShortcutA(keras.layers.Layer):
  """The parameter-free shortcut of He et al. (2016), option A.

  Takes every `strides`-th pixel of `[B, H, W, C]` and pads with zero channels
  on both sides up to `filters`.
  """

  def __init__(self, filters: int, strides: int, **kwargs):
    super().__init__(**kwargs)
    self.filters = filters
    self.strides = strides

  def call(self, inputs):
    _, height, width, channels = inputs.shape
    step = self.strides
    if height % step == 0 and width % step == 0:
      # The same pixels as by strides, in two contiguous slices: TensorFlow's
      # strided slice and its gradient are slow on a CPU
      # (benchmarks/profile_step.py).
      x = tf.reshape(inputs, [-1, height // step, step * width * channels])
      x = tf.slice(x, [0, 0, 0], [-1, -1, width * channels])
      x = tf.reshape(x, [-1, height // step, width // step, step * channels])
      x = tf.slice(x, [0, 0, 0, 0], [-1, -1, -1, channels])
    else:
      x = inputs[:, ::step, ::step, :]
    missing = self.filters - channels
    before = missing // 2
    return tf.pad(x, [[0, 0], [0, 0], [0, 0], [before, missing - before]])

  def compute_output_shape(self, input_shape):
    batch, height, width, _ = input_shape
    step = self.strides
    return (batch, -(-height // step), -(-width // step), self.filters)

  def get_config(self):
    config = super().get_config()
    return {**config, "filters": self.filters, "strides": self.strides}
