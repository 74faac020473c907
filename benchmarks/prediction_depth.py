"""Exact neighbours for prediction depth, against libraries and bare products.

    python benchmarks/prediction_depth.py [--rounds=15] [--examples=50000]

Paired slices of exact k-nearest-neighbour search (k = 30) of one probe's
features, in examples per second, on the threads that the machine has: ours,
faiss's IndexFlatL2, scikit-learn's brute force, and the float32 products of all
examples with all, which both of these compute. A slice of ours is all examples
of a probe, as each of its products serves two. faiss sorts by float32
distances; ours is exact in float64.

Then one prediction depth of all examples from `--probes` (10) probes: its
seconds beside those of as many bare products (every probe agrees, so that none
of ours is saved), and its peak memory beyond the features. Takes about 40
minutes at the default size on 2 quiet cores.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

import contender_neighbours
import numpy as np
import pairing

from memo_tf.proxies import depth

FOLDER = pathlib.Path(__file__).resolve().parent
NEIGHBOURS = 30
PEERS = {
  "faiss": "faiss, IndexFlatL2",
  "scikit_learn": "scikit-learn, brute force",
  "product": "float32 products alone",
}


def contender(way: str, name: str, arguments) -> pairing.Contender:
  command = [
    sys.executable,
    str(FOLDER / "contender_neighbours.py"),
    f"--way={way}",
    f"--examples={arguments.examples}",
    f"--width={arguments.width}",
    f"--neighbours={NEIGHBOURS}",
  ]
  return pairing.Contender(name, command, 1, {})


def whole(arguments) -> dict:
  """Prediction depth of all examples; seconds, memory and the mean depth."""
  # All probes agree: the most work, as no example is decided early.
  labels = np.arange(arguments.examples) % 10
  probes = [
    contender_neighbours.simulate(arguments.examples, arguments.width, seed)
    for seed in range(arguments.probes)
  ]
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  started = time.perf_counter()
  found = depth.prediction_depth(
    representations=probes, labels=labels, predicted=labels
  )
  seconds = time.perf_counter() - started
  after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return {
    "seconds": round(seconds, 1),
    "peak_gb_beyond_features": round((after - before) / 2**20, 2),
    "mean_depth": round(float(found.mean()), 3),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--seconds", type=float, default=8)
  parser.add_argument("--examples", type=int, default=50_000)
  parser.add_argument("--width", type=int, default=1024)
  parser.add_argument("--probes", type=int, default=10)
  parser.add_argument("--whole", action="store_true", help="that part alone")
  arguments = parser.parse_args()
  if arguments.whole:
    print(json.dumps(whole(arguments)))
    return
  found = pairing.compare(
    contender("ours", "ours", arguments),
    [contender(way, name, arguments) for way, name in PEERS.items()],
    rounds=arguments.rounds,
    seconds=arguments.seconds,
  )
  # In a separate process, for its peak memory.
  depth_of_all = json.loads(
    subprocess.run(
      [
        sys.executable,
        __file__,
        "--whole",
        f"--examples={arguments.examples}",
        f"--width={arguments.width}",
        f"--probes={arguments.probes}",
      ],
      capture_output=True,
      text=True,
      check=True,
    ).stdout
  )
  rate = found[PEERS["product"]]["rate"]
  products = arguments.probes * arguments.examples / rate
  pairing.report(
    f"prediction_depth/N={arguments.examples} D={arguments.width}",
    found,
    "examples/s",
    extra={
      "values": depth_of_all | {"seconds_of_all_products": round(products, 1)},
    },
  )


if __name__ == "__main__":
  main()
