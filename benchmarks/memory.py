"""Peak memory of a worker on data of CIFAR's shape, made up.

    python benchmarks/memory.py [--depth=8] [--num_train=50000] [--num_test=10000]

Writes a data set of random 32x32x3 images into a temporary directory, trains one
unit for one epoch in a process of its own through the launcher's own worker
code, and prints the process's peak resident memory.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np

CHILD = """
import sys
from memo_tf.experiment import config, directory, work_units
from memo_tf.running import run
study = directory.ExperimentDirectory(sys.argv[1])
settings = config.from_json(study.config_path.read_text())
def peak():  # of this program, not of the one that started it
  lines = open("/proc/self/status").read().splitlines()
  return next(line.split()[1] for line in lines if line.startswith("VmHWM"))
session = run.Session(settings, study)
ready = peak()
unit = work_units.parse_unit(settings.models.models[0] + "/one_hot/r0.70/00000")
run.run_unit(session, unit, frozenset({"predictions.parquet"}))
lines = open("/proc/self/status").read().splitlines()
shared = next(line.split()[1] for line in lines if line.startswith("RssFile"))
print(ready, peak(), shared)
"""


def main() -> None:
  from memo_tf.data import datasets
  from memo_tf.data import shards
  from memo_tf.experiment import config as config_lib
  from memo_tf.experiment import directory as directory_lib
  from memo_tf.experiment import subsets
  from memo_tf.running import worker_pool

  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--depth", type=int, default=8)
  parser.add_argument("--num_train", type=int, default=50_000)
  parser.add_argument("--num_test", type=int, default=10_000)
  arguments = parser.parse_args()
  rng = np.random.default_rng(0)

  def examples(count):
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return images, rng.integers(0, 10, count).astype(np.int32)

  train, test = examples(arguments.num_train), examples(arguments.num_test)
  data = datasets.ImageDataset(
    name="made up",
    version="1",
    licence="none",
    citation="none",
    class_names=tuple("0123456789"),
    train_images=train[0],
    train_labels=train[1],
    test_images=test[0],
    test_labels=test[1],
    max_pixel=255,
    order="any",
  )
  config = config_lib.ExperimentConfig(
    models=config_lib.ModelsConfig(models=(f"cifar_resnet-{arguments.depth}",)),
    recipe=config_lib.TrainingConfig(epochs=1),
  )
  with tempfile.TemporaryDirectory() as folder:
    directory = directory_lib.ExperimentDirectory(folder)
    shards.write_dataset(data, config, directory)
    family = subsets.parse_family("r0.70")
    masks = family.in_mask(arguments.num_train, 2, 0)
    directory.in_mask_path("r0.70").parent.mkdir()
    np.save(directory.in_mask_path("r0.70"), masks)
    directory_lib.write_atomic(directory.config_path, config.to_json())
    done = subprocess.run(
      [sys.executable, "-c", CHILD, folder],
      env=worker_pool.environment(1),
      stdout=subprocess.PIPE,
      text=True,
      check=True,
      cwd=pathlib.Path(__file__).resolve().parents[1],
    )
  ready, peak, shared = (int(v) * 1024 / 1e9 for v in done.stdout.split())
  own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
  print(f"data in memory: {ready:.2f} GB; peak of the run: {peak:.2f} GB,")
  print(f"of which {shared:.2f} GB are libraries that all workers share")
  print(f"(this process, which made the data: {own:.2f} GB)")
  print(
    json.dumps(
      {
        "benchmark": "memory/cifar-shaped",
        "ratios": {},
        "peak_gb": round(peak, 3),
      }
    )
  )


if __name__ == "__main__":
  main()
