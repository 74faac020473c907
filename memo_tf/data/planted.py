"""Known truth, planted in a data set and recorded in `examples.parquet`.

A wrong label can be learned by memorizing only: a good memorization score
finds the planted ones.
"""

import numpy as np

from memo_tf.experiment import streams


def plant_wrong_labels(
  labels: np.ndarray, num_classes: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Replaces a random fraction of the labels by another class.

  Args:
    labels: `[N]` int in [0, num_classes).
    num_classes: C, at least 2.
    fraction: of the examples, in [0, 1); `round(fraction * N)` are changed.
    seed: of the study; the stream is `planted/wrong_labels`.

  Returns:
    `[N]` labels and `[N]` bool, which of them are wrong. A wrong label is
    uniform over the C - 1 other classes.
  """
  rng = streams.generator(seed, "planted", "wrong_labels")
  count = round(fraction * len(labels))
  chosen = rng.permutation(len(labels))[:count]
  noisy = labels.copy()
  shift = rng.integers(1, num_classes, size=count, dtype=labels.dtype)
  noisy[chosen] = (labels[chosen] + shift) % num_classes
  is_noisy = np.zeros(len(labels), bool)
  is_noisy[chosen] = True
  return noisy, is_noisy
