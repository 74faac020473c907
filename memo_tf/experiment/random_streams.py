"""Separate random streams, each derived from the study's one seed.

Every random choice of a study has a named stream: which examples are in a
subset, the initial weights, the order of the data, which labels are planted.
A stream is keyed by the seed and by what it belongs to, never by what was
drawn before, so that any unit can be computed alone, in any order and on any
machine. docs/method.md lists the names; they may not be changed, or recorded
studies stop being reproducible.
"""

import hashlib

import numpy as np


def stream_seed(seed: int, *key: object) -> int:
  """A 63-bit seed for the stream `key` of the study with `seed`."""
  text = "/".join(["memo_tf", str(int(seed)), *(str(part) for part in key)])
  digest = hashlib.sha256(text.encode()).digest()
  return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, *key: object) -> np.random.Generator:
  """A NumPy generator (PCG64) for the stream `key` of the study."""
  return np.random.Generator(np.random.PCG64(stream_seed(seed, *key)))
