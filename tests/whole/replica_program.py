"""Trains a few steps under a strategy and writes the state: for replicas_test.

python -m tests.whole.replica_program STRATEGY PRECISION STEPS OUT
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


def main() -> None:
  name, precision, steps, out = sys.argv[1:]
  steps, synchronized = int(steps), not name.endswith("-unsynchronized")
  name = name.removesuffix("-unsynchronized")
  distribution.divide_cpu(2 if name == "mirrored" else 1)
  strategy = distribution.make_strategy(name)
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
  loss, accuracy, _ = trainer.train_epoch(
    images, labels, order, np.full(steps, 0.05, np.float32), views
  )
  logits = trainer.predict(images)
  state = trainer.state()
  index = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
  np.savez(
    f"{out}{index.get('index', '')}.npz",
    loss=loss,
    accuracy=accuracy,
    logits=logits,
    replicas=strategy.num_replicas_in_sync,
    **{f"start_{key}": value for key, value in start.items()},
    **state,
  )


if __name__ == "__main__":
  main()
