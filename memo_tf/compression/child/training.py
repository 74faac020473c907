"""Fine-tuning a tf_keras model on batches that the parent chose.

The step is that of `memo_tf.training`: cross-entropy, weight decay by the
recipe's convention, SGD with momentum. Batch normalization is tf_keras's own,
whose moving variance has Bessel's correction.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from memo_tf.data import augmentation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batches:
  """What a model is fine-tuned on.

  Attributes:
    images: `[N, H, W, channels]`, raw.
    labels: int32 `[N]`.
    mean, std: float32 `[channels]`, the normalization.
    order: int32 `[epochs, steps, B]`, indices in the images.
    views: int32 `[epochs, steps, B, 3]`, as `augmentation.views`, or None.
    rates: float32 `[epochs, steps]`, learning rates.
  """

  images: np.ndarray
  labels: np.ndarray
  mean: np.ndarray
  std: np.ndarray
  order: np.ndarray
  views: np.ndarray | None
  rates: np.ndarray


class FineTuning:
  """Fine-tunes one model, again and again; traced once.

  Args:
    model: of images to logits.
    settings: `momentum`, `nesterov`, `weight_decay`,
      `weight_decay_convention`, `weight_decay_coverage`, as recipes have them.
  """

  def __init__(self, model: tf_keras.Model, settings: dict[str, Any]):
    self._model, self._settings = model, settings
    self._optimizer = tf_keras.optimizers.SGD(
      0.0,
      momentum=settings["momentum"],
      nesterov=settings["nesterov"],
      jit_compile=False,
    )
    self._variables = model.trainable_variables
    self._optimizer.build(self._variables)
    every = settings["weight_decay_coverage"] == "all"
    self._decayed = [
      every or "kernel" in v.name.rpartition("/")[2] for v in self._variables
    ]
    self._step = tf.function(self._one_step, reduce_retracing=True)

  def run(
    self, batches: Batches, on_epoch: Callable[[int, int], None]
  ) -> list[dict]:
    """Makes every step; returns one dictionary per epoch for the history."""
    for variable in self._optimizer.variables:
      variable.assign(tf.zeros_like(variable))
    history, epochs = [], len(batches.order)
    for epoch, (order, rates) in enumerate(zip(batches.order, batches.rates)):
      loss = correct = 0.0
      for step, (ids, rate) in enumerate(zip(order, rates)):
        images = tf.constant(batches.images[ids])
        if batches.views is not None:
          images = augmentation.pad_crop_flip(
            images, batches.views[epoch, step]
          )
        inputs = (tf.cast(images, tf.float32) - batches.mean) * (
          np.float32(1.0) / batches.std
        )
        labels = tf.constant(batches.labels[ids])
        found = self._step(inputs, labels, tf.constant(rate))
        loss, correct = loss + float(found[0]), correct + float(found[1])
      history.append(
        {
          "epoch": epoch + 1,
          "learning_rate": float(rates[-1]),
          "loss": loss / len(order),
          "accuracy": correct / order.size,
        }
      )
      on_epoch(epoch + 1, epochs)
    return history

  def _one_step(self, inputs, labels, rate):
    settings = self._settings
    strength = settings["weight_decay"]
    convention = settings["weight_decay_convention"]
    with tf.GradientTape() as tape:
      logits = self._model(inputs, training=True)
      loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
      )
    gradients = tape.gradient(loss, self._variables)
    updates = []
    for gradient, weight, decayed in zip(
      gradients, self._variables, self._decayed
    ):
      if decayed and strength and convention == "decoupled":
        weight.assign_sub(rate * strength * weight)
      elif decayed and strength:
        gradient += (2.0 if convention == "loss" else 1.0) * strength * weight
      updates.append((gradient, weight))
    self._optimizer.learning_rate.assign(rate)
    self._optimizer.apply_gradients(updates)
    hits = tf.argmax(logits, 1, output_type=labels.dtype) == labels
    return loss, tf.reduce_sum(tf.cast(hits, tf.float32))
