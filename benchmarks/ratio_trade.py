"""Subset ratios and schemes at equal cost: what a study's training buys.

    python benchmarks/ratio_trade.py --experiment_dir=DIR

DIR has runs of one model in the families r0.50, r0.50-complementary, r0.70 and
r0.90. A run costs as much as its share of the training data, so that a budget
of B trainings on all data is B / ratio runs. Three tables:

1. What each ratio measures, from all of its runs: accuracies, mean score, how
   many images are uncertain (held-out accuracy 0.05 to 0.95), and how the
   scores of two ratios correlate, freed of noise by two halves of the runs.
2. Simulated studies of equal cost from laws fitted to each family's runs
   (`fitted_laws`): error, width and coverage of scores, plain and from margins,
   over all images and those ambiguous at that ratio (0.3 to 0.7); and the error
   of the influence of pairs with an uncertain test image, where there is none.
   Laws of r0.50 and r0.70 also with independent subsets.
3. Real draws of `--size` runs against the others of the family
   (`disjoint_draws`), their errors scaled to the budget; and the pairs that the
   first runs of the budget find.

An unfinished study counts as far as it goes. Not a timing. The last line is
JSON.
"""

import argparse
import json

import disjoint_draws
import fitted_laws
import margin_estimator
import numpy as np

from memo_tf.estimators import in_out
from memo_tf.estimators import margin_influence
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.experiment import subsets

FAMILIES = ("r0.50", "r0.50-complementary", "r0.70", "r0.90")
# Simulated with the laws of another family: only how subsets are drawn differs.
INDEPENDENT = {
  "r0.50": "r0.50-uniform",
  "r0.70": "r0.70-uniform",
}
PAIRS = 20_000


def runs_of(family: str, budget: float) -> int:
  """Runs of a budget, in whole pairs where subsets are pairs."""
  found = subsets.parse_family(family)
  runs = budget / found.ratio
  return 2 * round(runs / 2) if found.block == 2 else round(runs)


def estimand(stack, block: int) -> tuple[dict, list]:
  """Figures of all runs of a family, and its scores in two halves."""
  rows = np.arange(len(stack.units))
  scores = disjoint_draws.plain_scores(stack, rows)
  half = rows // block % 2
  least, most = disjoint_draws.PARTS["uncertain"]
  share = scores.out_accuracy
  return {
    "runs": len(rows),
    "in": float(np.nanmean(scores.in_accuracy)),
    "held out": float(np.nanmean(share)),
    "test": float(stack.test_correct.mean()),
    "score": float(np.nanmean(scores.memorization)),
    "uncertain": int(((share >= least) & (share <= most)).sum()),
  }, [
    disjoint_draws.plain_scores(stack, rows[half == h]).memorization
    for h in (0, 1)
  ]


def correlation(left: list, right: list) -> float:
  """Of two scores without noise, each known in two halves of its runs."""

  def between(a, b):
    known = ~np.isnan(a) & ~np.isnan(b)
    return np.corrcoef(a[known], b[known])[0, 1]

  across = np.mean([between(a, b) for a in left for b in right])
  return float(across / np.sqrt(between(*left) * between(*right)))


def simulated(stack, family: str, budget: float, repeats: int) -> dict:
  """Figures of simulated studies of a budget."""
  rule, rows = subsets.parse_family(family), []
  runs = runs_of(family, budget)
  num_examples = stack.in_mask.shape[1]
  for seed in range(repeats):
    rng = np.random.default_rng(seed)
    laws = fitted_laws.FittedLaws(stack, rng)
    mask = rule.in_mask(num_examples, runs, seed)
    margin = laws.margin(mask, rng)
    least, most = disjoint_draws.PARTS["ambiguous"]
    near = (laws.out >= least) & (laws.out <= most)
    row: list = []
    for found in (
      memorization.memorization_scores(margin > 0, mask),
      margins.margin_scores(margin, mask),
    ):
      truth = laws.memorization
      for part in (np.ones(num_examples, bool), near):
        known = part & ~np.isnan(found.memorization)
        inside = (found.ci_low <= truth) & (truth <= found.ci_high)
        row += [
          np.square(found.memorization - truth)[known].mean(),
          (found.ci_high - found.ci_low)[known].mean(),
          100 * inside[known].mean(),
        ]
    rows.append(row + pair_errors(laws, mask, rng))
  mean = np.nanmean(rows, axis=0)
  names = ("plain", "plain, ambiguous", "margin", "margin, ambiguous")
  report: dict = {"runs": runs}
  for number, name in enumerate(names):
    square, width, coverage = mean[3 * number : 3 * number + 3]
    report[name] = [np.sqrt(square), width, coverage]
  report["influence"] = np.sqrt(mean[12:]).tolist()
  return report


def pair_errors(laws, mask, rng) -> list[float]:
  """Mean square influence, plain and from margins, of pairs that have none."""
  least, most = disjoint_draws.PARTS["uncertain"]
  uncertain = np.flatnonzero((laws.test >= least) & (laws.test <= most))
  values = laws.test_margin(len(mask), rng)
  test = rng.choice(uncertain, PAIRS)
  train = rng.integers(0, mask.shape[1], PAIRS)
  inside, outside = in_out.in_out_means(values[:, test] > 0, mask[:, train])
  found = margin_influence.margin_influence(
    values, mask, train, test, num_tested=PAIRS
  )
  return [
    float(np.nanmean(np.square(own)))
    for own in (inside - outside, found.influence)
  ]


