"""What a compressed model has, counted: zeros, distinct values, 8-bit tensors.

Sizes on disk are those of the float32 weights (or of the `.tflite` file) under
gzip, which is how zeros and repeated values become fewer bytes.
"""

import gzip

import keras
import numpy as np

from memo_tf.compression import graph
from memo_tf.compression import litert

# Layers whose kernels are compressed, as `child.rebuilding.COMPRESSED`.
_KINDS = (keras.layers.Conv2D, keras.layers.Dense, keras.layers.SeparableConv2D)


def of_model(model: keras.Model) -> dict[str, int | float]:
  """Counts of a Keras model.

  Returns:
    `weights`, all of them; `nonzero_weights`; `kernel_weights`, those of the
    kernels that are pruned or clustered; `kernel_sparsity`, the share of these
    that is 0; `largest_clusters`, the most distinct values of one kernel;
    `bytes_gzip`.
  """
  kernels = [_kernel(layer) for layer in model.layers]
  flat = [k.ravel() for k in kernels if k is not None]
  joined = np.concatenate([np.zeros(0, np.float32), *flat])
  values = list(graph.weights(model).values())
  return {
    "weights": sum(v.size for v in values),
    "nonzero_weights": sum(int(np.count_nonzero(v)) for v in values),
    "kernel_weights": joined.size,
    "kernel_sparsity": float(np.mean(joined == 0)) if joined.size else 0.0,
    "largest_clusters": max((len(np.unique(k)) for k in flat), default=0),
    "bytes_gzip": _gzipped(b"".join(v.tobytes() for v in values)),
  }


def of_int8(content: bytes) -> dict[str, int]:
  """Counts of a `.tflite` file: tensors by type, and bytes."""
  types = litert.Int8Model(content).tensor_types()
  return {
    **{f"{name}_tensors": count for name, count in types.items()},
    "bytes": len(content),
    "bytes_gzip": _gzipped(content),
  }


def _kernel(layer) -> np.ndarray | None:
  """The kernel that is compressed; None if a layer has none."""
  if not isinstance(layer, _KINDS) or not layer.trainable:
    return None
  if isinstance(layer, keras.layers.SeparableConv2D):
    return np.asarray(layer.pointwise_kernel)
  return np.asarray(layer.kernel)


def _gzipped(content: bytes) -> int:
  return len(gzip.compress(content, mtime=0))
