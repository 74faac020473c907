"""Training with memo_tf's Trainer, slice by slice, for training.py."""

import argparse
from collections.abc import Callable
import tempfile
import time

import numpy as np
import pairing
import tensorflow as tf

from memo_tf.data.sources import load
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.experiment import work_units
from memo_tf.running.unit import run
from memo_tf.running.unit import session as session_lib
from memo_tf.store import directory as directory_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

BATCH = 128


def study_work(folder: str) -> Callable[[float], tuple[int, float]]:
  """Whole units of the digits study, including their files."""
  directory = directory_lib.StudyDirectory(folder)
  training = settings_lib.TrainingConfig(epochs=20, batch_size=BATCH)
  config = config_lib.StudyConfig(training=training)
  writer.write_dataset(load.load(config.data), config, directory)
  family = subsets.parse_family("r0.70")
  directory.in_mask_path("r0.70").parent.mkdir()
  np.save(directory.in_mask_path("r0.70"), family.in_mask(1500, 10_000, 0))
  session = session_lib.Session(config, directory)
  outputs = frozenset({"predictions.parquet", "history.jsonl"})
  number = [0]

  def work(seconds: float) -> tuple[int, float]:
    count, started = 0, time.perf_counter()
    while not count or time.perf_counter() - started < seconds:
      unit = work_units.WorkUnit(
        "cifar_resnet-8", "one_hot", "r0.70", number[0]
      )
      run.run_unit(session, unit, outputs)
      number[0] += 1
      count += 1
    return count, time.perf_counter() - started

  return work


def main() -> None:
  parser = argparse.ArgumentParser()
  for name in ("threads", "depth", "size", "channels"):
    parser.add_argument(f"--{name}", type=int)
  parser.add_argument("--kind")
  parser.add_argument("--precision", default="float32")
  arguments = parser.parse_args()
  tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
  tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
  shape = (arguments.size, arguments.size, arguments.channels)
  rng = np.random.default_rng(0)
  images = tf.constant(rng.integers(0, 256, (2048, *shape)).astype(np.uint8))
  labels = tf.constant(rng.integers(0, 10, 2048).astype(np.int32))
  trainer = trainer_lib.Trainer(
    f"cifar_resnet-{arguments.depth}",
    recipes.parse(
      "one_hot",
      settings_lib.TrainingConfig(
        batch_size=BATCH, precision=arguments.precision
      ),
    ),
    image_shape=shape,
    num_classes=10,
    mean=np.full(arguments.channels, 128, np.float32),
    std=np.full(arguments.channels, 64, np.float32),
    strategy=distribution.one_device(),
  )
  trainer.initialize(0, "benchmark")
  if arguments.kind == "study":
    with tempfile.TemporaryDirectory() as folder:
      pairing.serve(study_work(folder))
    return
  steps = [1]

  def work(seconds: float) -> tuple[int, float]:
    items, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
      before = time.perf_counter()
      order = rng.integers(0, 2048, (steps[0], BATCH)).astype(np.int32)
      trainer.train_epoch(
        images, labels, order, np.full(steps[0], 0.01, np.float32)
      )
      items += order.size
      one = (time.perf_counter() - before) / steps[0]
      # A call per epoch would be usual, but a slice must be able to end.
      steps[0] = int(np.clip(0.25 * seconds / one, 1, 64))
    return items, time.perf_counter() - started

  pairing.serve(work)


if __name__ == "__main__":
  main()
