"""Images per second in training on all cores, against Keras and PyTorch.

    python benchmarks/training.py [--depth=8] [--size=32] [--channels=3]
                                  [--precision=float32]

The same network (a CIFAR ResNet of this depth, shortcut A), batch 128, SGD with
Nesterov momentum and weight decay, random images. Ours is the study's own
Trainer in one process of one thread per core. Keras and PyTorch run in their
usual way (one process with all cores) and in every faster way we know. PyTorch
needs `benchmarks/requirements.txt`; without it, only Keras is compared.

A last contender multiplies matrices, in as many processes as ours: the limit of
the machine. Our share of its rate counts only the multiplications and additions
of convolutions and of the last layer.
"""

import argparse
import importlib.util
import os
import pathlib
import sys

import pairing

from memo_tf.processes import environment as environment_lib

FOLDER = pathlib.Path(__file__).resolve().parent
PRODUCT = "matrix product"


def contender(
  name: str, script: str, processes: int, options: dict, kind: str
) -> pairing.Contender:
  """A contender that divides the cores between its processes."""
  cores = len(os.sched_getaffinity(0))
  threads = max(1, cores // processes)
  environment = {
    "OMP_NUM_THREADS": str(threads),
    "TF_NUM_INTRAOP_THREADS": str(threads),
    "TF_NUM_INTEROP_THREADS": str(threads),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONPATH": str(FOLDER.parent),
  }
  if processes > 1:  # every faster way gets our allocator settings
    settings = environment_lib.environment(threads)
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
  """Floating-point operations of a training step, per image.

  The forward pass, the gradients of the kernels and (except for the first
  layer) those of the inputs each take the same number of operations.
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
    print(
      "PyTorch is not installed: comparing with Keras only", file=sys.stderr
    )
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
      f"the machine multiplies matrices at {product['rate']:.0f} Gflop/s; "
      f"a step reaches {share[1]:.2f} [{share[0]:.2f}, {share[2]:.2f}] of that"
    )
  shape = f"{arguments.size}x{arguments.size}x{arguments.channels}"
  name = f"training/cifar_resnet-{arguments.depth}/{shape}"
  if arguments.precision != "float32":
    name += f"/{arguments.precision}"
  pairing.report(name, found, "images/s", extra=extra)


if __name__ == "__main__":
  main()
