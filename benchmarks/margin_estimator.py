"""Scores from margins against plain ones, on a finished study's own runs.

    python benchmarks/margin_estimator.py --experiment_dir=DIR

Draws of M runs, in whole blocks, that share no run; the truth of a draw is the
plain score of all runs that are not in it. The noise of the truth is taken out:
of squared errors by subtraction, of coverage by adding the truth's own interval
(Newcombe's, by the method of variance estimates recovery). Ambiguous examples
have a held-out accuracy of 0.3 to 0.7 in the truth. Gains are squared errors of
the plain scores over those of the others, with 95 % intervals from the draws
(Student's t of their logarithms). Several models are scored together as well.
Influential pairs of the first 20, 40 and 80 runs are tested by counts and by
margins, also with permuted subsets.

`--figure=FILE.svg` draws error against machine-hours: runs times their median
seconds, of the model alone and of all models for the sizes together.

Not a timing. The last line is JSON.
"""

import argparse
import itertools
import json
import math
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
import numpy as np
from scipy import stats

from memo_tf.estimators import in_out
from memo_tf.estimators import influence
from memo_tf.estimators import margin_influence
from memo_tf.estimators import margin_sizes
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets
from memo_tf.scoring import margin_columns
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import predictions

WIDTH = 0.2


def read_stacks(
  root: str, models: list[str]
) -> tuple[dict, int, np.ndarray, dict]:
  """Runs by model, length of a block, `use_counts`, seconds by model."""
  directory = directory_lib.StudyDirectory(root)
  config = opening.read_config(directory.config_path.read_bytes())
  plan = plan_lib.Plan.of(config)
  examples = predictions.read_examples(directory)
  train = examples[examples["split"] == "train"].reset_index(drop=True)
  stacks: dict = {}
  seconds: dict = {}
  block = 1
  for group, units in plan.groups().items():
    if models and group.model not in models:
      continue
    records = {
      unit: directory.run_state(unit, check_digests=False).record
      for unit in units
    }
    # Up to the first missing run: models must have the same subsets in a row.
    done = list(itertools.takewhile(records.get, units))
    block = subsets.parse_family(group.subsets).block
    whole = len(done) // block * block
    if whole >= 2 * block:
      stacks[group.model] = predictions.stack_runs(directory, done[:whole])
      seconds[group.model] = float(
        np.median(
          [record["seconds"]["total"] for record in records.values() if record]
        )
      )
  return stacks, block, margin_columns.has_copies(train), seconds


def rest_of(stack, rows: np.ndarray) -> memorization.MemorizationScores:
  """The truth of a draw: plain scores of the runs that are not in it."""
  others = ~np.isin(np.arange(len(stack.units)), rows)
  return memorization.memorization_scores(
    stack.correct[others], stack.in_mask[others]
  )


def judged(points, low, high, truth: memorization.MemorizationScores) -> dict:
  """Error, rank correlation, coverage and width: all and ambiguous."""
  out = truth.out_accuracy
  known = ~np.isnan(points) & ~np.isnan(truth.memorization)
  noise = sum(
    mean * (1 - mean) / (count - 1)
    for mean, count in (
      (truth.in_accuracy, truth.num_in),
      (out, truth.num_out),
    )
  )
  square = np.square(points - truth.memorization) - noise
  below = np.hypot(points - low, truth.ci_high - truth.memorization)
  above = np.hypot(high - points, truth.memorization - truth.ci_low)
  difference = points - truth.memorization
  covered = (difference <= below) & (-difference <= above)
  found = {}
  for name, members in (
    ("all", known),
    ("ambiguous", known & (out >= 0.3) & (out <= 0.7)),
  ):
    found[name] = {
      "error": float(square[members].mean()),
      "spearman": float(
        stats.spearmanr(points[members], truth.memorization[members]).statistic
      ),
      "coverage": float(covered[members].mean()),
      "width": float((high - low)[members].mean()),
      "examples": int(members.sum()),
    }
  return found