def real(stack, block: int, size: int, use_counts, budget: float) -> dict:
  """Errors of disjoint draws, scaled to a budget; pairs of its first runs."""
  pool = len(stack.units)
  ratio = stack.in_mask.mean()
  size = size // block * block
  draws = disjoint_draws.draws_of(pool, block, size, 20) if size < pool else []
  found = [
    margin_estimator.one_draw({"own": stack}, "own", rows, use_counts, block)
    for rows in draws
  ]
  report: dict = {"draws": len(found)}
  for name in ("plain", "margin"):
    if found:
      squares = [draw[name]["all"]["error"] for draw in found]
      scale = size * ratio / budget
      report[name] = float(np.sqrt(max(np.mean(squares) * scale, 0.0)))
  runs = round(budget / ratio / block) * block
  if 0 < runs < pool:
    report["runs for pairs"] = runs
    report["pairs"] = margin_estimator.pairs_of(stack, np.arange(runs))
  return report


def show_estimands(found: dict, halves: dict) -> None:
  """Prints what each family measures."""
  names = (
    "in the subset",
    "held out",
    "test",
    "mean score",
    "uncertain images",
  )
  show_table(
    ("subsets", "runs", *names, *(f"correlation with {f}" for f in halves)),
    [
      [
        family,
        own["runs"],
        *(f"{own[key]:.4f}" for key in ("in", "held out", "test", "score")),
        own["uncertain"],
        *(
          ""
          if other == family
          else f"{correlation(halves[family], halves[other]):.3f}"
          for other in halves
        ),
      ]
      for family, own in found.items()
    ],
  )


def show_simulated(found: dict) -> None:
  """Prints the simulated studies, a line for each family and budget."""
  names = ("plain", "margin", "plain, ambiguous", "margin, ambiguous")
  show_table(
    (
      "budget",
      "subsets",
      "runs",
      *(f"width {name}" for name in names),
      *(f"RMSE {name}" for name in names),
      *(f"coverage {name}" for name in names[2:]),
      "influence RMSE plain",
      "margin",
    ),
    [
      [f"{budget:g}", family, own["runs"]]
      + [f"{own[name][1]:.3f}" for name in names]
      + [f"{own[name][0]:.4f}" for name in names]
      + [f"{own[name][2]:.1f} %" for name in names[2:]]
      + [f"{value:.3f}" for value in own["influence"]]
      for budget, families in found.items()
      for family, own in families.items()
    ],
  )


def show_real(found: dict) -> None:
  """Prints errors of real draws and the pairs of real runs."""
  rows = []
  for budget, families in found.items():
    for family, own in families.items():
      pairs = own.get("pairs", {})
      rows.append(
        [f"{budget:g}", family, own["draws"]]
        + [f"{own[name]:.4f}" for name in ("plain", "margin") if name in own]
        + [own.get("runs for pairs", "")]
        + [pairs.get(key, "") for key in ("pairs", "by counts", "by margins")]
        + [
          f"{pairs[key]:.2f}" if pairs.get(key) is not None else ""
          for key in ("truth of those", "least truth")
        ]
      )
  show_table(
    ("budget", "subsets", "draws", "RMSE plain", "margin", "runs")
    + ("pairs", "found by counts", "by margins", "their influence", "least"),
    rows,
  )


def show_table(names, rows) -> None:
  """Prints a table in Markdown."""
  print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
  for row in rows:
    print(f"| {' | '.join(map(str, row))} |")


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    "--experiment_dir", type=margin_estimator.study_dir, required=True
  )
  parser.add_argument("--budgets", default="18,36,72")
  parser.add_argument("--repeats", type=int, default=10)
  parser.add_argument("--size", type=int, default=20, help="of real draws")
  arguments = parser.parse_args()
  budgets = [float(budget) for budget in arguments.budgets.split(",")]
  stacks, blocks, use_counts = {}, {}, None
  for family in FAMILIES:
    ladders, block, use_counts, _ = margin_estimator.read_ladders(
      arguments.experiment_dir, [], family
    )
    if ladders:
      stacks[family] = next(iter(next(iter(ladders.values())).values()))
      blocks[family] = block
  estimands, halves = {}, {}
  for family, stack in stacks.items():
    estimands[family], halves[family] = estimand(stack, blocks[family])
  show_estimands(estimands, halves)
  studies = {
    budget: {
      name: simulated(stack, name, budget, arguments.repeats)
      for family, stack in stacks.items()
      for name in (family, INDEPENDENT.get(family))
      if name
    }
    for budget in budgets
  }
  show_simulated(studies)
  draws = {
    budget: {
      family: real(stack, blocks[family], arguments.size, use_counts, budget)
      for family, stack in stacks.items()
    }
    for budget in budgets
  }
  show_real(draws)
  report = {"estimands": estimands, "simulated": studies, "real": draws}
  print(json.dumps({"benchmark": "ratio_trade", "ratios": report}))


if __name__ == "__main__":
  main()
