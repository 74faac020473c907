"""Cost of recording in a run, compared with the same run without recording.

    python benchmarks/recording.py [--rounds=15] [--seconds=4] [--size=8]

Whole runs of cifar_resnet-8 on digits (`--size=32`: on random 32x32x3 images),
in one process of one thread, by `run_unit` with everything that a study does.
Slices of plain runs are interleaved with slices of runs that record dynamics on
clean images after every epoch, or in the training batch. A ratio is the plain
rate over the recording rate, that is, the factor by which recording multiplies
the time of a run. Further contenders record the outputs that are computed from
weights at five checkpoints, from representations, and from a second training on
the held-out examples. "score epochs" is `--score_epochs` of three epochs before
the last, as every run of a study has it (alone: `--kinds="score epochs"`).
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import pairing

from memo_tf.experiment import config_rules
from memo_tf.experiment import settings as settings_lib

FOLDER = pathlib.Path(__file__).resolve().parent
SCORED = "score epochs"
KINDS = {
  "clean dynamics": "cumulative_probability",
  "batch dynamics": "forgetting_events",
  "GraNd": "grand",
  "loss sensitivity": "loss_sensitivity",
  "VoG": "variance_of_gradients",
  "curvature": "curvature",
  "prediction depth": "prediction_depth",
  "second split": "second_split_forgetting",
  "holdout retraining": "holdout_retraining",
  SCORED: "",
}


def contend(arguments: argparse.Namespace) -> None:
  """Runs units, slice by slice, as one contender."""
  import numpy as np
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  from memo_tf.data.sources import load
  from memo_tf.data.stored import writer
  from memo_tf.experiment import config as config_lib
  from memo_tf.experiment import recipes
  from memo_tf.experiment import run_outputs
  from memo_tf.experiment import score_epochs
  from memo_tf.experiment import subsets
  from memo_tf.experiment import work_units
  from memo_tf.running.unit import run
  from memo_tf.running.unit import session as session_lib
  from memo_tf.store import directory as directory_lib

  with tempfile.TemporaryDirectory() as folder:
    dataset = "digits"
    if arguments.size != 8:
      rng = np.random.default_rng(0)
      shape = (arguments.size, arguments.size, 3)
      parts = {}
      for split, count in (("train", 2000), ("test", 200)):
        images = rng.integers(0, 256, (count, *shape))
        parts[f"{split}_images"] = images.astype(np.uint8)
        parts[f"{split}_labels"] = np.arange(count) % 10
      np.savez(pathlib.Path(folder, "random.npz"), **parts)
      dataset = f"npz:{folder}/random.npz"
    proxies = (arguments.proxy,) if arguments.proxy else ()
    quarters = {arguments.epochs * k // 4 for k in (1, 2, 3)} - {0}
    scored = tuple(sorted(quarters)) if arguments.scored else ()
    config = config_rules.validated(
      config_lib.StudyConfig(
        data=settings_lib.DataConfig(dataset=dataset, find_duplicates="off"),
        training=settings_lib.TrainingConfig(epochs=arguments.epochs),
        subsets=settings_lib.SubsetsConfig(num_subsets=10_000),
        outputs=settings_lib.OutputsConfig(score_epochs=scored),
        proxies=settings_lib.ProxiesConfig(proxies=proxies, proxy_runs=10_000),
      )
    )
    directory = directory_lib.StudyDirectory(f"{folder}/study")
    data = load.load(config.data, 0)
    writer.write_dataset(data, config, directory)
    masks = subsets.parse_family("r0.70").in_mask(
      len(data.train_labels), 100, 0
    )
    directory.in_mask_path("r0.70").parent.mkdir()
    np.save(directory.in_mask_path("r0.70"), np.tile(masks, (100, 1)))
    session = session_lib.Session(config, directory)
    outputs = {"predictions.parquet", "history.jsonl"} | run_outputs.outputs(
      config
    )
    outputs |= score_epochs.outputs(
      scored, recipes.parse("one_hot", config.training)
    )
    number = [0]

    def work(seconds: float) -> tuple[int, float]:
      count, started = 0, time.perf_counter()
      while not count or time.perf_counter() - started < seconds:
        unit = work_units.WorkUnit(
          "cifar_resnet-8", "one_hot", "r0.70", number[0]
        )
        run.run_unit(session, unit, frozenset(outputs))
        number[0] += 1
        count += 1
      return count, time.perf_counter() - started

    pairing.serve(work)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--seconds", type=float, default=4.0)
  parser.add_argument("--size", type=int, default=8)
  parser.add_argument("--epochs", type=int, default=20)
  parser.add_argument("--kinds", default=",".join(KINDS))
  parser.add_argument("--contend", action="store_true")
  parser.add_argument("--proxy", default="")
  parser.add_argument("--scored", action="store_true")
  arguments = parser.parse_args()
  if arguments.contend:
    contend(arguments)
    return

  def contender(name: str, proxy: str) -> pairing.Contender:
    command = [
      sys.executable,
      str(FOLDER / "recording.py"),
      "--contend",
      f"--size={arguments.size}",
      f"--epochs={arguments.epochs}",
      f"--proxy={proxy}",
      *(["--scored"] if name == SCORED else []),
    ]
    environment = {
      "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), str(FOLDER)]),
      "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return pairing.Contender(name, command, 1, environment)

  peers = [contender(name, KINDS[name]) for name in arguments.kinds.split(",")]
  found = pairing.compare(
    contender("plain", ""),
    peers,
    rounds=arguments.rounds,
    seconds=arguments.seconds,
  )
  pairing.report(
    f"recording/{arguments.size}x{arguments.size}",
    found,
    "runs/h",
    scale=3600,
  )


if __name__ == "__main__":
  main()
