"""Whole runs of a small study per hour, against Keras and PyTorch.

    python benchmarks/study.py

A run: cifar_resnet-8 on the digits (8x8x1), a random 70 % of 1,500 images, 20
epochs at batch 128, then the predictions of all 1,797 images. Ours is
`run_unit` as the launcher's workers call it, including the files of the run, in
one process of one thread per core. Keras is the usual loop that builds,
compiles and fits a model for every subset. PyTorch builds the model once and
re-initializes it, in one process of one thread per core, its fastest way here,
eager and compiled. Start-up and first compilation are not counted for any
contender.
"""

import argparse
import importlib.util
import os

import pairing
import training


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--seconds", type=float, default=2.0)
  arguments = parser.parse_args()
  cores = len(os.sched_getaffinity(0))
  options = {"depth": 8, "size": 8, "channels": 1}

  def contender(
    name: str, script: str, processes: int, kind: str
  ) -> pairing.Contender:
    return training.contender(name, script, processes, options, kind)

  peers = [
    contender("Keras, rebuilt each run", "contender_keras.py", 1, "study"),
    contender("Keras, rebuilt each run", "contender_keras.py", cores, "study"),
  ]
  if importlib.util.find_spec("torch"):
    peers += [
      contender("PyTorch eager", "contender_torch.py", cores, "study-eager"),
      contender(
        "PyTorch compiled", "contender_torch.py", cores, "study-compiled"
      ),
    ]
  ours = contender("memo_tf", "contender_memo_tf.py", cores, "study")
  found = pairing.compare(
    ours, peers, rounds=arguments.rounds, seconds=arguments.seconds
  )
  pairing.report("study/cifar_resnet-8/8x8x1/20 epochs", found, "runs/h", 3600)


if __name__ == "__main__":
  main()
