"""Prunes, clusters or quantizes one's own Keras 3 model, without a study.

A model is functional or sequential, of images to logits, float32. It is left as
it is: what is returned is another one.
"""

from collections.abc import Callable
from collections.abc import Mapping
import os

import keras
import numpy as np

from memo_tf.compression import compressor as compressor_lib
from memo_tf.compression import litert

Data = tuple[np.ndarray, np.ndarray]


def prune(
  model: keras.Model, data: Data, *, sparsity: float, **options
) -> keras.Model:
  """A copy of a model with most of every kernel set to 0.

  Zeros grow by tfmot's polynomial schedule over the first half of the
  fine-tuning (Zhu & Gupta, 2017, arXiv:1710.01878). Kernels of dense layers and
  of convolutions are pruned, except depthwise ones.

  Args:
    model: trained; of images to logits.
    data: images `[N, H, W, channels]` as the model gets them, and labels int
      `[N]`, to fine-tune on.
    sparsity: share of each kernel that becomes 0, in (0, 1).
    **options: of `fine_tuned`: `epochs`, `learning_rate`, `batch_size`, `seed`,
      `threads`, `log_path`.

  Raises:
    ValueError: for a wrong argument, or a layer that cannot be compressed.
    CompressionError: if the child process fails.
  """
  if not 0 < sparsity < 1:
    raise ValueError(
      f"`sparsity` must be in (0, 1). Received: sparsity={sparsity}"
    )
  return fine_tuned("prune", {"sparsity": sparsity}, model, data, **options)


def cluster(
  model: keras.Model, data: Data, *, clusters: int, **options
) -> keras.Model:
  """A copy of a model with few distinct values in every kernel.

  Args:
    model: as in `prune`.
    data: as in `prune`.
    clusters: values per kernel, at least 2.
    **options: as in `prune`.

  Raises:
    ValueError, CompressionError: as `prune`.
  """
  if clusters != int(clusters) or clusters < 2:
    raise ValueError(
      "`clusters` must be a whole number, at least 2. Received: "
      f"clusters={clusters}"
    )
  chosen = {"clusters": int(clusters)}
  return fine_tuned("cluster", chosen, model, data, **options)


def quantize(
  model: keras.Model,
  images: np.ndarray,
  *,
  threads: int = 1,
  log_path: str | os.PathLike | None = None,
) -> tuple[bytes, Callable[[np.ndarray], np.ndarray]]:
  """A model in 8-bit integers: weights, activations, images and logits.

  Args:
    model: as in `prune`.
    images: float `[n, H, W, channels]`, as the model gets them; a few hundred
      of the training images. Their activations give the ranges.
    threads: to convert and to predict with.
    log_path: file that the child's output is appended to.

  Returns:
    The content of a `.tflite` file; and a function that predicts with it, from
    float images `[n, H, W, channels]` to float32 logits `[n, C]`.

  Raises:
    ValueError, CompressionError: as `prune`.
  """
  with compressor_lib.Compressor(threads, log_path) as compressor:
    compressor.load(model, images[: compressor_lib.PROBE_SIZE])
    content = compressor.quantize(images)
  return content, litert.Int8Model(content, threads)


def fine_tuned(
  method: str,
  chosen: Mapping[str, float],
  model: keras.Model,
  data: Data,
  *,
  epochs: int = 10,
  learning_rate: float = 0.01,
  batch_size: int = 128,
  seed: int = 0,
  threads: int = 1,
  log_path: str | os.PathLike | None = None,
) -> keras.Model:
  """A copy of a model, pruned or clustered while it is fine-tuned.

  Args:
    method: `prune` or `cluster`.
    chosen: `sparsity` or `clusters`.
    model: as in `prune`.
    data: as in `prune`.
    epochs: passes over the data, at least 1.
    learning_rate: of the first step, above 0; it falls to 0 by half a cosine.
    batch_size: examples per step, at most N; what is left over is skipped.
    seed: of the order.
    threads: of the child process.
    log_path: file that the child's output is appended to.

  Raises:
    ValueError, CompressionError: as `prune`.
  """
  images, labels = (np.asarray(part) for part in data)
  if len(images) != len(labels) or not 1 <= batch_size <= len(images):
    raise ValueError(
      "`data` must be as many images as labels, at least `batch_size`. "
      f"Received: {len(images)}, {len(labels)} and batch_size={batch_size}"
    )
  if epochs < 1 or not learning_rate > 0:
    raise ValueError(
      "`epochs` must be at least 1 and `learning_rate` above 0. Received: "
      f"epochs={epochs}, learning_rate={learning_rate}"
    )
  steps = len(images) // batch_size
  rng = np.random.default_rng(seed)
  order = [
    rng.permutation(len(images))[: steps * batch_size] for _ in range(epochs)
  ]
  progress = np.arange(epochs * steps) / (epochs * steps)
  rates = learning_rate * (1 + np.cos(np.pi * progress)) / 2
  channels = images.shape[-1]
  copy = keras.models.clone_model(model)
  copy.set_weights(model.get_weights())
  tuning = compressor_lib.FineTuning(
    images=images.astype(np.float32),
    labels=labels.astype(np.int32),
    mean=np.zeros(channels, np.float32),
    std=np.ones(channels, np.float32),
    order=np.stack(order).reshape(epochs, steps, batch_size).astype(np.int32),
    rates=rates.astype(np.float32).reshape(epochs, steps),
  )
  with compressor_lib.Compressor(threads, log_path) as compressor:
    compressor.load(copy, tuning.images[: compressor_lib.PROBE_SIZE])
    compressor.fine_tune(method, chosen, tuning)
  return copy
