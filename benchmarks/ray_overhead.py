"""Cost of Ray: a whole study on a Ray cluster, compared with the local pool.

    python benchmarks/ray_overhead.py [--flagfile=digits.flags] [--pairs=15]

Both use all cores of this machine: `memo_tf.launch` with one worker per core,
and `launchers.ray_cluster` on a Ray node with as many cores, started
beforehand. Whole commands are timed, including scores and page, each in a new
directory. A Ray launch is compared with the mean of the local launches just
before and just after it. A pair takes two launches (digits.flags: about 4.5
minutes on 2 cores). Needs requirements-ray.txt. `overhead` in the JSON line is
(Ray - local) / local; the ratio is local / Ray, as in all benchmarks.
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

ROOT = pathlib.Path(__file__).resolve().parents[1]


def seconds_of(module: str, arguments: list[str]) -> float:
  """Runs a whole launch in a new directory and returns its wall time."""
  with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", module, *arguments]
    started = time.perf_counter()
    subprocess.run(
      [*command, f"--experiment_dir={folder}/study"],
      cwd=ROOT,
      check=True,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--flagfile", default="digits.flags")
  parser.add_argument("--pairs", type=int, default=15)
  parser.add_argument("--units_per_task", type=int, default=0)
  arguments, more = parser.parse_known_args()  # further flags of the study
  # Otherwise Ray's workers yield to all other processes.
  os.environ["RAY_worker_niceness"] = "0"
  os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
  from ray import cluster_utils

  cores = len(os.sched_getaffinity(0))
  study = [f"--flagfile={arguments.flagfile}", *more]
  cluster = cluster_utils.Cluster(
    initialize_head=True,
    head_node_args={"num_cpus": cores, "include_dashboard": False},
  )
  on_ray = [
    *study,
    f"--ray_address={cluster.address}",
    f"--units_per_task={arguments.units_per_task}",
  ]
  local, ray = [], []
  try:
    local.append(seconds_of("memo_tf.launch", [*study, f"--workers={cores}"]))
    for number in range(arguments.pairs):
      ray.append(seconds_of("launchers.ray_cluster", on_ray))
      local.append(seconds_of("memo_tf.launch", [*study, f"--workers={cores}"]))
      print(
        f"pair {number + 1} of {arguments.pairs}: local {local[-1]:.1f} s, Ray "
        f"{ray[-1]:.1f} s",
        file=sys.stderr,
        flush=True,
      )
  finally:
    cluster.shutdown()
  beside = (np.array(local[:-1]) + np.array(local[1:])) / 2
  low, median, high = pairing.interval(np.array(ray) / beside)
  print(f"local pool {np.median(local):8.1f} s")
  print(
    f"Ray        {np.median(ray):8.1f} s, {100 * (median - 1):+.1f} % "
    f"[{100 * (low - 1):+.1f}, {100 * (high - 1):+.1f}]"
  )
  print(
    json.dumps(
      {
        "benchmark": f"ray_overhead/{arguments.flagfile}",
        "ratios": {"local pool": pairing.interval(beside / np.array(ray))},
        "overhead": [round(v - 1, 3) for v in (low, median, high)],
        "seconds": {
          "local pool": round(float(np.median(local)), 1),
          "Ray": round(float(np.median(ray)), 1),
        },
        "pairs": arguments.pairs,
      }
    )
  )


if __name__ == "__main__":
  main()
