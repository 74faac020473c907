"""What a model makes of each example, layer by layer.

The input (normalized), the output of every block, and the softmax: where
Baldock et al. (2021, arXiv:2106.09647) put their nearest-neighbour probes. The
blocks are found by the names that the builders give (`models.block_outputs`).

One layer is held at a time. A map of many pixels is averaged over squares of
pixels until a layer has at most `max_dimensions`; the papers flatten it as it
is, which for 50,000 images of 32x32 is 3 GB a block.
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.data import pipeline
from memo_tf.training.recording import batches

BATCH_SIZE = 256


class Representations:
  """The layers of a model as it is now, each traced on first use.

  Args:
    model: images to logits.
    mean, std: float32 `[channels]`, the normalization.
    max_dimensions: how many a layer may have; 0: as many as it has.
    jit_compile: whether XLA compiles it.
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
    self._model, self._jit_compile = model, jit_compile
    self._max_dimensions = max_dimensions
    self.names = ["input", *models.block_outputs(model), "softmax"]
    self._functions: dict[str, tf.types.experimental.PolymorphicFunction] = {}

  def __len__(self) -> int:
    return len(self.names)

  def layers(self, images: tf.Tensor, places: np.ndarray) -> Iterator:
    """Yields float32 `[k, D]` of the images at `places` `[k]`, layer by layer."""
    for name in self.names:
      yield self.layer(name, images, places)

  def layer(
    self, name: str, images: tf.Tensor, places: np.ndarray
  ) -> np.ndarray:
    """float32 `[k, D]`: one layer, of the images at `places` `[k]`."""
    if name not in self._functions:
      self._functions[name] = self._traced(name)
    function = self._functions[name]
    return batches.over_batches(
      lambda batch: function(images, batch),
      np.asarray(places),
      min(BATCH_SIZE, len(places)),
    )

  def _traced(self, name):
    inner = None
    if name not in ("input", "softmax"):
      output = self._model.get_layer(name).output
      inner = keras.Model(self._model.inputs, output)

    def run(images, places):
      batch = tf.gather(images, places)
      x = pipeline.normalize(batch, self._mean, self._std)
      if name == "softmax":
        logits = self._model(x, training=False)
        return tf.nn.softmax(tf.cast(logits, tf.float32))
      x = x if inner is None else inner(x, training=False)
      return flatten(tf.cast(x, tf.float32), self._max_dimensions)

    return tf.function(run, jit_compile=self._jit_compile)


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
