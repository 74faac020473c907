"""Trains a few steps under a strategy and writes the states: for replicas_test.

python -m tests.whole.replica_program STRATEGY FOLDER
"""

import json
import os
import sys

import numpy as np
import tensorflow as tf

from memo_tf.data import augmentation
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

# Name, precision, steps, batch norm over all devices.
CASES = (
  ("one_step", "float32", 1, True),
  ("steps", "float64", 20, True),
  ("unsynchronized", "float64", 20, False),
)


def main() -> None:
  name, folder = sys.argv[1:]
  distribution.divide_cpu(2 if name == "mirrored" else 1)
  strategy = distribution.make_strategy(name)
  task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
  for case, *how in CASES:
    if case == "unsynchronized" and name != "mirrored":
      continue
    state = trained(strategy, *how)
    np.savez(f"{folder}/{name}-{case}{task.get('index', '')}.npz", **state)


def trained(
  strategy: tf.distribute.Strategy,
  precision: str,
  steps: int,
  synchronized: bool,
) -> dict[str, np.ndarray]:
  """The state after some steps, and under `start_` that before them."""
  rng = np.random.default_rng(0)
  images = tf.constant(rng.integers(0, 17, (64, 8, 8, 1)).astype(np.uint8))
  labels = tf.constant(rng.integers(0, 3, 64).astype(np.int32))
  settings = settings_lib.TrainingConfig(
    batch_size=16,
    precision=precision,
    augmentation="pad_crop_flip",
    synchronized_batch_norm=synchronized,
    momentum=0.9 if steps > 1 else 0.0,
  )
  trainer = trainer_lib.Trainer(
    "cifar_resnet-8-w0.5",
    recipes.parse("one_hot", settings),
    image_shape=(8, 8, 1),
    num_classes=3,
    mean=np.array([8.0], np.float32),
    std=np.array([6.0], np.float32),
    strategy=strategy,
  )
  trainer.initialize(0, "unit")
  start = trainer.state()
  order = rng.integers(0, 64, (steps, 16)).astype(np.int32)
  views = augmentation.views(64, seed=0, family="f", index=0, epoch=0)[order]
  loss, accuracy = trainer.train_epoch(
    images, labels, order, np.full(steps, 0.05, np.float32), views
  )
  logits = trainer.predict(images)
  return {
    "loss": loss,
    "accuracy": accuracy,
    "logits": logits,
    "replicas": strategy.num_replicas_in_sync,
    **{f"start_{key}": value for key, value in start.items()},
    **trainer.state(),
  }


if __name__ == "__main__":
  main()
