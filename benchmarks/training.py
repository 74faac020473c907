"""Images a second in training on the whole machine, against Keras and PyTorch.

    python benchmarks/training.py [--depth=8] [--size=32] [--channels=3]
                                  [--precision=float32]

The same network (a CIFAR ResNet of this depth, shortcut A), batch 128, SGD with
Nesterov momentum and weight decay, random images. Ours: the study's own
Trainer in one process of one thread for each core. Keras and PyTorch in their
usual way (one process with all cores) and in every better way we know. PyTorch
needs `benchmarks/requirements.txt`; without it only Keras is compared.

A last contender multiplies matrices, in as many processes as ours: what the
machine can do at all. Our share of its rate counts the multiplications and
additions of convolutions and of the last layer only, so all else is loss.
"""

import argparse
import importlib.util
import os
import pathlib
import sys

import pairing

from memo_tf.running import worker_pool

FOLDER = pathlib.Path(__file__).resolve().parent
PRODUCT = "matrix product"


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


def operations(depth: int, size: int, channels: int) -> float:
  """Floating-point operations of one image's training step.

  Forward, towards the kernels, and (but for the first layer) towards the
  input: each the same number of multiplications and additions.
  """
  stem = size**2 * 9 * channels * 16
  rest, inside, side = 64 * 10, 16, size
  for stage, filters in enumerate((16, 32, 64)):
    for block in range((depth - 2) // 6):
      side = -(-side // 2) if stage and not block else side
      rest += side**2 * 9 * filters * (inside + filters)
      inside = filters
  return 2.0 * (2 * stem + 3 * rest)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--depth", type=int, default=8)
  parser.add_argument("--size", type=int, default=32)
  parser.add_argument("--channels", type=int, default=3)
  parser.add_argument("--precision", default="float32")
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--seconds", type=float, default=2.0)
  arguments = parser.parse_args()
  cores = len(os.sched_getaffinity(0))
  options = {
    name: getattr(arguments, name)
    for name in ("depth", "size", "channels", "precision")
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
  peers.append(
    contender(PRODUCT, "contender_product.py", cores, options, "usual")
  )
  ours = contender("memo_tf", "contender_memo_tf.py", cores, options, "usual")
  found = pairing.compare(
    ours, peers, rounds=arguments.rounds, seconds=arguments.seconds
  )
  product = found.pop(f"{PRODUCT}, {cores} x 1 thread", None)
  extra = {"images_per_second": round(next(iter(found.values()))["our_rate"])}
  if product:
    size, channels = arguments.size, arguments.channels
    work = operations(arguments.depth, size, channels) / 1e9
    share = pairing.interval(work * product["ratios"])
    extra["share_of_matrix_product"] = share
    print(
      f"the machine multiplies matrices at {product['rate']:.0f} Gflop/s; a step "
      f"runs at {share[1]:.2f} [{share[0]:.2f}, {share[2]:.2f}] of that"
    )
  shape = f"{arguments.size}x{arguments.size}x{arguments.channels}"
  name = f"training/cifar_resnet-{arguments.depth}/{shape}"
  if arguments.precision != "float32":
    name += f"/{arguments.precision}"
  pairing.report(name, found, "images/s", extra=extra)


if __name__ == "__main__":
  main()
