"""Scores and pairs from real Parquet files of M runs, against a baseline.

    python benchmarks/scoring.py [--runs=400] [--train=50000] [--test=10000]
    python benchmarks/scoring.py --runs=4000 --distinct=1000 --rounds=3

Writes a study of M runs (simulated predictions, real files; about 1 MB per run
at CIFAR-100's shape) under studies/, then times in turn: ours, which reads
every file, checks it, and computes all memorization scores and all pairs of any
class above the thresholds; and a baseline, pyarrow reading the same columns
plus one dense float32 product [N, M] x [M, T]. The printed ratio is ours /
baseline, where below 1 is faster; the JSON line has baseline / ours, as the
other benchmarks do. Our time is split into read (bytes and pyarrow), check
(digests, ids, labels, masks) and compute. What margins add, their scores and
the influence of the same-class pairs, is not in it and is timed after it; its
share is also printed in processor time, which other work on the machine hardly
changes. `--distinct` writes only so many files; the others are hard links to
them, which cost the same to read, check and score, but no disk. With far fewer
than 1,000, chance makes pairs that 4,000 different runs would not have.
"""

import argparse
from collections.abc import Callable
import json
import pathlib
import sys
import time
from unittest import mock

import numpy as np
import pairing
import pyarrow as pa
import pyarrow.parquet as pq

from memo_tf.estimators import influence
from memo_tf.estimators import margin_influence
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions

NUM_CLASSES = 100
FAMILY = "r0.70"


def write_study(
  root: pathlib.Path, runs: int, train: int, test: int, distinct: int
) -> tuple[directory_lib.StudyDirectory, list[work_units.WorkUnit]]:
  """Writes the files unless they exist; returns directory and units."""
  directory = directory_lib.StudyDirectory(root)
  units = [
    work_units.parse_unit(f"cifar_resnet-20/one_hot/{FAMILY}/{m:05d}")
    for m in range(runs)
  ]
  if (directory.run_dir(units[-1]) / "run.json").exists():
    return directory, units
  rng = np.random.default_rng(0)
  masks = rng.random((distinct, train)) < 0.7
  path = directory.in_mask_path(FAMILY)
  path.parent.mkdir(parents=True, exist_ok=True)
  np.save(path, masks[np.arange(runs) % distinct])
  labels = np.concatenate([np.arange(train), np.arange(test)]) % NUM_CLASSES
  labels = labels.astype(np.int32)
  held_out = rng.beta(0.7, 0.5, train)
  chance = rng.beta(0.9, 0.4, test)
  for m, unit in enumerate(units[:distinct]):
    right = np.concatenate(
      [
        masks[m] | (rng.random(train) < held_out),
        rng.random(test) < chance,
      ]
    )
    wrong = (labels + 1 + rng.integers(0, NUM_CLASSES - 1, len(labels))) % (
      NUM_CLASSES
    )
    margin = np.where(right, 1, -1) * rng.gamma(2, 2, len(labels))
    columns = {
      "split": pa.DictionaryArray.from_arrays(
        np.repeat(np.array([0, 1], np.int8), [train, test]), ["train", "test"]
      ),
      "example_id": np.concatenate([np.arange(train), np.arange(test)]),
      "in_subset": np.concatenate([masks[m], np.zeros(test, bool)]),
      "label": labels,
      "predicted": np.where(right, labels, wrong).astype(np.int32),
      "label_prob": (1 / (1 + np.exp(-margin))).astype(np.float32),
      "margin": margin.astype(np.float32),
    }
    content = predictions.table_bytes(pa.table(columns))
    for copy in units[m::distinct]:
      link_run(directory, unit, copy, content)
  return directory, units


def link_run(directory, unit, copy, content: bytes) -> None:
  """Publishes the content of `unit` as the run `copy`."""
  entry = {
    "bytes": len(content),
    "digest": files.digest_bytes(content),
  }
  record = {
    "format_version": 1,
    "unit": copy.name,
    "recipe_digest": "0" * 16,
    "dataset_digest": "0" * 32,
    "subset_digest": "0" * 32,
    "seed": 0,
    "threads": 1,
    "parameters": 1,
    "in_accuracy": 1.0,
    "machine": {"host": "", "cpu": "", "gpu": ""},
    "versions": {},
    "seconds": {"total": 1.0},
    "outputs": {"predictions.parquet": entry},
  }
  folder = directory.run_dir(copy)
  if copy == unit:
    files.write_atomic(folder / "predictions.parquet", content)
  else:
    folder.mkdir(parents=True, exist_ok=True)
    original = directory.run_dir(unit) / "predictions.parquet"
    (folder / "predictions.parquet").hardlink_to(original)
  files.write_atomic(folder / "run.json", json.dumps(record))


