"""Runs every benchmark and prints one table of what each claims.

    python benchmarks/run_all.py [--rounds=15]

Takes about an hour on 2 cores. `benchmarks/requirements.txt` installs the peers.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
SCRIPTS = (
  ("training.py", "--depth=8"),
  ("training.py", "--depth=20"),
  ("training.py", "--depth=56"),
  ("study.py",),
)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=15)
  arguments = parser.parse_args()
  environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
  rows, broken = [], []
  for script, *options in SCRIPTS:
    command = [sys.executable, str(FOLDER / script), *options]
    command.append(f"--rounds={arguments.rounds}")
    print(" ".join([script, *options]), file=sys.stderr, flush=True)
    done = subprocess.run(
      command, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
      broken.append(script)
      continue
    found = json.loads(done.stdout.strip().splitlines()[-1])
    for peer, ratio in found["ratios"].items():
      rows.append((found["benchmark"], peer, *ratio))
  print(f"{'benchmark':36} {'peer':46} {'low':>6} {'median':>7} {'high':>6}")
  for benchmark, peer, low, median, high in rows:
    print(f"{benchmark:36} {peer:46} {low:6.2f} {median:7.2f} {high:6.2f}")
  if broken:
    sys.exit(f"failed: {', '.join(broken)}")


if __name__ == "__main__":
  main()
