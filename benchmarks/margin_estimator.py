"""Scores from margins against plain ones, on a study's own runs.

    python benchmarks/margin_estimator.py --experiment_dir=DIR

Draws of M runs are judged against the other runs of the study
(`disjoint_draws`), all images and those of a held-out accuracy of 0.05 to 0.95
(uncertain) or 0.3 to 0.7 (ambiguous). Sizes of a ladder are scored together as
well. Influential pairs of the first 20, 40 and 80 runs are tested by counts and
by margins, also with permuted subsets. An unfinished study counts up to the
first missing run of each model, in whole blocks.

Prints the tables of docs/results.md. `--figure=FILE.svg` draws error against
machine-hours, runs times their seconds, of the model with the most runs and of
all sizes of its ladder. Seconds are the medians that runs recorded, or those of
a quiet machine: `--seconds=cifar_resnet-8=1.2,…`.

Not a timing. The last line is JSON.
"""

# Over 350 lines: reading, judging, tables and figure of one benchmark.

import argparse
import itertools
import json
import pathlib

import disjoint_draws
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib import ticker
import numpy as np

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
ESTIMATORS = ("plain", "margin, no prior", "margin", "margin_sizes")
PARTS = ("all", *disjoint_draws.PARTS)


def study_dir(text: str) -> str:
  """The value of --experiment_dir, if there is a study."""
  if not pathlib.Path(text, "config.json").is_file():
    raise argparse.ArgumentTypeError(f"{text} is not a study directory")
  return text


def read_ladders(
  root: str,
  models: list[str],
  family: str | None = None,
  num_runs: int | None = None,
) -> tuple[dict, int, np.ndarray, dict]:
  """Runs by ladder and model, length of a block, copies, seconds by model."""
  directory = directory_lib.StudyDirectory(root)
  config = opening.read_config(directory.config_path.read_bytes())
  plan = plan_lib.Plan.of(config)
  examples = predictions.read_examples(directory)
  train = examples[examples["split"] == "train"].reset_index(drop=True)
  ladders: dict = {}
  seconds: dict = {}
  # One family: that of the first group, unless it is named.
  family = family or next(iter(plan.groups())).subsets
  block = subsets.parse_family(family).block
  groups = sorted(
    plan.groups().items(), key=lambda g: plan.models[g[0].model].relative_cost
  )
  for group, units in groups:
    if (models and group.model not in models) or group.subsets != family:
      continue
    records = {
      unit: directory.run_state(unit, check_digests=False).record
      for unit in units
    }
    # Up to the first missing run: models must have the same subsets in a row.
    done = list(itertools.takewhile(records.get, units))[:num_runs]
    whole = len(done) // block * block
    if whole >= 2 * block:
      ladder = ladders.setdefault(plan.models[group.model].ladder, {})
      ladder[group.model] = predictions.stack_runs(directory, done[:whole])
      seconds[group.model] = float(
        np.median(
          [record["seconds"]["total"] for record in records.values() if record]
        )
      )
  return ladders, block, margin_columns.has_copies(train), seconds


def one_draw(stacks: dict, model: str, rows, use_counts, block: int) -> dict:
  """What each estimator makes of a draw, by name."""
  stack = stacks[model]
  known = disjoint_draws.truths(stack, rows, block)
  mask, correct = stack.in_mask[rows], stack.correct[rows]
  tally = margins.tally_of(stack.margin[rows], mask, correct=correct)
  smoothed = tally.scores(use_counts=use_counts)
  estimates = {
    "plain": memorization.memorization_scores(correct, mask),
    "margin, no prior": tally.scores(use_counts=use_counts, prior=False),
    "margin": smoothed,
  }
  if len(stacks) > 1:
    estimates["margin_sizes"] = margin_sizes.margin_scores_sizes(
      np.stack([s.margin[rows] for s in stacks.values()]),
      mask,
      correct=np.stack([s.correct[rows] for s in stacks.values()]),
      use_counts=use_counts,
    )[list(stacks).index(model)]
  found: dict = {
    name: disjoint_draws.judged(s.memorization, s.ci_low, s.ci_high, known)
    for name, s in estimates.items()
  }
  found["misfit"] = [smoothed.misfit, smoothed.ambiguous_misfit]
  found["degrees"] = [smoothed.prior_degrees_in, smoothed.prior_degrees_out]
  found["fallbacks"] = sum(smoothed.fallbacks().values())
  return found


