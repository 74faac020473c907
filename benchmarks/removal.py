"""Errors of the comparisons of removal, in simulation; not a timing.

    PYTHONPATH=. python benchmarks/removal.py --studies=2000

1. Nothing depends on what is left out: how often intervals exclude 0, for test
   examples that are all alike, that differ, and with repeats that differ. The
   power at the difference that is said to be detectable.
2. Pairs are chosen, and their effect is measured, from the same runs or from
   new ones, although no training example influences any test example.

The last line is JSON.
"""

import argparse
import json

import numpy as np

from memo_tf.analysis import removal
from memo_tf.estimators import influence
from memo_tf.experiment import subsets

LAWS = ("alike", "differing", "differing repeats")


def outcomes(
  law: str, repeats: int, tests: int, drop: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """bool `[R, T]` of a control and an arm, whose accuracy is lower by `drop`.

  Test examples that differ are right with probabilities from Beta(3, 0.4); a
  repeat that differs shifts those of both arms, as shared initial weights do.
  """
  chance = np.full(tests, 0.9)
  if law != "alike":
    chance = rng.beta(3, 0.4, tests)
  shift = np.zeros((repeats, 1))
  if law == "differing repeats":
    shift = 0.02 * rng.standard_normal((repeats, 1))
  both = []
  for lower in (0.0, drop):
    right = np.clip(chance + shift - lower, 0, 1)
    both.append(rng.random((repeats, tests)) < right)
  return both[0], both[1]


def errors(law: str, repeats: int, tests: int, studies: int) -> dict:
  """Shares of studies whose interval excludes 0, without and with an effect."""
  rng = np.random.default_rng(repeats + tests)
  found = [
    removal.paired_difference(*outcomes(law, repeats, tests, 0.0, rng))
    for _ in range(studies)
  ]
  low, high = (
    np.array([getattr(f, name) for f in found])
    for name in ("ci_low", "ci_high")
  )
  detectable = float(np.mean([f.detectable for f in found]))
  with_effect = [
    removal.paired_difference(*outcomes(law, repeats, tests, detectable, rng))
    for _ in range(studies if law == "alike" else 0)
  ]
  return {
    "law": law,
    "repeats": repeats,
    "tests": tests,
    "excludes_0": float(((low > 0) | (high < 0)).mean()),
    "detectable": detectable,
    "power": float(np.mean([f.ci_low > 0 for f in with_effect]))
    if with_effect
    else None,
  }


def same_runs(studies: int, num_runs: int = 200) -> dict:
  """The effect of chosen pairs, by the runs that chose them and by new ones."""
  num_train, num_test = 300, 200
  same, fresh, counts = [], [], []
  for seed in range(studies):
    rng = np.random.default_rng(seed)
    chance = rng.beta(3, 0.4, num_test)
    halves = []
    for part in range(2):
      in_mask = subsets.in_masks(num_train, num_runs, 0.7, seed=2 * seed + part)
      right = rng.random((num_runs, num_test)) < chance
      halves.append((right, in_mask))
    pairs = influence.influential_pairs(*halves[0], min_influence=0.15)
    counts.append(len(pairs))
    for (right, in_mask), into in zip(halves, (same, fresh)):
      effect = influence.influence_scores(right, in_mask).influence
      into.append(effect[pairs.test_ids, pairs.train_ids].mean())
  return {
    "runs": num_runs,
    "pairs": float(np.mean(counts)),
    "effect_by_the_same_runs": float(np.mean(same)),
    "effect_by_new_runs": float(np.mean(fresh)),
    "sd_by_new_runs": float(np.std(fresh)),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=2000)
  arguments = parser.parse_args()
  rows = []
  for law in LAWS:
    for repeats, tests in ((5, 300), (20, 300), (20, 2000)):
      rows.append(errors(law, repeats, tests, arguments.studies))
      print(rows[-1], flush=True)
  bias = same_runs(max(1, arguments.studies // 100))
  print(bias)
  print(json.dumps({"benchmark": "removal", "errors": rows, "bias": bias}))


if __name__ == "__main__":
  main()
