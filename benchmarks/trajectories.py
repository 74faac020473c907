"""Accuracy of the shape classes of trajectories, on simulated studies.

    python benchmarks/trajectories.py --studies=40

For several numbers of sizes and distributions: how often the default rule names
a clear case correctly and calls a constant one changing, and how often the 95 %
intervals of the shares with the noise taken out include the true shares. Not a
timing. The last line is JSON.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import shares as shares_lib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests.support import beta_trajectories  # noqa: E402

SHARES = beta_trajectories.DEFAULT_SHARES
MANY_CONSTANT = {
  "constant": 0.8,
  "increasing": 0.04,
  "decreasing": 0.1,
  "cap": 0.04,
  "u": 0.02,
}
# Sizes, parameters of the out-probability's Beta distribution, shares,
# correlation of runs over sizes, least change of trajectories not constant.
CASES = (
  (3, (1.5, 1.5), SHARES, 0.0, 0.4),
  (5, (0.6, 0.6), SHARES, 0.0, 0.4),
  (7, (1.5, 1.5), SHARES, 0.0, 0.4),
  (5, (1.5, 1.5), SHARES | {"other": 0.1}, 0.0, 0.4),
  (4, (2.0, 1.0), MANY_CONSTANT, 0.0, 0.4),
  (4, (1.0, 1.0), SHARES, 0.5, 0.4),
  (5, (1.5, 1.5), SHARES, 0.0, 0.22),
)


def one_study(case, num_subsets, num_examples, seed):
  """Accuracy of the rule and coverage of the shares in one study."""
  num_sizes, beta, shares, correlation, clear_change = case
  study = beta_trajectories.simulate_study(
    num_sizes=num_sizes,
    num_examples=num_examples,
    num_subsets=num_subsets,
    shares=shares,
    beta=beta,
    run_correlation=correlation,
    clear_change=clear_change,
    seed=seed,
  )
  values, _ = study.estimates()
  named = classify.classify_trajectories(values).shape_class
  constant = study.shape_class == "constant"
  right = named == study.shape_class
  covered, error, width = [], [], []
  for share in shares_lib.shape_shares(
    study.correct, study.in_mask, block=study.block, seed=seed
  ):
    true = (study.shape_class == share.shape_class).mean()
    covered.append(share.ci_low <= true <= share.ci_high)
    error.append(share.share - true)
    width.append(share.ci_high - share.ci_low)
  return (
    right[~constant].mean(),
    (~right[constant]).mean(),
    covered,
    error,
    width,
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--studies", type=int, default=40)
  parser.add_argument("--examples", type=int, default=1000)
  parser.add_argument("--subsets", type=int, nargs="*", default=[100, 400])
  parser.add_argument("--cases", type=int, nargs="*")
  arguments = parser.parse_args()
  np.set_printoptions(precision=3, suppress=True)
  rows = []
  for number, case in enumerate(CASES):
    if arguments.cases and number not in arguments.cases:
      continue
    for num_subsets in arguments.subsets:
      found = [
        one_study(case, num_subsets, arguments.examples, seed)
        for seed in range(arguments.studies)
      ]
      clear, false, covered, error, width = map(np.array, zip(*found))
      row = {
        "case": number,
        "sizes": case[0],
        "beta": case[1],
        "run_correlation": case[3],
        "clear_change": case[4],
        "num_subsets": num_subsets,
        "clear_right": float(clear.mean()),
        "constant_wrong": float(false.mean()),
        "coverage": float(covered.mean()),
        "coverage_by_class": covered.mean(axis=0).tolist(),
        "mean_error": error.mean(axis=0).round(4).tolist(),
        "mean_width": width.mean(axis=0).round(4).tolist(),
      }
      rows.append(row)
      print(
        f"S={case[0]} beta={case[1]} rho={case[3]} change={case[4]} "
        f"M={num_subsets}: clear cases right {clear.mean():.4f}, constant "
        f"called changing {false.mean():.4f}, shares covered "
        f"{covered.mean():.3f}, by class {covered.mean(axis=0)}, mean "
        f"error {error.mean(axis=0)}, mean width {width.mean(axis=0)}",
        flush=True,
      )
  print(
    json.dumps(
      {
        "benchmark": "trajectories",
        "studies": arguments.studies,
        "examples": arguments.examples,
        "classes": classify.SHAPE_CLASSES,
        "rows": rows,
      }
    )
  )


if __name__ == "__main__":
  main()