def summarized(found: list[dict], sized: list[dict]) -> dict:
  """Mean figures of the draws, weighted by images, and gains."""
  line: dict = {"draws": len(found), "draws of sizes": len(sized)}
  for name in ESTIMATORS:
    draws = sized if name == "margin_sizes" else found
    if not draws or name not in draws[0]:
      continue
    line[name] = {}
    for part in PARTS:
      own = [draw[name][part] for draw in draws]
      plain = [draw["plain"][part] for draw in draws]
      weights = [one["weight"] for one in own]
      figures = {
        key: disjoint_draws.weighted_mean([one[key] for one in own], weights)
        for key in ("error", "spearman", "coverage", "width")
      }
      square = figures.pop("error")
      figures["rmse"] = float(np.sqrt(square)) if square > 0 else 0.0
      figures["gain"] = disjoint_draws.gain(plain, own)
      figures["images"] = float(np.mean(weights))
      line[name][part] = figures
  for key in ("misfit", "degrees"):
    line[key] = np.mean([draw[key] for draw in found], axis=0).tolist()
  line["fallbacks"] = float(np.mean([draw["fallbacks"] for draw in found]))
  return line


# Over 40 lines: what is done for each model, in order.
def evaluate(
  root: str,
  models: list[str],
  sizes: list[int],
  limit: int,
) -> dict:
  """Figures of every model of a study, which are also printed."""
  ladders, block, use_counts, seconds = read_ladders(root, models)
  report: dict = {}
  for stacks in ladders.values():
    shared = min(len(s.units) for s in stacks.values())
    for model, stack in stacks.items():
      pool = len(stack.units)
      own: dict = {"num_runs": pool, "sizes": {}}
      for size in sizes:
        if size % block or 2 * size > pool:  # fewer runs left as truth
          continue
        draws = disjoint_draws.draws_of(pool, block, size, limit)
        together = []
        if len(stacks) > 1:
          together = disjoint_draws.draws_of(shared, block, size, limit)
        line = summarized(
          [
            one_draw({model: stack}, model, r, use_counts, block) for r in draws
          ],
          [one_draw(stacks, model, r, use_counts, block) for r in together],
        )
        own["sizes"][size] = line
        show(model, size, pool - size, line)
      for part in ("all", "ambiguous"):
        for name in ("plain", "margin"):
          widths = {
            s: line[name][part]["width"] for s, line in own["sizes"].items()
          }
          needed = disjoint_draws.runs_for_width(widths, WIDTH)
          own[f"runs for a width of {WIDTH}, {part}, {name}"] = needed
          print(f"{model}, {part}, {name}: runs for {WIDTH}: {needed}")
      own["pairs"] = {
        size: pairs_of_both(model, stack, size)
        for size in (20, 40, 80)
        if size < pool
      }
      own["seconds per run"] = seconds[model]
      own["ladder"] = list(stacks)
      report[model] = own
  return report


def show(model: str, size: int, rest: int, line: dict) -> None:
  """Prints the figures of one number of runs."""
  print(
    f"{model}, M={size}, {line['draws']} draws ({line['draws of sizes']} of "
    f"the sizes together) against {rest} other runs: misfit "
    f"{line['misfit'][0]:.3f} / {line['misfit'][1]:.3f}, d0 in, out "
    f"{line['degrees'][0]:.0f}, {line['degrees'][1]:.0f}, fallbacks "
    f"{line['fallbacks']:.0f}",
    flush=True,
  )
  for name in ESTIMATORS:
    for part, own in line.get(name, {}).items():
      low, gain, high = own["gain"]
      print(
        f"  {name:17} {part:9} ({own['images']:6.1f}) RMSE {own['rmse']:.4f} "
        f"gain {gain:.2f} [{low:.2f}, {high:.2f}] Spearman "
        f"{own['spearman']:.3f} coverage {100 * own['coverage']:.1f} "
        f"width {own['width']:.3f}"
      )


def tables(report: dict) -> str:
  """The two tables of docs/results.md."""
  lines = [
    "| model | M | draws | RMSE plain | from margins | gain | sizes together "
    "| coverage | mean width plain | from margins |",
    "|" + "---|" * 10,
  ]
  others = [
    "| model | M | uncertain images | gain | ambiguous images | gain "
    "| sizes together | coverage plain | from margins | rank correlation plain "
    "| from margins | width plain | from margins |",
    "|" + "---|" * 13,
  ]
  for model, found in report.items():
    for size, line in found["sizes"].items():
      plain, own = line["plain"], line["margin"]
      together = line.get("margin_sizes", {})
      cells = [
        model,
        size,
        line["draws"],
        f"{plain['all']['rmse']:.3f}",
        f"{own['all']['rmse']:.3f}",
        _gain(own["all"]),
        _gain(together.get("all")),
        f"{100 * own['all']['coverage']:.1f} %",
        f"{plain['all']['width']:.2f}",
        f"{own['all']['width']:.3f}",
      ]
      lines.append("| " + " | ".join(map(str, cells)) + " |")
      plain, few = plain["ambiguous"], own["ambiguous"]
      cells = [
        model,
        size,
        f"{own['uncertain']['images']:.0f}",
        _gain(own["uncertain"]),
        f"{few['images']:.0f}",
        _gain(few),
        _gain(together.get("ambiguous")),
        f"{100 * plain['coverage']:.1f} %",
        f"{100 * few['coverage']:.1f} %",
        f"{plain['spearman']:.2f}",
        f"{few['spearman']:.2f}",
        f"{plain['width']:.2f}",
        f"{few['width']:.2f}",
      ]
      others.append("| " + " | ".join(map(str, cells)) + " |")
  return "\n".join([*lines, "", *others])


