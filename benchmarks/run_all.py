"""Runs every benchmark and prints one table of their claims.

    python benchmarks/run_all.py [--output_dir=DIR] [--rounds=15]

Takes about 2.5 hours on 2 otherwise idle cores. With `--output_dir`, the output
of each benchmark is kept there, benchmarks whose output exists are not run
again, and `benchmarks/charts.py` can draw from it. Install the peers with
`benchmarks/requirements.txt`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
PAIRED = {
  "training-8": ("training.py", "--depth=8", "--seconds=1.5"),
  "training-20": ("training.py", "--depth=20", "--seconds=1.5"),
  "training-56": ("training.py", "--depth=56", "--seconds=2"),
  "training-8-bfloat16": (
    "training.py",
    "--depth=8",
    "--seconds=1.5",
    "--precision=bfloat16",
  ),
  "study": ("study.py",),
  "streaming": ("streaming.py",),
  "distillation": ("distillation.py",),
  "prediction-depth": ("prediction_depth.py",),
}
OTHERS = {
  "planning": ("planning.py",),
  "overhead": ("overhead.py",),
  "memory": ("memory.py",),
  "growth-throughput": ("growth.py", "--part=throughput"),
  "growth-subsets": ("growth.py", "--part=subsets"),
  "growth-examples": ("growth.py", "--part=examples"),
  "growth-workers": ("growth.py", "--part=workers"),
  "distillation-findings": ("distillation_findings.py",),
  "estimators": ("estimators.py", "--growth"),
  "scoring": ("scoring.py",),
  "explorer": ("explorer.py",),
}


def run(name: str, command: tuple[str, ...], output: pathlib.Path) -> bool:
  """Runs one unless its output exists; returns whether it exists now."""
  if output.exists():
    return True
  print(f"{name}: {' '.join(command)}", file=sys.stderr, flush=True)
  done = subprocess.run(
    [sys.executable, str(FOLDER / command[0]), *command[1:]],
    env={**os.environ, "PYTHONPATH": str(FOLDER.parent)},
    stdout=subprocess.PIPE,
    text=True,
    check=False,
  )
  if done.returncode:
    return False
  output.write_text(done.stdout)
  return True


def result(output: pathlib.Path) -> dict:
  """The JSON of the last line of a benchmark's output."""
  return json.loads(output.read_text().strip().splitlines()[-1])


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--output_dir")
  parser.add_argument("--rounds", type=int, default=15)
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(arguments.output_dir or temporary)
    folder.mkdir(parents=True, exist_ok=True)
    commands = {
      name: (*command, f"--rounds={arguments.rounds}")
      for name, command in PAIRED.items()
    } | OTHERS
    broken = [
      name
      for name, command in commands.items()
      if not run(name, command, folder / f"{name}.txt")
    ]
    results = [
      result(folder / f"{name}.txt") for name in commands if name not in broken
    ]
  print(f"{'benchmark':40} {'what':46} {'low':>6} {'median':>7} {'high':>6}")
  for found in results:
    rows = dict(found["ratios"])
    if "share_of_matrix_product" in found:
      rows["share of the matrix product's rate"] = found[
        "share_of_matrix_product"
      ]
    for name, (low, median, high) in rows.items():
      print(
        f"{found['benchmark']:40} {name:46} "
        f"{low:6.2f} {median:7.2f} {high:6.2f}"
      )
    single = {k: found[k] for k in ("outside_training", "values") if k in found}
    for name, value in single.items():
      print(f"{found['benchmark']:40} {name}: {json.dumps(value)}")
  if broken:
    sys.exit(f"failed: {', '.join(broken)}")


if __name__ == "__main__":
  main()
