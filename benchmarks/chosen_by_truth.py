"""Why the judging runs must not choose which images count as ambiguous.

    python benchmarks/chosen_by_truth.py --experiment_dir=DIR --size=30

Studies like a real one are simulated, from laws fitted to its runs
(`fitted_laws`), under which margins are normal and the truth is known. A draw
of `--size` runs is judged against the other runs, as a real study must be.
Coverage of the intervals from margins among ambiguous images, if these are
chosen by the truth's own runs, by further runs, and by the known probability
(against the known score). Not a timing. The last line is JSON.
"""

import argparse
import json

import disjoint_draws
import fitted_laws
import margin_estimator
import numpy as np

from memo_tf.estimators import margins
from memo_tf.estimators import memorization


def simulate(stack, block: int, size: int, repeats: int) -> dict:
  """[coverage, its scatter over repeats (%), images] by who chooses."""
  found: dict = {"the truth": [], "further runs": [], "known": []}
  mask = stack.in_mask
  rows = np.arange(size // block * block)
  others = np.arange(len(rows), len(mask))
  least, most = disjoint_draws.PARTS["ambiguous"]
  for repeat in range(repeats):
    rng = np.random.default_rng(repeat)
    laws = fitted_laws.FittedLaws(stack, rng)
    margin, further = laws.margin(mask, rng), laws.margin(mask, rng)
    own = margins.margin_scores(margin[rows], mask[rows])
    truth, chooser = (
      memorization.memorization_scores(values[others] > 0, mask[others])
      for values in (margin, further)
    )
    difference = own.memorization - truth.memorization
    below = np.hypot(
      own.memorization - own.ci_low, truth.ci_high - truth.memorization
    )
    above = np.hypot(
      own.ci_high - own.memorization, truth.memorization - truth.ci_low
    )
    covered = (difference <= below) & (-difference <= above)
    held = (own.ci_low <= laws.memorization) & (
      laws.memorization <= own.ci_high
    )
    for name, share, inside in (
      ("the truth", truth.out_accuracy, covered),
      ("further runs", chooser.out_accuracy, covered),
      ("known", laws.out, held),
    ):
      chosen = (share >= least) & (share <= most)
      found[name].append([inside[chosen].sum(), chosen.sum()])
  report = {}
  for name, own in found.items():
    hits, counts = np.array(own).T
    scatter = np.std(hits[counts > 0] / counts[counts > 0])
    report[name] = [
      100 * hits.sum() / counts.sum(),
      100 * scatter,
      counts.mean(),
    ]
  return report


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    "--experiment_dir", type=margin_estimator.study_dir, required=True
  )
  parser.add_argument("--model", default="", help="default: the first")
  parser.add_argument("--size", type=int, default=30)
  parser.add_argument("--runs", type=int, help="of the study; default: all")
  parser.add_argument("--repeats", type=int, default=100)
  arguments = parser.parse_args()
  models = [arguments.model] if arguments.model else []
  ladders, block, _, _ = margin_estimator.read_ladders(
    arguments.experiment_dir, models, num_runs=arguments.runs
  )
  if not ladders:
    parser.error("the study has no two blocks of finished runs")
  model, stack = next(iter(next(iter(ladders.values())).items()))
  if not block <= arguments.size < len(stack.units):
    parser.error(
      f"--size must be from {block} to less than the {len(stack.units)} runs"
    )
  found = simulate(stack, block, arguments.size, arguments.repeats)
  for name, (coverage, scatter, count) in found.items():
    print(
      f"{model}, {arguments.size} of {len(stack.units)} runs, ambiguous images "
      f"chosen by {name}: coverage {coverage:.1f} % (of one repeat ± "
      f"{scatter:.1f}), {count:.1f} images"
    )
  print(json.dumps({"benchmark": "chosen_by_truth", "ratios": found}))


if __name__ == "__main__":
  main()
