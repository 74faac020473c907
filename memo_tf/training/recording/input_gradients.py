"""Derivatives with respect to the image: sensitivity, curvature, VoG.

All in evaluation mode, with respect to the *normalized* image, that is, in
units of a channel's standard deviation. l is the cross-entropy with the given
label, z_y the logit of the given label.

* loss sensitivity   ||dl/dx||, L2 or L1 (Arpit et al., 2017, arXiv:1706.05394)
* curvature          mean over Rademacher v of
                     ||grad l(x + h v) - grad l(x)||_2, not divided by h
                     (Garg et al., 2024, arXiv:2307.05831)
* VoG                mean over pixels of the standard deviation, over
                     checkpoints, of dz_y/dx (Agarwal et al., 2022,
                     arXiv:2008.11600), or, as other code has it, of dp_y/dx
                     with p_y the label's probability

Losses of a batch are summed, never averaged: an example's gradient does not
depend on the rest of its batch.
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.training.recording import batches
from memo_tf.training.recording import snapshots as snapshots_lib

BATCH_SIZE = 128
VOG_BYTES = 64 * 2**20  # of gradients that are held at a time


class InputGradients:
  """Per-example derivatives at a model's current weights; traced once.

  Args:
    model: images to logits.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, their standard deviations.
    jit_compile: whether XLA compiles it.
    norm: of `loss_sensitivity`, `l2` or `l1`.
    step: h of `curvature`, above 0.
    draws: the number of Rademacher vectors of `curvature`, at least 1.
    output: whose gradient VoG uses: the label's `logit` or `probability`.
  """

  def __init__(
    self,
    model: keras.Model,
    mean: np.ndarray,
    std: np.ndarray,
    *,
    jit_compile: bool = False,
    norm: str = "l2",
    step: float = 1e-3,
    draws: int = 10,
    output: str = "logit",
  ):
    self._model, self._norm, self._output = model, norm, output
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    self._step, self._draws = step, draws
    self._type = model.compute_dtype
    if self._type == "bfloat16":
      self._type = "float32"
    self._functions = {
      name: tf.function(function, jit_compile=jit_compile)
      for name, function in (
        ("sensitivity", self._sensitivity),
        ("curvature", self._curvature),
        ("label", self._label),
      )
    }

  def loss_sensitivity(
    self, images: tf.Tensor, labels: tf.Tensor
  ) -> np.ndarray:
    """`[n]`: the norm of dl/dx of images `[n, H, W, channels]`."""
    return self._map("sensitivity", images, labels, np.arange(len(images)))

  def curvature(
    self, images: tf.Tensor, labels: tf.Tensor, seed: int
  ) -> np.ndarray:
    """`[n]`: the mean norm of the gradient's change over a step of h."""
    pair = tf.constant([seed % 2**31, seed // 2**31 % 2**31], tf.int32)
    indices = np.arange(len(images))
    return self._map("curvature", images, labels, indices, pair)

  def label_gradients(
    self, images: tf.Tensor, labels: tf.Tensor, indices: np.ndarray
  ) -> np.ndarray:
    """dz_y/dx (or dp_y/dx) `[k, H, W, channels]` at `indices` `[k]`."""
    return self._map("label", images, labels, indices)

  def _map(self, name, images, labels, indices, *more):
    size = min(BATCH_SIZE, len(images))
    function = self._functions[name]
    return batches.over_batches(
      lambda batch: function(images, labels, batch, *more), indices, size
    )

  def _inputs(self, images, indices):
    batch = tf.gather(images, indices)
    inputs = pipeline.normalize(batch, self._mean, self._std)
    return tf.cast(inputs, self._type)

  def _logits(self, inputs):
    logits = self._model(inputs, training=False)
    return tf.cast(logits, self._type)

  def _loss_gradient(self, inputs, labels):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, self._logits(inputs)
      )
    return tape.gradient(losses, inputs)  # of the sum: each example's own

  def _sensitivity(self, images, labels, indices):
    inputs = self._inputs(images, indices)
    gradient = self._loss_gradient(inputs, tf.gather(labels, indices))
    if self._norm == "l1":
      return tf.reduce_sum(tf.abs(gradient), axis=[1, 2, 3])
    return _norms(gradient)

  def _curvature(self, images, labels, indices, seed):
    inputs, labels = self._inputs(images, indices), tf.gather(labels, indices)
    still = self._loss_gradient(inputs, labels)
    total = tf.zeros_like(still[:, 0, 0, 0])
    for draw in range(self._draws):
      signs = rademacher(seed, draw, indices, inputs.shape[1:])
      moved = inputs + self._step * tf.cast(signs, inputs.dtype)
      total += _norms(self._loss_gradient(moved, labels) - still)
    return total / self._draws

  def _label(self, images, labels, indices):
    inputs, labels = self._inputs(images, indices), tf.gather(labels, indices)
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      outputs = self._logits(inputs)
      if self._output == "probability":
        outputs = tf.nn.softmax(outputs)
      own = tf.gather(outputs, labels, batch_dims=1)
    return tape.gradient(own, inputs)


def rademacher(
  seed: tf.Tensor, draw: int, indices: tf.Tensor, shape: tuple[int, ...]
) -> tf.Tensor:
  """float32 `[B, *shape]` of -1 and 1, a function of (seed, draw, index).

  Args:
    seed: int32 `[2]`.
    draw: the number of the draw.
    indices: int32 `[B]`, of the examples: an example's draws do not depend on
      the rest of its batch.
    shape: of one image.
  """

  def one(index):
    mixed = tf.stack([seed[0] + 1_000_003 * draw, seed[1] + index])
    bits = tf.random.stateless_uniform(
      shape, mixed, minval=0, maxval=2, dtype=tf.int32, alg="philox"
    )
    return tf.cast(2 * bits - 1, tf.float32)

  return tf.map_fn(one, indices, fn_output_signature=tf.float32)


def _norms(gradients: tf.Tensor) -> tf.Tensor:
  return tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]))


def variance_of_gradients(
  gradients: InputGradients,
  snapshots: snapshots_lib.Snapshots,
  images: tf.Tensor,
  labels: tf.Tensor,
) -> np.ndarray:
  """VoG of every example over the checkpoints of a run.

  The standard deviation is over the K checkpoints (ddof 0); the mean is over
  all H x W x channels. Examples are processed in parts, so that the K gradients
  of only one part are in memory at a time.

  Args:
    gradients: of the model.
    snapshots: K of its states, at least 1; with 1, the result is 0.
    images: `[N, H, W, channels]`.
    labels: int32 `[N]`.

  Returns:
    float32 `[N]`.
  """
  count, size = len(images), int(np.prod(images.shape[1:]))
  rows = max(1, VOG_BYTES // (8 * size * max(1, len(snapshots))))
  found = []
  for start in range(0, count, rows):
    indices = np.arange(start, min(start + rows, count))
    parts = [
      gradients.label_gradients(images, labels, indices)
      for _ in snapshots.restored()
    ]
    spread = np.std(np.stack(parts), axis=0, dtype=np.float64)
    found.append(spread.reshape(len(indices), -1).mean(axis=1))
  return np.concatenate(found).astype(np.float32)