def draws_of(num_runs: int, block: int, size: int, limit: int) -> list:
  """Up to `limit` disjoint draws of `size` runs, whole blocks at random."""
  blocks = np.random.default_rng(size).permutation(num_runs // block)
  per_draw = size // block
  count = min(limit, len(blocks) // per_draw)
  return [
    np.sort(
      (
        blocks[d * per_draw : (d + 1) * per_draw, None] * block
        + np.arange(block)
      ).ravel()
    )
    for d in range(count)
  ]


def one_draw(stacks: dict, model: str, rows, use_counts) -> dict:
  """What each estimator makes of a draw, by name."""
  stack = stacks[model]
  truth = rest_of(stack, rows)
  mask, correct = stack.in_mask[rows], stack.correct[rows]
  plain = memorization.memorization_scores(correct, mask)
  tally = margins.tally_of(stack.margin[rows], mask, correct=correct)
  alone = tally.scores(use_counts=use_counts, prior=False)
  smoothed = tally.scores(use_counts=use_counts)
  found: dict = {
    name: judged(s.memorization, s.ci_low, s.ci_high, truth)
    for name, s in (
      ("plain", plain),
      ("margin, no prior", alone),
      ("margin", smoothed),
    )
  }
  found["misfit"] = [smoothed.misfit, smoothed.ambiguous_misfit]
  found["degrees"] = [smoothed.prior_degrees_in, smoothed.prior_degrees_out]
  found["fallbacks"] = sum(smoothed.fallbacks().values())
  if len(stacks) > 1 and all(max(rows) < len(s.units) for s in stacks.values()):
    together = margin_sizes.margin_scores_sizes(
      np.stack([s.margin[rows] for s in stacks.values()]),
      mask,
      correct=np.stack([s.correct[rows] for s in stacks.values()]),
      use_counts=use_counts,
    )[list(stacks).index(model)]
    found["margin_sizes"] = judged(
      together.memorization, together.ci_low, together.ci_high, truth
    )
  return found


def interval(values) -> list[float]:
  """[low, mean, high] by Student's t; ends NaN with fewer than three."""
  values = np.asarray(values, float)
  values = values[~np.isnan(values)]
  if not len(values):
    return [math.nan] * 3
  mean = values.mean()
  if len(values) < 3:
    return [math.nan, mean, math.nan]
  half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
  return [mean - half, mean, mean + half]


def runs_for_width(widths: dict[int, float]) -> float:
  """Runs for a mean width of `WIDTH`, log-linear between sizes of draws."""
  sizes = sorted(widths, key=lambda size: -widths[size])
  values = [widths[size] for size in sizes]
  if not values[-1] <= WIDTH <= values[0]:
    return math.nan
  log = np.interp(-math.log(WIDTH), -np.log(values), np.log(sizes))
  return float(np.exp(log))


def evaluate(
  root: str,
  models: list[str],
  sizes: list[int],
  limit: int,
  figure: str | None = None,
) -> dict:
  """Prints a table for every model of a study; returns its figures."""
  stacks, block, use_counts, seconds = read_stacks(root, models)
  report: dict = {}
  for model, stack in stacks.items():
    rows_of_model: dict = {"num_runs": len(stack.units)}
    shared = min(len(s.units) for s in stacks.values())
    widths: dict = {"plain": {}, "margin": {}}
    ambiguous: dict = {"plain": {}, "margin": {}}
    for size in sizes:
      pool = len(stack.units)
      if size % block or size >= pool:  # no run would be left as truth
        continue
      draws = draws_of(pool, block, size, limit)
      together = draws_of(shared, block, size, limit) if len(stacks) > 1 else []
      found = [one_draw({model: stack}, model, r, use_counts) for r in draws]
      sized = [one_draw(stacks, model, r, use_counts) for r in together]
      if not found:
        continue
      line = summarized(found, sized)
      for name in widths:
        widths[name][size] = line[name]["all"]["width"][1]
        ambiguous[name][size] = line[name]["ambiguous"]["width"][1]
      rows_of_model[str(size)] = line
      show(model, size, len(draws), pool - size, line)
    for kind, table in (("mean", widths), ("ambiguous", ambiguous)):
      needed = {name: runs_for_width(own) for name, own in table.items()}
      rows_of_model[f"runs for a {kind} width of {WIDTH}"] = needed
      print(f"{model}: runs for a {kind} width of {WIDTH}: {needed}")
    for size in (20, 40, 80):
      if size < len(stack.units):
        rows = np.arange(size)
        found = [
          pairs_of(stack, rows),
          pairs_of(stack, rows, np.random.default_rng(size)),
        ]
        rows_of_model[f"pairs at {size}, and permuted"] = found
        print(f"{model}, pairs of the first {size} runs: {found[0]}")
        print(f"  with permuted subsets: {found[1]}")
    rows_of_model["seconds per run"] = seconds[model]
    report[model] = rows_of_model
  if figure:
    draw(report, sizes, figure)
  return report


def draw(report: dict, sizes: list[int], path: str) -> None:
  """Root mean square error against machine-hours, one panel per model."""
  panels, axes = plt.subplots(
    1,
    len(report),
    figsize=(4 * len(report), 3.2),
    squeeze=False,
    layout="constrained",
  )
  every = sum(own["seconds per run"] for own in report.values())
  for axis, (model, own) in zip(axes[0], report.items()):
    for name in ("plain", "margin", "margin_sizes"):
      found = {
        size: own[str(size)][name]["all"]["rmse"]
        for size in sizes
        if name in own.get(str(size), {})
      }
      if not found:
        continue
      cost = every if name == "margin_sizes" else own["seconds per run"]
      axis.loglog(
        [size * cost / 3600 for size in found],
        list(found.values()),
        marker="o",
        label=name,
      )
    axis.set_title(model, fontsize=9)
    axis.set_xlabel("machine-hours (one core)")
    axis.set_ylabel("error of a score (RMSE)")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)
  panels.savefig(path, metadata={"Date": None})


def summarized(found: list[dict], sized: list[dict]) -> dict:
  """Mean figures of the draws, with intervals and gains."""
  line: dict = {}
  for name, draws in (
    ("plain", found),
    ("margin, no prior", found),
    ("margin", found),
    ("margin_sizes", sized),
  ):
    if not draws or name not in draws[0]:
      continue
    line[name] = {}
    for part in ("all", "ambiguous"):
      line[name][part] = {
        key: interval([draw[name][part][key] for draw in draws])
        for key in ("spearman", "coverage", "width")
      }
      errors = np.array([draw[name][part]["error"] for draw in draws])
      plain = np.array([draw["plain"][part]["error"] for draw in draws])
      line[name][part]["rmse"] = float(np.sqrt(max(errors.mean(), 0.0)))
      with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(plain / errors)
      line[name][part]["gain"] = np.exp(interval(logs)).tolist()
      line[name][part]["examples"] = draws[0][name][part]["examples"]
  line["misfit"] = np.mean([d["misfit"] for d in found], axis=0).tolist()
  line["degrees"] = np.mean([d["degrees"] for d in found], axis=0).tolist()
  line["fallbacks"] = float(np.mean([d["fallbacks"] for d in found]))
  return line


def show(model: str, size: int, draws: int, rest: int, line: dict) -> None:
  """Prints the figures of one number of runs."""
  print(
    f"{model}, M={size}, {draws} draws against {rest} other runs: misfit "
    f"{line['misfit'][0]:.3f} / {line['misfit'][1]:.3f}, d0 in, out "
    f"{line['degrees'][0]:.0f}, {line['degrees'][1]:.0f}, fallbacks "
    f"{line['fallbacks']:.0f}"
  )
  for name in ("plain", "margin, no prior", "margin", "margin_sizes"):
    if name not in line:
      continue
    for part, own in line[name].items():
      low, gain, high = own["gain"]
      print(
        f"  {name:17} {part:9} ({own['examples']:5d}) RMSE {own['rmse']:.4f} "
        f"gain {gain:.2f} [{low:.2f}, {high:.2f}] Spearman "
        f"{own['spearman'][1]:.3f} coverage {100 * own['coverage'][1]:.1f} "
        f"width {own['width'][1]:.3f}"
      )


def pairs_of(stack, rows: np.ndarray, rng=None) -> dict:
  """Pairs of a draw by counts and by margins, against the other runs.

  With `rng` the subsets of the draw's runs are permuted: nothing has influence.
  """
  mask = stack.in_mask[rows if rng is None else rng.permutation(rows)]
  plain = memorization.memorization_scores(
    stack.correct[rows], stack.in_mask[rows]
  )
  pairs = influence.influential_pairs(
    stack.test_correct[rows],
    mask,
    memorization=plain.memorization,
    train_labels=stack.labels,
    test_labels=stack.test_labels,
  )
  found = margin_influence.margin_influence(
    stack.test_margin[rows],
    mask,
    pairs.train_ids,
    pairs.test_ids,
    num_tested=pairs.num_tested,
  )
  others = ~np.isin(np.arange(len(stack.units)), rows)
  means = in_out.in_out_means(
    stack.test_correct[others][:, pairs.test_ids],
    stack.in_mask[others][:, pairs.train_ids],
  )
  truth, chosen = means[0] - means[1], found.q_value <= 0.05
  return {
    "pairs": len(pairs),
    "by counts": int((pairs.q_value <= 0.05).sum()),
    "by margins": int(chosen.sum()),
    "truth of those": float(truth[chosen].mean()) if chosen.any() else None,
    "least truth": float(truth[chosen].min()) if chosen.any() else None,
    "RMSE by counts": float(np.sqrt(np.square(pairs.influence - truth).mean())),
    "RMSE by margins": float(
      np.sqrt(np.nanmean(np.square(found.influence - truth)))
    ),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--experiment_dir", required=True)
  parser.add_argument("--models", default="", help="default: all")
  parser.add_argument("--sizes", default="20,40,80,160")
  parser.add_argument("--draws", type=int, default=20)
  parser.add_argument("--figure")
  arguments = parser.parse_args()
  if not pathlib.Path(arguments.experiment_dir, "config.json").is_file():
    parser.error(f"{arguments.experiment_dir} is not a study directory")
  report = evaluate(
    arguments.experiment_dir,
    [name for name in arguments.models.split(",") if name],
    [int(size) for size in arguments.sizes.split(",")],
    arguments.draws,
    arguments.figure,
  )
  print(json.dumps({"benchmark": "margin_estimator", "ratios": report}))


if __name__ == "__main__":
  main()
