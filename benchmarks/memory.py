"""Memory of the workers of one machine, on random data of CIFAR's shape.

    python benchmarks/memory.py [--depth=8] [--workers=2]
                                [--num_train=50000] [--num_test=10000]

Writes a data set of random 32x32x3 images to a temporary directory and trains
one unit for one epoch in each of several concurrent processes, with the code of
the launcher's workers. Resident memory counts shared pages (libraries, images)
in every process; the proportional share (Linux's Pss) divides them between the
processes.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from memo_tf.experiment import settings as settings_lib
from memo_tf.processes import environment
from memo_tf.store import opening

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHILD = """
import sys, time
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from memo_tf.experiment import work_units
from memo_tf.store import directory, opening
from memo_tf.running.unit import run
from memo_tf.running.unit import session as session_lib
study = directory.StudyDirectory(sys.argv[1])
settings = opening.read_config(study.config_path.read_bytes())
session = session_lib.Session(settings, study)
name = settings.models.models[0] + f"/one_hot/r0.70/{int(sys.argv[2]):05d}"
unit = work_units.parse_unit(name)
run.run_unit(session, unit, frozenset({"predictions.parquet"}))
unit = work_units.parse_unit(name[:-5] + f"{1000 + int(sys.argv[2]):05d}")
started = time.perf_counter()
if len(sys.argv) > 3:  # a second run, that has nothing to trace
  run.run_unit(session, unit, frozenset({"predictions.parquet"}))
print(time.perf_counter() - started)
"""


def made_up(folder: str, num_train: int, num_test: int, depth: int) -> None:
  """Writes `dataset/`, `subsets/` and `config.json` of a study."""
  from memo_tf.data.sources import image_source
  from memo_tf.data.stored import writer
  from memo_tf.experiment import config as config_lib
  from memo_tf.experiment import subsets
  from memo_tf.store import directory as directory_lib

  rng = np.random.default_rng(0)

  def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return images, rng.integers(0, 10, count).astype(np.int32)

  train, test = examples(num_train), examples(num_test)
  data = image_source.ImageDataset(
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
  config = config_lib.StudyConfig(
    models=settings_lib.ModelsConfig(models=(f"cifar_resnet-{depth}",)),
    training=settings_lib.TrainingConfig(epochs=1),
  )
  directory = directory_lib.StudyDirectory(folder)
  writer.write_dataset(data, config, directory)
  masks = subsets.parse_family("r0.70").in_mask(num_train, 1010, 0)
  directory.in_mask_path("r0.70").parent.mkdir()
  np.save(directory.in_mask_path("r0.70"), masks)
  opening.write_settings(directory, config)


def start(folder: str, index: int, *more: str) -> subprocess.Popen:

  return subprocess.Popen(
    [sys.executable, "-c", CHILD, folder, str(index), *more],
    env=environment.environment(1),
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    text=True,
    cwd=ROOT,
  )


def run_one(num_train: int, num_test: int, *, depth: int) -> list[float]:
  """Seconds per run of one epoch, after a first run that traces."""
  with tempfile.TemporaryDirectory() as folder:
    made_up(folder, num_train, num_test, depth)
    output, _ = start(folder, 0, "again").communicate()
  return [float(word) for word in output.split()]


def sizes(process: int) -> dict[str, float]:
  """Current resident, proportional and private memory in gigabytes."""
  found = {"Rss": 0.0, "Pss": 0.0, "Private": 0.0}
  for line in pathlib.Path(f"/proc/{process}/smaps_rollup").open():
    name, _, rest = line.partition(":")
    name = name.split("_")[0]
    if name in found and rest.split()[1:] == ["kB"]:
      if name != "Pss" or line.startswith("Pss:"):
        found[name] += int(rest.split()[0]) * 1024 / 1e9
  return found


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--depth", type=int, default=8)
  parser.add_argument("--workers", type=int, default=2)
  parser.add_argument("--num_train", type=int, default=50_000)
  parser.add_argument("--num_test", type=int, default=10_000)
  arguments = parser.parse_args()
  peaks = {"Rss": 0.0, "Pss": 0.0, "Private": 0.0}
  with tempfile.TemporaryDirectory() as folder:
    writer = (
      "import memory, sys; "
      "memory.made_up(sys.argv[1], *(int(v) for v in sys.argv[2:]))"
    )
    subprocess.run(  # in a process of its own, whose memory does not count
      [
        sys.executable,
        "-c",
        writer,
        folder,
        str(arguments.num_train),
        str(arguments.num_test),
        str(arguments.depth),
      ],
      env={
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
      },
      stderr=subprocess.DEVNULL,
      check=True,
    )
    children = [start(folder, i) for i in range(arguments.workers)]
    while True:
      try:
        found = [sizes(child.pid) for child in children]
      except (OSError, ProcessLookupError):
        break
      if any(child.poll() is not None for child in children):
        break  # pages are no longer shared once a worker has ended
      for one in found:
        for name, value in one.items():
          peaks[name] = max(peaks[name], value)
      time.sleep(0.1)
    codes = [child.wait() for child in children]
    if any(codes) or not peaks["Rss"]:
      sys.exit(f"workers exited with {codes}")
  print(f"{arguments.workers} workers; peak memory of one worker:")
  print(f"  resident, shared pages counted in full   {peaks['Rss']:.2f} GB")
  print(f"  resident, shared pages divided           {peaks['Pss']:.2f} GB")
  print(f"  private: what each further worker adds   {peaks['Private']:.2f} GB")
  print(
    json.dumps(
      {
        "benchmark": "memory/cifar-shaped",
        "ratios": {},
        "values": {name: round(value, 3) for name, value in peaks.items()},
      }
    )
  )


if __name__ == "__main__":
  main()
