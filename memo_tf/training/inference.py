"""Logits of every example, once each, without augmentation.

The last batch is padded and the padding's logits are cut off: no example is
dropped, whatever the batch size. Batch normalization uses its moving statistics
(evaluating models in training mode is a known mistake that changes the scores).
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.data.stored import images as images_lib

BATCH_SIZE = 256


class Predictor:
  """Predicts with a model's current weights; traced once for many runs.

  Args:
    model: images to logits.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, their standard deviations.
    jit_compile: whether XLA compiles it.
    image_type: of the pixels, `uint8` or `uint16`.
  """

  def __init__(
    self,
    model: keras.Model,
    mean: np.ndarray,
    std: np.ndarray,
    jit_compile: bool = False,
    image_type: str = "uint8",
  ):
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    self._model = model
    self._batches = tf.function(
      self._run,
      input_signature=[
        tf.TensorSpec([None, *model.input_shape[1:]], image_type),
        tf.TensorSpec([None, BATCH_SIZE], tf.int32),
      ],
      jit_compile=jit_compile,
    )

  def logits(self, images: tf.Tensor | images_lib.StoredImages) -> np.ndarray:
    """float32 `[n, C]` for images `[n, H, W, channels]`.

    The images are on the device, or on disk: then they are decoded a few
    batches at a time.
    """
    if isinstance(images, images_lib.StoredImages):
      rows = np.arange(len(images) + -len(images) % BATCH_SIZE)
      rows[len(images) :] = 0
      parts = images.batches(rows.reshape(-1, BATCH_SIZE))
      logits = [self.logits(pipeline.moved_to_device(p)) for p in parts]
      return np.concatenate(logits)[: len(images)]
    count = len(images)
    indices = np.arange(count + -count % BATCH_SIZE, dtype=np.int32)
    indices[count:] = 0  # padding: any image will do, its logits are cut off
    logits = self._batches(images, indices.reshape(-1, BATCH_SIZE)).numpy()
    return logits.reshape(-1, logits.shape[-1])[:count]

  def _run(self, images: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    def one(rows):
      batch = tf.gather(images, rows)
      inputs = pipeline.normalize(batch, self._mean, self._std)
      return tf.cast(self._model(inputs, training=False), tf.float32)

    return tf.map_fn(
      one, indices, fn_output_signature=tf.float32, parallel_iterations=1
    )
