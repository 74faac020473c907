"""Images a second in training on the whole machine, against Keras and PyTorch.

    python benchmarks/training.py [--depth=8] [--size=32] [--channels=3]

The same network (a CIFAR ResNet of this depth, shortcut A), batch 128, SGD with
Nesterov momentum and weight decay, random images. Ours: the study's own
Trainer in one process of one thread for each core. Keras and PyTorch in their
usual way (one process with all cores) and in every better way we know. PyTorch
needs `benchmarks/requirements.txt`; without it only Keras is compared.
"""

import argparse
import importlib.util
import os
import pathlib
import sys

import pairing

from memo_tf.running import worker_pool

FOLDER = pathlib.Path(__file__).resolve().parent


def contender(name, script, processes, options, kind):
  """A contender that shares the cores among its processes."""
  cores = len(os.sched_getaffinity(0))
  threads = max(1, cores // processes)
  environment = {
    "OMP_NUM_THREADS": str(threads),
    "TF_NUM_INTRAOP_THREADS": str(threads),
    "TF_NUM_INTEROP_THREADS": str(threads),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONPATH": str(FOLDER.parent),
  }
  if processes > 1:  # every better way gets the allocator settings of ours
    settings = worker_pool.environment(threads)
    environment |= {k: v for k, v in settings.items() if k.startswith("MALLOC")}
  command = [
    sys.executable,
    str(FOLDER / script),
    f"--threads={threads}",
    f"--kind={kind}",
    *(f"--{k}={v}" for k, v in options.items()),
  ]
  shape = f"{processes} x {threads} thread{'s' if threads > 1 else ''}"
  return pairing.Contender(f"{name}, {shape}", command, processes, environment)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--depth", type=int, default=8)
  parser.add_argument("--size", type=int, default=32)
  parser.add_argument("--channels", type=int, default=3)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--seconds", type=float, default=2.0)
  arguments = parser.parse_args()
  cores = len(os.sched_getaffinity(0))
  options = {
    name: getattr(arguments, name) for name in ("depth", "size", "channels")
  }
  keras_script, torch_script = "contender_keras.py", "contender_torch.py"
  peers = [
    contender("Keras fit, usual", keras_script, 1, options, "usual"),
    contender(
      "Keras fit, steps_per_execution", keras_script, 1, options, "steps"
    ),
    contender("Keras fit", keras_script, cores, options, "usual"),
    contender(
      "Keras fit, steps_per_execution", keras_script, cores, options, "steps"
    ),
  ]
  if importlib.util.find_spec("torch"):
    peers += [
      contender(f"PyTorch {kind}", torch_script, processes, options, kind)
      for kind in ("eager", "compiled")
      for processes in (1, cores)
    ]
  else:
    print("PyTorch is not installed: compared with Keras only", file=sys.stderr)
  ours = contender("memo_tf", "contender_memo_tf.py", cores, options, "usual")
  found = pairing.compare(
    ours, peers, rounds=arguments.rounds, seconds=arguments.seconds
  )
  shape = f"{arguments.size}x{arguments.size}x{arguments.channels}"
  pairing.report(
    f"training/cifar_resnet-{arguments.depth}/{shape}", found, "images/s"
  )


if __name__ == "__main__":
  main()
