"""Products of two matrices, for training.py: the limit of the machine."""

import argparse
import time

import numpy as np
import pairing
import tensorflow as tf

SIZE = 1536  # large enough to be limited by caches, not by memory


def main() -> None:
  parser = argparse.ArgumentParser()
  for name in ("threads", "depth", "size", "channels", "kind"):
    parser.add_argument(f"--{name}")
  parser.add_argument("--precision", default="float32")
  arguments = parser.parse_args()
  threads = int(arguments.threads)
  tf.config.threading.set_intra_op_parallelism_threads(threads)
  tf.config.threading.set_inter_op_parallelism_threads(threads)
  values = np.random.default_rng(0).standard_normal((SIZE, SIZE))
  matrix = tf.constant(values, arguments.precision)
  giga = 2 * SIZE**3 / 1e9

  def work(seconds: float) -> tuple[float, float]:
    """Billions of floating-point operations, and seconds."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
      tf.matmul(matrix, matrix)
      count += 1
    return count * giga, time.perf_counter() - started

  pairing.serve(work)


if __name__ == "__main__":
  main()
