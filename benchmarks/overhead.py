"""Share of a study's time that is spent in training steps, and in the rest.

    python benchmarks/overhead.py [--flagfile=digits.flags] [--workers=2]

Runs the launcher in a temporary directory and reads its `run.json` files. The
total is the launch's wall time times the number of workers; training is the sum
over the runs. The rest is evaluation of all N + T examples, writing, and the
remainder (start of the processes, tracing, scoring, the page, idle workers at
the end).
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--flagfile", default="digits.flags")
  parser.add_argument("--workers", type=int, default=None)
  arguments = parser.parse_args()
  workers = arguments.workers or len(os.sched_getaffinity(0))
  with tempfile.TemporaryDirectory() as folder:
    started = time.perf_counter()
    subprocess.run(
      [
        sys.executable,
        "-m",
        "memo_tf.launch",
        f"--flagfile={arguments.flagfile}",
        f"--workers={workers}",
        f"--experiment_dir={folder}",
      ],
      cwd=ROOT,
      stdout=sys.stderr,
      check=True,
    )
    wall = time.perf_counter() - started
    records = [
      json.loads(path.read_text())["seconds"]
      for path in pathlib.Path(folder, "runs").glob("*/*/*/*/run.json")
    ]
  whole = workers * wall
  training = sum(seconds["training"] for seconds in records)
  evaluation = sum(seconds["evaluation"] for seconds in records)
  writing = sum(seconds["total"] for seconds in records) - training - evaluation
  left = whole - training - evaluation - writing
  print(f"{len(records)} runs, {wall:.1f} s on {workers} workers:")
  shares = {
    "training": training / whole,
    "evaluation": evaluation / whole,
    "set-up and writing of runs": writing / whole,
    "start, tracing, scores, page, idle time": left / whole,
  }
  for name, share in shares.items():
    print(f"  {name:40} {100 * share:5.1f} %")
  print(
    json.dumps(
      {
        "benchmark": f"overhead/{arguments.flagfile}",
        "ratios": {},
        "wall_seconds": round(wall, 1),
        "outside_training": round(1 - training / whole, 4),
        "shares": {name: round(share, 4) for name, share in shares.items()},
      }
    )
  )


if __name__ == "__main__":
  main()
