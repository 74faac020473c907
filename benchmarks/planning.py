"""Time that `--dry_run` predicts, compared with the time that the launch takes.

    python benchmarks/planning.py [--counts=20,40] [--rounds=7]

For each number of subsets in turn: a dry run in a directory that does not exist
yet, then the same launch, on digits.flags with two model sizes. Each round
gives one ratio, predicted / real, per number of subsets; 1 is a perfect
prediction.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import pairing

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODELS = "cifar_resnet-8,cifar_resnet-14"
UNITS = {"h": 3600, "min": 60, "s": 1}


def launch(folder: str, count: int, *options: str) -> tuple[float, str]:
  """Seconds from start to end, and the output."""
  started = time.perf_counter()
  done = subprocess.run(
    [
      sys.executable,
      "-m",
      "memo_tf.launch",
      "--flagfile=digits.flags",
      f"--models={MODELS}",
      f"--num_subsets={count}",
      f"--experiment_dir={folder}",
      *options,
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  return time.perf_counter() - started, done.stdout


def predicted(text: str) -> float:
  """Seconds in `runs pending on 2 workers: about 1 min 5 s, ...`."""
  words = re.search(r"runs pending on .*?: about (.*?)(?:,|$)", text, re.M)
  parts = re.findall(r"([\d.]+) (h|min|s)\b", words.group(1))
  return sum(float(number) * UNITS[unit] for number, unit in parts)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--counts", default="20,40")
  parser.add_argument("--rounds", type=int, default=7)
  arguments = parser.parse_args()
  counts = [int(count) for count in arguments.counts.split(",")]
  ratios = {count: [] for count in counts}
  for _ in range(arguments.rounds):
    for count in counts:
      with tempfile.TemporaryDirectory() as folder:
        study = f"{folder}/study"
        guess = predicted(launch(study, count, "--dry_run")[1])
        real = launch(study, count)[0]
      ratios[count].append(guess / real)
      print(
        f"{count} subsets: {guess:.0f} s predicted, {real:.1f} s real",
        file=sys.stderr,
        flush=True,
      )
  found = {}
  for count, values in ratios.items():
    low, median, high = pairing.interval(np.array(values))
    found[f"{count} subsets"] = [low, median, high]
    print(
      f"{count} subsets: predicted / real {median:.2f} [{low:.2f}, {high:.2f}],"
      f" each {np.round(values, 2).tolist()}"
    )
  print(json.dumps({"benchmark": "planning/predicted:real", "ratios": found}))


if __name__ == "__main__":
  main()
