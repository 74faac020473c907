"""Memorization and influence at published scale, against one dense product.

    python benchmarks/estimators.py [--runs=4000] [--train=50000] [--test=10000]

Simulates correctness of M runs (CIFAR-100's published scale by default, 100
classes) and times, one after the other: all memorization scores with all
same-class pairs; all pairs of any class; one dense float32 product [N, M] x
[M, T]. Values are times divided by the product's; below 1 is faster. `--growth`
repeats this with each of M, N and T halved. Memory is the peak of the process
before the dense product, so that the product's arrays do not count.
"""

import argparse
import json
import resource
import sys
import time

import numpy as np

from memo_tf.estimators import influence
from memo_tf.estimators import memorization


def simulate(runs: int, train: int, test: int):
  """(correct [M, N], test_correct [M, T], in_mask [M, N], both labels)."""
  rng = np.random.default_rng(0)
  in_mask = np.empty((runs, train), bool)
  correct = np.empty((runs, train), bool)
  test_correct = np.empty((runs, test), bool)
  held_out = rng.beta(0.7, 0.5, train).astype(np.float32)
  chance = rng.beta(0.9, 0.4, test).astype(np.float32)
  for m in range(runs):
    in_mask[m] = rng.random(train, np.float32) < 0.7
    correct[m] = in_mask[m] | (rng.random(train, np.float32) < held_out)
    test_correct[m] = rng.random(test, np.float32) < chance
  labels = np.arange(train) % 100, np.arange(test) % 100
  return correct, test_correct, in_mask, *labels


def seconds(work) -> float:
  started = time.perf_counter()
  work()
  return time.perf_counter() - started


def measure(runs: int, train: int, test: int) -> dict:
  """Seconds of each way, and the peak memory in GB of ours."""
  correct, test_correct, in_mask, train_labels, test_labels = simulate(
    runs, train, test
  )
  scores = memorization.memorization_scores(correct, in_mask)

  def same_class():
    found = memorization.memorization_scores(correct, in_mask)
    influence.influential_pairs(
      test_correct,
      in_mask,
      memorization=found.memorization,
      train_labels=train_labels,
      test_labels=test_labels,
    )

  def any_class():
    influence.influential_pairs(
      test_correct,
      in_mask,
      memorization=scores.memorization,
      min_memorization=None,
    )

  found = {"same_class": seconds(same_class), "any_class": seconds(any_class)}
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  left = np.ascontiguousarray(in_mask.T, np.float32)
  right = test_correct.astype(np.float32)
  found["product"] = seconds(lambda: left @ right)
  return found | {"peak_gb": round(peak, 2)}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--runs", type=int, default=4000)
  parser.add_argument("--train", type=int, default=50_000)
  parser.add_argument("--test", type=int, default=10_000)
  parser.add_argument("--growth", action="store_true")
  arguments = parser.parse_args()
  size = (arguments.runs, arguments.train, arguments.test)
  sizes = [size]
  if arguments.growth:
    sizes = [
      tuple(s // 2 if i == axis else s for i, s in enumerate(size))
      for axis in range(3)
    ] + sizes
  ratios, rows = {}, []
  for m, n, t in sizes:
    found = measure(m, n, t)
    name = f"M={m} N={n} T={t}"
    for way in ("same_class", "any_class"):
      ratios[f"{way}, {name}"] = round(found[way] / found["product"], 3)
    rows.append({"size": name, **found})
    print(
      f"{name}: memorization and same-class pairs {found['same_class']:.2f} s, "
      f"pairs of any class {found['any_class']:.2f} s, dense product "
      f"{found['product']:.2f} s, peak {found['peak_gb']} GB",
      file=sys.stderr,
      flush=True,
    )
  print(
    json.dumps(
      {
        "benchmark": "estimators (time / one product, below 1 is faster)",
        "ratios": {},
        "values": ratios,
        "rows": rows,
      }
    )
  )


if __name__ == "__main__":
  main()
