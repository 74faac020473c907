"""Logits of every example, once each, without augmentation, as evaluation.

The last batch is padded and what was padded is cut off again: nothing is
dropped, whatever the batch size. Batch normalization uses its moving
statistics (running shadow models in training mode is a known mistake that
changes the scores).
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline

BATCH_SIZE = 256


class Predictor:
  """Predicts with a model as it is now; traced once for many runs."""

  def __init__(self, model: keras.Model, mean: np.ndarray, std: np.ndarray):
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    self._model = model
    channels = model.input_shape[1:]
    self._batches = tf.function(
      self._run,
      input_signature=[tf.TensorSpec([None, BATCH_SIZE, *channels], tf.uint8)],
    )

  def logits(self, images: np.ndarray) -> np.ndarray:
    """float32 `[n, C]` for uint8 images `[n, H, W, channels]`."""
    count = len(images)
    padding = -count % BATCH_SIZE
    padded = np.concatenate(
      [images, np.zeros((padding, *images.shape[1:]), np.uint8)]
    )
    batches = padded.reshape(-1, BATCH_SIZE, *images.shape[1:])
    logits = self._batches(tf.constant(batches)).numpy()
    return logits.reshape(-1, logits.shape[-1])[:count]

  def _run(self, batches: tf.Tensor) -> tf.Tensor:
    def one(batch):
      images = pipeline.normalize(batch, self._mean, self._std)
      return tf.cast(self._model(images, training=False), tf.float32)

    return tf.map_fn(
      one, batches, fn_output_signature=tf.float32, parallel_iterations=1
    )