def ours(
  directory: directory_lib.StudyDirectory, units: list[work_units.WorkUnit]
) -> dict[str, float]:
  """Seconds in total and by part."""
  reading, started = [0.0], time.perf_counter()
  cpu_started = time.process_time()

  def timed(function: Callable) -> Callable:
    def call(*arguments, **options):
      begin = time.perf_counter()
      try:
        return function(*arguments, **options)
      finally:
        reading[0] += time.perf_counter() - begin

    return call

  with (
    mock.patch.object(pq, "read_table", timed(pq.read_table)),
    mock.patch.object(
      pathlib.Path, "read_bytes", timed(pathlib.Path.read_bytes)
    ),
  ):
    stack = predictions.stack_runs(directory, units)
  read_and_checked = time.perf_counter()
  scores = memorization.memorization_scores(stack.correct, stack.in_mask)
  pairs = influence.influential_pairs(
    stack.test_correct, stack.in_mask, memorization=scores.memorization
  )
  ended, cpu_ended = time.perf_counter(), time.process_time()
  margins.margin_scores(stack.margin, stack.in_mask, correct=stack.correct)
  # A study keeps pairs of one class, of which alone it asks the margins.
  same = stack.labels[pairs.train_ids] == stack.test_labels[pairs.test_ids]
  margin_influence.margin_influence(
    stack.test_margin,
    stack.in_mask,
    pairs.train_ids[same],
    pairs.test_ids[same],
    num_tested=pairs.num_tested,
  )
  return {
    "total": ended - started,
    "read": reading[0],
    "check": read_and_checked - started - reading[0],
    "compute": ended - read_and_checked,
    "margins": time.perf_counter() - ended,
    "cpu": cpu_ended - cpu_started,
    "margins_cpu": time.process_time() - cpu_ended,
  }


def bare(
  directory: directory_lib.StudyDirectory,
  units: list[work_units.WorkUnit],
  left: np.ndarray,
  right: np.ndarray,
) -> float:
  """Seconds of reading the columns with pyarrow, and of one product."""
  started = time.perf_counter()
  for unit in units:
    pq.read_table(
      directory.run_dir(unit) / "predictions.parquet",
      columns=list(predictions.COLUMNS),
    )
  left @ right
  return time.perf_counter() - started


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--runs", type=int, default=400)
  parser.add_argument("--train", type=int, default=50_000)
  parser.add_argument("--test", type=int, default=10_000)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--distinct", type=int, help="files; default: --runs")
  parser.add_argument("--dir", default="studies/benchmarks/scoring")
  arguments = parser.parse_args()
  size = (arguments.runs, arguments.train, arguments.test)
  distinct = min(arguments.distinct or size[0], size[0])
  root = pathlib.Path(arguments.dir) / "x".join(map(str, (*size, distinct)))
  directory, units = write_study(root, *size, distinct)
  rng = np.random.default_rng(1)
  left = (rng.random(size[1::-1]) < 0.7).astype(np.float32)
  right = (rng.random((size[0], size[2])) < 0.5).astype(np.float32)
  ours(directory, units)  # from here on the files are in the page cache
  ratios, parts, seconds = [], [], []
  for number in range(arguments.rounds):
    parts.append(ours(directory, units))
    seconds.append(bare(directory, units, left, right))
    after = ours(directory, units)
    ratios.append((parts[-1]["total"] + after["total"]) / 2 / seconds[-1])
    print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
  split = {
    name: round(float(np.median([part[name] for part in parts])), 2)
    for name in parts[0]
  }
  low, median, high = pairing.interval(np.array(ratios))
  print(
    f"M={size[0]} N={size[1]} T={size[2]}: ours {split['total']:.2f} s (read "
    f"{split['read']:.2f}, check {split['check']:.2f}, compute "
    f"{split['compute']:.2f}), baseline {np.median(seconds):.2f} s; "
    f"ours / baseline {median:.2f} [{low:.2f}, {high:.2f}]"
  )
  both = [(part["total"] + part["margins"]) / part["total"] for part in parts]
  slower = pairing.interval(np.array(both))
  print(
    f"margins take {split['margins']:.2f} s: {slower[1]:.2f} times the time "
    f"without them [{slower[0]:.2f}, {slower[2]:.2f}]"
  )
  both = [(part["cpu"] + part["margins_cpu"]) / part["cpu"] for part in parts]
  busy = pairing.interval(np.array(both))
  print(
    f"in processor time, {split['margins_cpu']:.2f} s: {busy[1]:.2f} times "
    f"[{busy[0]:.2f}, {busy[2]:.2f}]"
  )
  print(
    json.dumps(
      {
        "benchmark": "scoring",
        "ratios": {
          "pyarrow's reading and one product": [
            round(1 / value, 3) for value in (high, median, low)
          ]
        },
        "seconds": split | {"bare": round(float(np.median(seconds)), 2)},
      }
    )
  )


if __name__ == "__main__":
  main()
