"""A model's representations of each example, layer by layer.

The layers are the input (normalized), the output of every block, and the
softmax: where Baldock et al. (2021, arXiv:2106.09647) put their
nearest-neighbour probes. Blocks are found by the names that the builders give
(`models.block_outputs`).

One layer is in memory at a time. Maps are averaged over squares of pixels until
a layer has at most `max_dimensions`; the papers flatten them without averaging,
which takes 3 GB per block for 50,000 images of 32x32.
"""

import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.data import pipeline
from memo_tf.training.recording import batches

BATCH_SIZE = 256


class Representations:
  """The layers of a model at its current weights; traced once.

  Args:
    model: images to logits.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, their standard deviations.
    max_dimensions: of a layer; 0: no limit.
    jit_compile: whether XLA compiles it.

  Raises:
    ValueError: if no layers are named as those of blocks.
  """

  def __init__(
    self,
    model: keras.Model,
    mean: np.ndarray,
    std: np.ndarray,
    *,
    max_dimensions: int = 1024,
    jit_compile: bool = False,
  ):
    self._mean, self._std = tf.constant(mean), tf.constant(std)
    blocks = models.block_outputs(model)
    if not blocks or any(
      len(model.get_layer(name).output.shape) != 4 for name in blocks
    ):
      raise ValueError(
        "Representations are taken after each block, whose layers are named "
        "block1_…, block2_…, and which ends with maps [B, H, W, channels]. "
        f"Received: {model.name}, with {blocks or 'no'} such layers"
      )
    self.names = ["input", *blocks, "softmax"]
    self._max_dimensions = max_dimensions
    outputs = [model.get_layer(name).output for name in blocks]
    self._model = keras.Model(model.inputs, [*outputs, model.output])
    # One trace for all layers: a batch passes through the whole model for each
    # requested layer, but tracing every prefix of a deep model takes longer.
    self._function = tf.function(self._layers, jit_compile=jit_compile)

  def __len__(self) -> int:
    return len(self.names)

  def layer(
    self, name: str, images: tf.Tensor, indices: np.ndarray
  ) -> np.ndarray:
    """float32 `[k, D]`: one layer, of the images at `indices` `[k]`."""
    number = self.names.index(name)
    return batches.over_batches(
      lambda batch: self._function(images, batch)[number],
      np.asarray(indices),
      min(BATCH_SIZE, len(indices)),
    )

  def _layers(self, images, indices):
    batch = tf.gather(images, indices)
    x = pipeline.normalize(batch, self._mean, self._std)
    *blocks, logits = self._model(x, training=False)
    maps = [tf.cast(m, tf.float32) for m in (x, *blocks)]
    softmax = tf.nn.softmax(tf.cast(logits, tf.float32))
    return [*(flatten(m, self._max_dimensions) for m in maps), softmax]


def flatten(maps: tf.Tensor, max_dimensions: int) -> tf.Tensor:
  """`[B, H, W, C]` to `[B, D]`: averaged over squares of pixels, then flat.

  The squares are the smallest, of side 1, 2, 4, …, that give at most
  `max_dimensions` (0: any number), or the whole map; at the edges, what there
  is of a square.
  """
  side = 1
  while max_dimensions and side < max(maps.shape[1:3]):
    height, width = (-(-n // side) for n in maps.shape[1:3])
    if height * width * maps.shape[3] <= max_dimensions:
      break
    side *= 2
  if side > 1:
    maps = tf.nn.avg_pool2d(maps, side, side, "SAME")
  return tf.reshape(maps, [-1, int(np.prod(maps.shape[1:]))])
