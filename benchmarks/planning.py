"""Time that `--dry_run` predicts, compared with the time that the launch takes.

    python benchmarks/planning.py [--settings=plain,recording,own,photos]
        [--rounds=3]

For each setting in turn: a dry run in a directory that does not exist yet, then
the same launch. Each round gives one ratio, predicted / real; 1 is a perfect
prediction. Settings: two sizes on digits; recording for all proxies; a model of
one's own; ResNet-18 on images of 64 pixels, whose steps are timed in part. The
time to the first line of a dry run and to its end is printed too.
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

UNITS = {"days": 86400, "h": 3600, "min": 60, "s": 1}
DIGITS = ("--flagfile=digits.flags", "--report_images=none")
SETTINGS = {
  "plain": (
    *DIGITS,
    "--models=cifar_resnet-8,cifar_resnet-14",
    "--num_subsets=30",
  ),
  "recording": (
    *DIGITS,
    "--models=cifar_resnet-8",
    "--num_subsets=10",
    "--proxies=all",
    "--proxy_runs=4",
  ),
  "own": (
    *DIGITS,
    "--models=my_models.py:small",
    "--num_subsets=40",
    "--epochs=30",
  ),
  "photos": (
    "--dataset=npz:photos.npz",
    "--models=resnet-18",
    "--num_subsets=2",
    "--epochs=2",
    "--batch_size=64",
  ),
}
MODEL = """
import keras


def small(image_shape, num_classes):
  layers = [keras.Input(image_shape)]
  for filters in (32, 32, 64):
    layers.append(keras.layers.Conv2D(filters, 3, padding="same"))
    layers.append(keras.layers.BatchNormalization(momentum=0.9))
    layers.append(keras.layers.ReLU())
  layers += [keras.layers.Flatten(), keras.layers.Dense(num_classes)]
  return keras.Sequential(layers)
"""


def launch(folder: pathlib.Path, *options: str) -> tuple[list[float], str]:
  """Seconds to the first and to the last line, and the output."""
  started = time.perf_counter()
  process = subprocess.Popen(
    [sys.executable, "-m", "memo_tf.launch", *options],
    cwd=folder,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  lines = [process.stdout.readline()]
  first = time.perf_counter() - started
  lines += process.stdout.readlines()
  if process.wait():
    raise SystemExit(f"A launch failed: {options}")
  return [first, time.perf_counter() - started], "".join(lines)


def predicted(text: str) -> float:
  """Seconds in `runs pending on 2 workers: about 1 min 5 s, ...`."""
  words = re.search(r"runs pending on .*?: about (.*?)(?:,|$)", text, re.M)
  parts = re.findall(r"([\d.]+) (days|h|min|s)\b", words.group(1))
  return sum(float(number) * UNITS[unit] for number, unit in parts)


def prepare(folder: pathlib.Path) -> None:
  """Writes the files that the settings name."""
  (folder / "my_models.py").write_text(MODEL)
  rng = np.random.default_rng(0)
  shape = (64, 64, 3)
  np.savez(
    folder / "photos.npz",
    train_images=rng.integers(0, 256, (800, *shape), np.uint8),
    train_labels=np.arange(800) % 4,
    test_images=rng.integers(0, 256, (100, *shape), np.uint8),
    test_labels=np.arange(100) % 4,
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--settings", default=",".join(SETTINGS))
  parser.add_argument("--rounds", type=int, default=3)
  arguments = parser.parse_args()
  ratios = {name: [] for name in arguments.settings.split(",")}
  for _ in range(arguments.rounds):
    for name, found in ratios.items():
      with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        prepare(folder)
        options = (*SETTINGS[name], "--experiment_dir=study")
        seconds, text = launch(folder, *options, "--dry_run")
        guess = predicted(text)
        (_, real), _ = launch(folder, *options)
      found.append(guess / real)
      print(
        f"{name}: {guess:.0f} s predicted after {seconds[1]:.0f} s (first line "
        f"after {seconds[0]:.1f} s), {real:.1f} s real",
        file=sys.stderr,
        flush=True,
      )
  extremes = {
    name: [min(found), float(np.median(found)), max(found)]
    for name, found in ratios.items()
  }
  print(json.dumps({"benchmark": "planning", "ratios": extremes}))


if __name__ == "__main__":
  main()
