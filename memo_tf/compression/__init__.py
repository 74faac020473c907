"""Compressed Keras 3 models: pruned, clustered, and in 8-bit integers.

The tools (tfmot, TensorFlow's TFLite converter) know tf_keras models only and
change the process that imports them. So they run in a child process, which
rebuilds the model; what comes back is a Keras 3 model again. Public names are
loaded on first use, so that the child imports no Keras 3.
"""

import importlib

_MEMBERS = {
  "Compressor": "memo_tf.compression.compressor",
  "Int8Model": "memo_tf.compression.litert",
  "cluster": "memo_tf.compression.wrappers",
  "prune": "memo_tf.compression.wrappers",
  "quantize": "memo_tf.compression.wrappers",
}


def __getattr__(name: str):
  if name in _MEMBERS:
    return getattr(importlib.import_module(_MEMBERS[name]), name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
  return sorted([*globals(), *_MEMBERS])
