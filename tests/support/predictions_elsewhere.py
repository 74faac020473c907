"""Made-up predictions of runs that were trained elsewhere."""

import numpy as np

from memo_tf.experiment import subsets

NUM_RUNS, NUM_TRAIN, NUM_TEST, CLASSES = 20, 30, 10, 3


def values(seed: int = 0) -> dict[str, np.ndarray]:
  """Logits and all that goes with them, as keyword arguments.

  A run that trained on an example is surer of its label.
  """
  rng = np.random.default_rng(seed)
  in_mask = subsets.in_masks(NUM_TRAIN, NUM_RUNS, 0.7)
  labels = np.arange(NUM_TRAIN) % CLASSES
  test_labels = np.arange(NUM_TEST) % CLASSES
  logits = rng.normal(size=(NUM_RUNS, NUM_TRAIN, CLASSES)).astype(np.float32)
  logits[:, np.arange(NUM_TRAIN), labels] += 2 * in_mask
  return {
    "logits": logits,
    "in_mask": in_mask,
    "labels": labels,
    "test_logits": rng.normal(size=(NUM_RUNS, NUM_TEST, CLASSES)),
    "test_labels": test_labels,
    "class_names": np.array(["<b>cat</b>", "dog", "owl"]),
    "file_names": np.array([f"train/{n}.png" for n in range(NUM_TRAIN)]),
    "test_file_names": np.array([f"test/{n}.png" for n in range(NUM_TEST)]),
    "images": rng.integers(0, 256, (NUM_TRAIN, 8, 8), dtype=np.uint8),
    "test_images": rng.integers(0, 256, (NUM_TEST, 8, 8), dtype=np.uint8),
  }


def correct(given: dict[str, np.ndarray]) -> np.ndarray:
  """bool `[M, N]`: whether the runs predict the label."""
  return given["logits"].argmax(axis=2) == given["labels"]
