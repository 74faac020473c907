"""Whether changes by shape class are right where the truth is known.

    python benchmarks/distillation_findings.py --studies=400

Simulated studies of two recipes on the same subsets. In the first the recipes
do not differ: how often the 95 % intervals of the change by shape class hold 0,
with classes from other runs than the change and, naively, from the same. In the
second one recipe's memorization is lower for examples with increasing
trajectories only: how often it is found that these fall more than the others
that change. Not a timing. The last line is JSON.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests.support import simulated_distillation as simulated  # noqa: E402

CORRELATIONS = (0.0, 0.5)
METHODS = {
  "cross_fitted": simulated.cross_fitted,
  "naive": simulated.naive,
}


def coverage(
  studies: int, num_examples: int, num_subsets: int, correlation: float
) -> dict:
  """Shares of intervals that hold the truth, by class, both ways.

  At the largest size, where a class that noise has filled is furthest off, and
  for the mean over sizes.
  """
  held: dict[str, list] = {name: [] for name in METHODS}
  contrasts: dict[str, list] = {name: [] for name in METHODS}
  for seed in range(studies):
    runs = simulated.simulate(
      num_examples=num_examples,
      num_subsets=num_subsets,
      run_correlation=correlation,
      seed=seed,
    )
    for name, method in METHODS.items():
      found, _ = method(runs)
      held[name].append([_holds_zero(found, place) for place in (-2, -1)])
      _, low, high, _ = found.contrast(simulated.INCREASING, simulated.OTHERS)
      contrasts[name].append(low <= 0 <= high)
  row: dict = {"num_subsets": num_subsets, "run_correlation": correlation}
  for name in METHODS:
    shares = np.nanmean(held[name], axis=0)
    for place, label in enumerate(("largest_size", "mean_over_sizes")):
      row[f"{name}_{label}"] = dict(
        zip(simulated.SETS, shares[place].round(4).tolist())
      )
      row[f"{name}_{label}_all"] = round(float(shares[place, :-1].mean()), 4)
    row[f"{name}_contrast"] = float(np.mean(contrasts[name]))
  return row


def _holds_zero(found, place: int) -> list[float]:
  """Of each set: whether its interval holds 0; NaN without one."""
  ends = [
    found.interval(found.values[:, place, k, 0])
    for k in range(len(found.names))
  ]
  return [
    float(low <= 0 <= high) if not np.isnan(low) else float("nan")
    for _, low, high in ends
  ]


def power(
  studies: int, num_examples: int, num_subsets: int, lowered: float
) -> dict:
  """How often a lowered increasing class is found."""
  shown, held = [], []
  for seed in range(studies):
    runs = simulated.simulate(
      num_examples=num_examples,
      num_subsets=num_subsets,
      lowered=lowered,
      seed=seed,
    )
    found, truth = simulated.cross_fitted(runs)
    _, low, high, _ = found.contrast(simulated.INCREASING, simulated.OTHERS)
    names = list(found.names)
    true = (
      truth[names.index(simulated.OTHERS)]
      - truth[names.index(simulated.INCREASING)]
    )
    shown.append(low > 0)
    held.append(low <= true <= high)
  return {
    "num_subsets": num_subsets,
    "lowered": lowered,
    "found": float(np.mean(shown)),
    "covered": float(np.mean(held)),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=400)
  parser.add_argument("--examples", type=int, default=500)
  parser.add_argument("--subsets", type=int, nargs="*", default=[100])
  parser.add_argument("--lowered", type=float, nargs="*", default=[0.05, 0.1])
  arguments = parser.parse_args()
  size = arguments.studies, arguments.examples
  nothing, lowered = [], []
  for num_subsets in arguments.subsets:
    for correlation in CORRELATIONS:
      nothing.append(coverage(*size, num_subsets, correlation))
      print(f"nothing changes: {nothing[-1]}", flush=True)
    for amount in arguments.lowered:
      lowered.append(power(*size, num_subsets, amount))
      print(f"increasing lowered: {lowered[-1]}", flush=True)
  print(
    json.dumps(
      {
        "benchmark": "distillation_findings",
        "studies": arguments.studies,
        "examples": arguments.examples,
        "nothing_changes": nothing,
        "increasing_lowered": lowered,
      }
    )
  )


if __name__ == "__main__":
  main()
