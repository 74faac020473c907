"""Coverage of the block bootstrap's intervals, on simulated studies.

    PYTHONPATH=. python benchmarks/interval_coverage.py --studies=2000

A proxy's correlation with memorization from 4, 10 and 40 blocks of runs. An
interval covers if it holds the mean correlation over all studies; runs also
share noise that is in the direction of the proxy, so that the correlation
varies between studies. Not a timing. The last line is JSON.
"""

import argparse
import json

import numpy as np

from memo_tf.analysis import ranking
from memo_tf.analysis.proxies import measured
from memo_tf.estimators import resampling


def coverage(
  num_blocks: int, studies: int, *, num_examples: int = 200, ranked: bool
) -> dict:
  """Share of 95 % intervals that hold the expected correlation."""
  rng = np.random.default_rng(num_blocks)
  truth = rng.normal(size=num_examples)
  proxy = 0.6 * truth + 0.8 * rng.normal(size=num_examples)
  other = ranking.ranks(proxy[None]) if ranked else proxy[None]
  noise = 0.3 * np.sqrt(num_blocks)
  means, ends = [], []
  for seed in range(studies):
    blocks = truth + noise * (
      rng.normal(size=(num_blocks, num_examples))
      + 0.5 * rng.normal(size=(num_blocks, 1)) * proxy
    )
    drawn = resampling.paired_bootstrap(
      num_blocks, min_blocks=1, seed=seed, draw="indices"
    )
    scores = drawn.weights @ blocks / num_blocks
    found = measured.from_subset_runs(
      scores[0], scores[1:], num_blocks=drawn.num_blocks
    )
    rows = np.concatenate([found.values[None], found.replicates])
    values = ranking.pearson_rows(
      ranking.ranks(rows) if ranked else rows, other
    )
    means.append(values[0])
    ends.append(
      [
        resampling.interval(
          values[0], values[1:], num_drawn=count, bounds=(-1, 1)
        )
        for count in (found.num_drawn, None)
      ]
    )
  low, high = np.moveaxis(np.array(ends), -1, 0)
  held = (low <= np.mean(means)) & (np.mean(means) <= high)
  return {
    "num_blocks": num_blocks,
    "criterion": "spearman" if ranked else "pearson",
    "coverage": float(held[:, 0].mean()),
    "coverage_normal_quantile": float(held[:, 1].mean()),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=2000)
  arguments = parser.parse_args()
  rows = []
  for num_blocks in (4, 10, 40):
    for ranked in (False, True):
      rows.append(coverage(num_blocks, arguments.studies, ranked=ranked))
      print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
  print(json.dumps({"benchmark": "interval_coverage", "rows": rows}))


if __name__ == "__main__":
  main()
