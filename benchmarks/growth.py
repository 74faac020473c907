"""How cost grows with the model, the image, M, N and the number of workers.

    python benchmarks/growth.py --part=throughput|subsets|examples|workers

- throughput: images per second in training on all cores, for every depth of
  cifar_resnet and three image shapes: the median of 3 slices.
- subsets (M) and workers: whole launches of digits.flags with cifar_resnet-8.
- examples (N): one run of one epoch on random 32x32x3 images, in a worker
  process of one thread, including the evaluation of all N images.

These are plain rates on a machine whose speed varies, not paired ratios.
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
import pairing
import training

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEPTHS = (8, 14, 20, 32, 44, 56, 110)
SHAPES = ((8, 1), (28, 1), (32, 3))
SUBSETS = (10, 20, 40, 80)
EXAMPLES = (5_000, 10_000, 20_000, 50_000)
SLICES = 3


def throughput(seconds: float) -> dict:
  """Images per second by shape and depth."""
  cores = len(os.sched_getaffinity(0))
  rates = {}
  for size, channels in SHAPES:
    for depth in DEPTHS:
      options = {"depth": depth, "size": size, "channels": channels}
      running = pairing.Running(
        training.contender(
          "memo_tf", "contender_memo_tf.py", cores, options, "usual"
        )
      )
      try:
        running.slice(0.1)
        running.slice(seconds)
        slices = [running.slice(seconds) for _ in range(SLICES)]
      finally:
        running.close()
      shape = f"{size}x{size}x{channels}"
      rates.setdefault(shape, {})[depth] = round(float(np.median(slices)), 1)
      show(f"{shape} cifar_resnet-{depth}", rates[shape][depth], "images/s")
  return rates


def launch(count: int, workers: int) -> float:
  """Seconds of a whole launch."""
  with tempfile.TemporaryDirectory() as folder:
    started = time.perf_counter()
    subprocess.run(
      [
        sys.executable,
        "-m",
        "memo_tf.launch",
        "--flagfile=digits.flags",
        "--models=cifar_resnet-8",
        f"--num_subsets={count}",
        f"--workers={workers}",
        f"--experiment_dir={folder}",
      ],
      cwd=ROOT,
      stdout=subprocess.DEVNULL,
      check=True,
    )
    return round(time.perf_counter() - started, 1)


def subsets() -> dict:
  """Seconds per launch by M."""
  cores = len(os.sched_getaffinity(0))
  found = {}
  for count in SUBSETS:
    found[count] = launch(count, cores)
    show(f"{count} subsets", found[count], "s")
  return found


def workers() -> dict:
  """Seconds of a launch of 40 runs by the number of workers."""
  cores = len(os.sched_getaffinity(0))
  found = {}
  for count in sorted({1, cores, 2 * cores}):
    found[count] = launch(40, count)
    show(f"{count} workers", found[count], "s")
  return found


def examples() -> dict:
  """Seconds of a run of one epoch by N."""
  import memory  # provides the data and the child process

  found = {}
  for count in EXAMPLES:
    found[count] = round(memory.run_one(count, count // 5, depth=8)[0], 2)
    show(f"{count} + {count // 5} images", found[count], "s")
  return found


def show(name: str, value: float, unit: str) -> None:
  print(f"{name:32} {value:10.1f} {unit}", flush=True)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    "--part",
    choices=("throughput", "subsets", "examples", "workers"),
    required=True,
  )
  parser.add_argument("--seconds", type=float, default=1.5)
  arguments = parser.parse_args()
  if arguments.part == "throughput":
    values = throughput(arguments.seconds)
  else:
    values = globals()[arguments.part]()
  print(
    json.dumps(
      {"benchmark": f"growth/{arguments.part}", "ratios": {}, "values": values}
    )
  )


if __name__ == "__main__":
  main()
