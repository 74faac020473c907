"""Digits with planted rare groups, in which removal must hurt: an .npz file.

    PYTHONPATH=. python benchmarks/rare_groups.py FOLDER
    python -m memo_tf.launch --dataset=npz:rare_groups.npz --data_dir=FOLDER …

Each of 40 groups is a random pattern with a random class: one training image
of it and two test images, each with noise of its own. No other image says what
the class of a group is: whoever leaves the one training image out loses its
test images (the long tail of Feldman, 2020, arXiv:1906.05271). Train ids 1,500
to 1,539 and test ids 297 to 376 are of groups.
"""

import argparse
import pathlib

import numpy as np

from memo_tf.data.sources import bundled

NUM_GROUPS = 40
TESTS_PER_GROUP = 2
NOISE = 0.05  # standard deviation of the pixels of one group, white is 1


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
  """Images and labels by the names that `npz:FILE` has."""
  digits = bundled.LOADERS["digits"]()
  rng = np.random.default_rng(seed)
  height, width, channels = digits.train_images.shape[1:]
  patterns = rng.random((NUM_GROUPS, height, width, channels))
  classes = rng.integers(0, len(digits.class_names), NUM_GROUPS)
  found = {}
  for split, images, labels, repeats in (
    ("train", digits.train_images, digits.train_labels, 1),
    ("test", digits.test_images, digits.test_labels, TESTS_PER_GROUP),
  ):
    rare = np.repeat(patterns, repeats, axis=0)
    rare = np.clip(rare + NOISE * rng.standard_normal(rare.shape), 0, 1)
    plain = images / digits.max_pixel
    pixels = np.rint(255 * np.concatenate([plain, rare])).astype(np.uint8)
    found[f"{split}_images"] = pixels
    found[f"{split}_labels"] = np.concatenate(
      [labels, np.repeat(classes, repeats)]
    ).astype(np.int64)
  return found


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("folder", type=pathlib.Path, help="made if missing")
  folder = parser.parse_args().folder
  folder.mkdir(parents=True, exist_ok=True)
  np.savez(folder / "rare_groups.npz", **arrays())


if __name__ == "__main__":
  main()
