"""Full-integer post-training quantization by TensorFlow's TFLite converter.

Weights and activations are 8-bit integers; the ranges of activations are those
of a few images of the run's own subset (Jacob et al., 2018, arXiv:1712.05877).
"""

import numpy as np
import tensorflow as tf
import tf_keras


def convert(model: tf_keras.Model, images: np.ndarray) -> bytes:
  """A model as a `.tflite` file, from int8 images to int8 logits.

  Args:
    model: of images to logits.
    images: float32 `[n, H, W, channels]`, as the model gets them.
  """
  function = tf.function(
    lambda x: model(x, training=False),
    input_signature=[tf.TensorSpec([None, *images.shape[1:]], tf.float32)],
  )
  # The variables alone: saving a Keras model on the way traces every layer.
  module = tf.Module()
  module.kept = list(model.variables)
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [function.get_concrete_function()], module
  )
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.representative_dataset = lambda: ([x[None]] for x in images)
  converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
  converter.inference_input_type = tf.int8
  converter.inference_output_type = tf.int8
  return converter.convert()
