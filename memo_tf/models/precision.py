"""The precision that layers compute in, as Keras's policy."""

from collections.abc import Iterator
import contextlib

import keras

POLICIES = {
  "float32": "float32",
  "bfloat16": "mixed_bfloat16",
  "float64": "float64",
}


@contextlib.contextmanager
def policy(precision: str) -> Iterator[None]:
  """Sets Keras's policy for the layers that are built in the block."""
  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy(POLICIES[precision])
  try:
    yield
  finally:
    keras.config.set_dtype_policy(before)
