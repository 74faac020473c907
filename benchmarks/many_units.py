"""Cost of planning, checking and showing a study of very many runs.

    python benchmarks/many_units.py [--counts=1000,10000,100000] [--rounds=3]

Writes studies of so many units, nine out of ten finished (run folders with
small files; no model is trained), and runs on each, as separate programs:
`memo_tf.status`; a launch's search for pending units, with its waves; and the
progress line that a launch prints after each run. Prints the minimum of the
seconds and the maximum of the memory over the rounds, and the seconds per unit
without the start of the program. If the cost per unit is constant, so is that
number.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from memo_tf.experiment import config_rules
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import files

NUM_TRAIN = 1500
ROOT = pathlib.Path(__file__).resolve().parents[1]
MODELS = (
  "cifar_resnet-8,cifar_resnet-14,cifar_resnet-20,cifar_resnet-32,"
  "cifar_resnet-44"
)
RECIPES = "one_hot,distilled-cifar_resnet-44-t3"
# What a launch does before it starts the first unit.
PENDING = """
import sys
from memo_tf.experiment import plan as plan_lib
from memo_tf.store import directory, opening, survey, time_left
from memo_tf.running import planning, progress
study = directory.StudyDirectory(sys.argv[1])
plan = plan_lib.Plan.of(opening.recorded_config(study))
found = survey.survey(study, plan)
planning.check_requirements(study, plan, found.pending)
waves = plan.waves(found.pending)
known = time_left.seconds_a_run(found.done)
shown = progress.Progress(plan, found.pending, known, 2)
for unit in found.pending[:1000]:
  shown.done(unit, 1.0)
print(len(found.done), len(found.pending), [len(wave) for wave in waves])
"""


def make_study(folder: pathlib.Path, count: int) -> int:
  """Writes a study of about `count` units, nine out of ten finished."""
  sys.path.insert(0, str(ROOT))
  from memo_tf.experiment import config as config_lib
  from memo_tf.experiment import subsets as subsets_lib
  from memo_tf.store import directory as directory_lib
  from memo_tf.store import opening
  from memo_tf.store import sealed

  kinds = len(MODELS.split(",")) * len(RECIPES.split(","))
  config = config_rules.validated(
    config_lib.StudyConfig(
      subsets=settings_lib.SubsetsConfig(num_subsets=max(2, count // kinds)),
      models=settings_lib.ModelsConfig(
        models=tuple(MODELS.split(",")), recipes=tuple(RECIPES.split(","))
      ),
    )
  )
  directory = directory_lib.StudyDirectory(folder)
  folder.mkdir()
  opening.write_settings(directory, config)
  directory.dataset_dir.mkdir()
  version = config_lib.FORMAT_VERSION
  info = {
    "format_version": version,
    "num_train": NUM_TRAIN,
    "num_test": 297,
    "num_classes": 2,
    "class_names": ["a", "b"],
    "image_shape": [8, 8, 1],
    "max_pixel": 255,
    "normalization": {"mean": [0.0], "std": [1.0]},
    "digest": "d" * 32,
    "files": {},
  }
  (directory.dataset_dir / "info.json").write_text(sealed.dumps(info))
  plan = plan_lib.Plan.of(config)
  wanted = plan.wanted
  (family,) = config.family_names()
  masks = subsets_lib.parse_family(family).in_mask(
    NUM_TRAIN, config.subsets.num_subsets, config.running.seed
  )
  path = directory.in_mask_path(family)
  path.parent.mkdir()
  np.save(path, masks)
  content = b"x" * 512  # never read
  digest = files.digest_bytes(content)
  record = {
    "format_version": version,
    "seed": config.running.seed,
    "threads": config.running.threads_per_unit,
    "dataset_digest": info["digest"],
    "recipe": {f"setting_{i}": 0.1 for i in range(20)},
    "versions": {"tensorflow": "2.21.0", "keras": "3.15.0", "numpy": "2.3"},
    "machine": {"host": "made-up", "cpu": "made-up", "gpu": ""},
    "parameters": 78_042,
    "in_accuracy": 0.9,
    "out_accuracy": 0.8,
    "test_accuracy": 0.8,
    "resumed_after_epoch": 0,
    "seconds": {"training": 10.0, "evaluation": 1.0, "total": 12.0},
  }
  for index, unit in enumerate(wanted):
    if index % 10 == 9:
      continue
    run = directory.run_dir(unit)
    run.mkdir(parents=True)
    outputs = {}
    for name in sorted(wanted[unit]):
      (run / name).write_bytes(content)
      outputs[name] = {
        "bytes": len(content),
        "digest": digest,
        "mtime_ns": os.stat(run / name).st_mtime_ns,
      }
    about = record | {
      "unit": unit.name,
      "recipe_digest": plan.recipes[unit.recipe].digest(),
      "subset_digest": files.digest_bytes(np.packbits(masks[unit.index])),
      "outputs": outputs,
    }
    (run / "run.json").write_text(sealed.dumps(about))
  return len(wanted)


def measure(arguments: list[str]) -> tuple[float, float, str]:
  """Seconds and peak memory in MB of a program, and what it printed."""
  started = time.perf_counter()
  process = subprocess.Popen(
    [sys.executable, *arguments],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env={**os.environ, "PYTHONPATH": str(ROOT)},
  )
  printed = process.stdout.read()
  errors = process.stderr.read()
  _, status, usage = os.wait4(process.pid, 0)
  if status:
    raise RuntimeError(errors or printed)
  return time.perf_counter() - started, usage.ru_maxrss / 1024, printed


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--counts", default="1000,10000,100000")
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--dir", default=None, help="folder for the studies")
  arguments = parser.parse_args()
  programs = {
    "status": ["-m", "memo_tf.status", "--experiment_dir"],
    "pending": ["-c", PENDING],
  }
  found: dict[str, dict] = {name: {} for name in programs}
  for count in map(int, arguments.counts.split(",")):
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
      study = pathlib.Path(folder) / "study"
      num_units = make_study(study, count)
      for name, program in programs.items():
        rounds = [
          measure([*program, str(study)]) for _ in range(arguments.rounds)
        ]
        seconds = min(taken for taken, _, _ in rounds)
        megabytes = max(memory for _, memory, _ in rounds)
        found[name][num_units] = (seconds, megabytes)
        print(
          f"{name:8} {num_units:7} units: {seconds:6.2f} s, "
          f"{megabytes:4.0f} MB",
          flush=True,
        )
  growth = {}
  for name, rows in found.items():
    sizes = sorted(rows)
    growth[name] = {
      f"{small} to {large}": 1e6
      * (rows[large][0] - rows[small][0])
      / (large - small)
      for small, large in zip(sizes, sizes[1:])
    }
    for span, cost in growth[name].items():
      print(f"{name:8} {span} units: {cost:.0f} us per further unit")
  print(
    json.dumps(
      {
        "benchmark": "many_units",
        "seconds and MB": found,
        "microseconds per further unit": growth,
        "own peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        // 1024,
      }
    )
  )


if __name__ == "__main__":
  main()
