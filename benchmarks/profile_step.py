"""Profile of one training step by TensorFlow op.

    python benchmarks/profile_step.py [--depth=8] [--size=32] [--channels=3]

One process of one thread. Prints milliseconds per step without profiling, then
the slowest ops with their number per step and their share of all ops.
"""

import argparse
import collections
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

BATCH, STEPS, WHILE_AND_CALLS = 128, 8, ("While", "Call")


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--depth", type=int, default=8)
  parser.add_argument("--size", type=int, default=32)
  parser.add_argument("--channels", type=int, default=3)
  arguments = parser.parse_args()
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  shape = (arguments.size, arguments.size, arguments.channels)
  trainer = trainer_lib.Trainer(
    f"cifar_resnet-{arguments.depth}",
    recipes.parse("one_hot", settings_lib.TrainingConfig(batch_size=BATCH)),
    image_shape=shape,
    num_classes=10,
    mean=np.full(arguments.channels, 128, np.float32),
    std=np.full(arguments.channels, 64, np.float32),
    strategy=distribution.one_device(),
  )
  trainer.initialize(0, "profile")
  rng = np.random.default_rng(0)
  images = tf.constant(rng.integers(0, 256, (1024, *shape)).astype(np.uint8))
  labels = tf.constant(rng.integers(0, 10, 1024).astype(np.int32))

  def train() -> float:
    order = rng.integers(0, 1024, (STEPS, BATCH)).astype(np.int32)
    started = time.perf_counter()
    trainer.train_epoch(images, labels, order, np.full(STEPS, 0.01, np.float32))
    return (time.perf_counter() - started) / STEPS

  train()
  print(f"{1e3 * np.median([train() for _ in range(5)]):.2f} ms per step")
  with tempfile.TemporaryDirectory() as folder:
    tf.profiler.experimental.start(folder)
    train()
    tf.profiler.experimental.stop()
    path = next(pathlib.Path(folder).rglob("*.xplane.pb"))
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
  seconds, counts = collections.Counter(), collections.Counter()
  for plane in space.planes:
    if "host:CPU" not in plane.name:
      continue
    for line in plane.lines:
      for event in line.events:
        name = plane.event_metadata[event.metadata_id].name
        operation = name.rpartition(":")[2].partition("#")[0]
        # Ops are named "scope/name:Type". Ops that span others do not count.
        if ":" in name and not any(w in operation for w in WHILE_AND_CALLS):
          seconds[operation] += event.duration_ps / 1e12
          counts[operation] += 1
  known = {
    k: v
    for k, v in seconds.items()
    if hasattr(tf.raw_ops, k.lstrip("_")) or k.startswith("_Mkl")
  }
  total = sum(known.values())
  for name, value in sorted(known.items(), key=lambda item: -item[1])[:25]:
    print(
      f"{name:38} {1e3 * value / STEPS:8.3f} ms "
      f"{counts[name] / STEPS:6.1f} per step"
      f" {100 * value / total:5.1f} %"
    )


if __name__ == "__main__":
  main()
