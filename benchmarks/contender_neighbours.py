"""Nearest neighbours of simulated features, for prediction_depth.py."""

import argparse
from collections.abc import Iterator
import time

import numpy as np
import pairing

from memo_tf.proxies import neighbours

QUERIES = 2048  # queries per call: enough for every peer to use its own blocks


def simulate(examples: int, width: int, seed: int) -> np.ndarray:
  """`[N, D]` float32 after a rectifier, in ten loose classes."""
  rng = np.random.default_rng(seed)
  centres = rng.standard_normal((10, width), np.float32)
  features = np.empty((examples, width), np.float32)
  for start in range(0, examples, 4096):
    part = features[start : start + 4096]
    classes = np.arange(start, start + len(part)) % 10
    part[:] = rng.standard_normal(part.shape, np.float32)
    part += 0.3 * centres[classes]
    np.maximum(part, 0, out=part)
  return features


def ours(features: np.ndarray, k: int) -> Iterator[int]:
  """memo_tf's exact neighbours; yields the number of examples done."""
  while True:
    # All examples in one call: each product serves both of its examples.
    yield sum(len(rows) for rows, _ in neighbours.nearest(features, k))


def product(features: np.ndarray, k: int) -> Iterator[int]:
  """All inner products in float32, the minimum that every peer computes."""
  del k
  found = np.empty((QUERIES, len(features)), np.float32)
  while True:
    for start in range(0, len(features), QUERIES):
      some = features[start : start + QUERIES]
      np.matmul(some, features.T, out=found[: len(some)])
      yield len(some)


def faiss(features: np.ndarray, k: int) -> Iterator[int]:
  """faiss's exact index."""
  import faiss as library

  index = library.IndexFlatL2(features.shape[1])
  index.add(features)
  while True:
    for start in range(0, len(features), QUERIES):
      some = features[start : start + QUERIES]
      index.search(some, k + 1)  # the query itself is found too
      yield len(some)


def scikit_learn(features: np.ndarray, k: int) -> Iterator[int]:
  """scikit-learn's brute-force search."""
  from sklearn import neighbors

  index = neighbors.NearestNeighbors(n_neighbors=k + 1, algorithm="brute")
  index.fit(features)
  while True:
    for start in range(0, len(features), QUERIES):
      some = features[start : start + QUERIES]
      index.kneighbors(some, return_distance=False)
      yield len(some)


WAYS = {
  "ours": ours,
  "product": product,
  "faiss": faiss,
  "scikit_learn": scikit_learn,
}


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("--way", choices=WAYS, required=True)
  for name in ("examples", "width", "neighbours"):
    parser.add_argument(f"--{name}", type=int, required=True)
  arguments = parser.parse_args()
  features = simulate(arguments.examples, arguments.width, 0)
  queries = WAYS[arguments.way](features, arguments.neighbours)

  def work(seconds: float) -> tuple[float, float]:
    """Number of examples whose neighbours were found, and seconds."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
      count += next(queries)
    return count, time.perf_counter() - started

  pairing.serve(work)


if __name__ == "__main__":
  main()
