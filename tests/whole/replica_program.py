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

NUM_STEPS = 20


def main() -> None:
  name, folder = sys.argv[1:]
  distribution.divide_cpu(2 if name == "mirrored" else 1)
  strategy = distribution.make_strategy(name)
  task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
  np.savez(
    f"{folder}/{name}{task.get('index', '')}.npz",
    **trained(strategy, synchronized=True),
  )
  if name == "mirrored":
    np.savez(
      f"{folder}/unsynchronized.npz", **trained(strategy, synchronized=False)
    )


def trained(
  strategy: tf.distribute.Strategy, *, synchronized: bool
) -> dict[str, np.ndarray]:
  """The state after all steps; under `start_` and `first_` those before them.

  Args:
    strategy: which.
    synchronized: whether batch norm is that of all devices together.
  """
  rng = np.random.default_rng(0)
  images = tf.constant(rng.integers(0, 17, (64, 8, 8, 1)).astype(np.uint8))
  labels = tf.constant(rng.integers(0, 3, 64).astype(np.int32))
  settings = settings_lib.TrainingConfig(
    batch_size=16,
    precision="float64",
    augmentation="pad_crop_flip",
    synchronized_batch_norm=synchronized,
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
  order = rng.integers(0, 64, (NUM_STEPS, 16)).astype(np.int32)
  views = augmentation.views(64, seed=0, family="f", index=0, epoch=0)[order]
  rates = np.full(NUM_STEPS, 0.05, np.float32)
  for steps in (slice(0, 1), slice(1, None)):
    loss, accuracy, _ = trainer.train_epoch(
      images, labels, order[steps], rates[steps], views[steps]
    )
    if steps.stop:
      first = trainer.state()
  logits = trainer.predict(images)
  return {
    "loss": loss,
    "accuracy": accuracy,
    "logits": logits,
    "replicas": strategy.num_replicas_in_sync,
    **{f"start_{key}": value for key, value in start.items()},
    **{f"first_{key}": value for key, value in first.items()},
    **trainer.state(),
  }


if __name__ == "__main__":
  main()