def _gain(own: dict | None) -> str:
  if own is None or np.isnan(own["gain"][1]):
    return ""
  low, value, high = own["gain"]
  return f"{value:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def draw(report: dict, path: str) -> None:
  """Root mean square error against machine-hours.

  On the left the model with the most runs, on the right all sizes of its
  ladder: the hours of all of them, the mean square error over them.
  """
  model = max(report, key=lambda name: report[name]["num_runs"])
  ladder = report[model]["ladder"]
  columns = {model: [model]}
  if len(ladder) > 1:
    columns[f"{len(ladder)} sizes"] = ladder
  panels, axes = plt.subplots(
    2,
    len(columns),
    figsize=(4 * len(columns), 5.6),
    squeeze=False,
    layout="constrained",
  )
  for column, (title, models) in enumerate(columns.items()):
    hours = sum(report[name]["seconds per run"] for name in models) / 3600
    for part, axis in zip(("all", "uncertain"), axes[:, column]):
      for name in ("plain", "margin", "margin_sizes")[: len(models) + 1]:
        found = curve(report, models, name, part)
        axis.loglog(
          [size * hours for size in found],
          list(found.values()),
          marker="o",
          label=name,
        )
      axis.set_title(f"{title}, {part} images", fontsize=9)
      axis.set_ylabel("error of a score (RMSE)")
      axis.set_xlabel("machine-hours (one core)")
      for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        side.set_major_formatter(ticker.FormatStrFormatter("%g"))
        side.set_minor_formatter(ticker.NullFormatter())
      axis.grid(alpha=0.3)
      axis.legend(fontsize=8)
  panels.savefig(path, metadata={"Date": None})


def curve(report: dict, models: list[str], name: str, part: str) -> dict:
  """Root of the models' mean square error, by number of runs of each."""
  found = {}
  for size in report[models[0]]["sizes"]:
    lines = [report[model]["sizes"].get(size, {}) for model in models]
    errors = [line[name][part]["rmse"] for line in lines if name in line]
    if len(errors) == len(models) and all(errors):
      found[size] = float(np.sqrt(np.mean(np.square(errors))))
  return found


def pairs_of_both(model: str, stack, size: int) -> list[dict]:
  """`pairs_of` the first runs, and with their subsets permuted."""
  rows = np.arange(size)
  found = [
    pairs_of(stack, rows),
    pairs_of(stack, rows, np.random.default_rng(size)),
  ]
  print(f"{model}, pairs of the first {size} runs: {found[0]}")
  print(f"  with permuted subsets: {found[1]}")
  return found


def pairs_of(stack, rows: np.ndarray, rng=None) -> dict:
  """Pairs of a draw by counts and by margins, against the other runs.

  With `rng` the subsets of the draw's runs are permuted: nothing has influence.
  """
  mask = stack.in_mask[rows if rng is None else rng.permutation(rows)]
  plain = disjoint_draws.plain_scores(stack, rows)
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
  parser.add_argument("--experiment_dir", type=study_dir, required=True)
  parser.add_argument("--models", default="", help="default: all")
  parser.add_argument("--sizes", default="10,20,40,80,160,320")
  parser.add_argument("--draws", type=int, default=20)
  parser.add_argument("--seconds", default="", help="of a run, model=seconds,…")
  parser.add_argument("--figure")
  arguments = parser.parse_args()
  report = evaluate(
    arguments.experiment_dir,
    [name for name in arguments.models.split(",") if name],
    [int(size) for size in arguments.sizes.split(",")],
    arguments.draws,
  )
  for name, value in (
    pair.split("=") for pair in arguments.seconds.split(",") if pair
  ):
    report[name]["seconds per run"] = float(value)
  print(tables(report))
  if arguments.figure:
    draw(report, arguments.figure)
  print(json.dumps({"benchmark": "margin_estimator", "ratios": report}))


if __name__ == "__main__":
  main()
