r"""Draws docs/performance/*.svg from the results that `run_all.py` kept.

    python benchmarks/charts.py --results_dir=DIR \
        [--output_dir=docs/performance]

`throughput.svg`: images per second by depth and image shape. `growth.svg`: cost
by M, N and workers. `ratios.svg`: ours against each peer, with intervals. Also
prints an estimate for the paper's study from the throughput at 32x32x3.
"""

import argparse
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
import run_all

# Lukasik et al. (2024): 7 depths, 400 runs each, 450 epochs of 70 % of 50,000.
PAPER_RUNS, PAPER_EPOCHS, PAPER_EXAMPLES = 400, 450, 35_000


def throughput(rates: dict[str, dict[str, float]], path: pathlib.Path) -> None:
  figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
  for shape, by_depth in rates.items():
    depths = [int(depth) for depth in by_depth]
    axes.loglog(depths, list(by_depth.values()), marker="o", label=shape)
  axes.set_xticks(depths, [str(depth) for depth in depths])
  axes.minorticks_off()
  axes.set_xlabel("depth of cifar_resnet")
  axes.set_ylabel("training, images/s")
  axes.grid(alpha=0.3)
  axes.legend(title="image")
  figure.savefig(path, metadata={"Date": None})


def growth(parts: dict[str, dict[str, float]], path: pathlib.Path) -> None:
  titles = {
    "subsets": ("M, subsets", "launch, s"),
    "examples": ("N, examples", "one epoch and evaluation, s"),
    "workers": ("workers on 2 cores", "launch, s"),
  }
  figure, all_axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
  for axes, (part, (label, unit)) in zip(all_axes, titles.items()):
    values = {int(key): value for key, value in parts[part].items()}
    axes.plot(list(values), list(values.values()), marker="o")
    axes.set_xlabel(label)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if part == "workers":
      axes.set_xticks(list(values))
  figure.savefig(path, metadata={"Date": None})


def ratios(results: list[dict], path: pathlib.Path) -> None:
  rows = [
    (f"{result['benchmark']}  {peer}", ratio)
    for result in results
    for peer, ratio in result["ratios"].items()
    if result["benchmark"].startswith(("training", "study"))
  ]
  height = 0.6 + 0.2 * len(rows)
  figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
  for position, (_, (low, median, high)) in enumerate(reversed(rows)):
    axes.plot([low, high], [position, position], color="tab:blue")
    axes.plot(median, position, "o", color="tab:blue", markersize=4)
  axes.axvline(1, color="black", linewidth=0.8)
  axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
  axes.tick_params(axis="y", labelsize=7)
  axes.set_xscale("log")
  ticks = [1, 1.5, 2, 3, 4, 6, 8]
  axes.set_xticks(ticks, [str(tick) for tick in ticks])
  axes.minorticks_off()
  axes.set_xlabel("memo_tf's rate / peer's rate, median and 95 % interval")
  axes.grid(axis="x", alpha=0.3)
  figure.savefig(path, metadata={"Date": None})


def paper_study(by_depth: dict[str, float]) -> None:
  """Prints hours for the paper's study: an estimate, not a measurement."""
  images = PAPER_RUNS * PAPER_EPOCHS * PAPER_EXAMPLES
  hours = {depth: images / rate / 3600 for depth, rate in by_depth.items()}
  for depth, value in hours.items():
    print(f"| {depth} | {by_depth[depth]:,.0f} | {value:,.0f} |")
  print(f"| all {len(hours)} | | {sum(hours.values()):,.0f} |")


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--results_dir", required=True)
  parser.add_argument(
    "--output_dir",
    default=pathlib.Path(__file__).resolve().parents[1] / "docs/performance",
  )
  arguments = parser.parse_args()
  output = pathlib.Path(arguments.output_dir)
  output.mkdir(parents=True, exist_ok=True)
  plt.rcParams["svg.hashsalt"] = "memo_tf"
  paths = sorted(pathlib.Path(arguments.results_dir).glob("*.txt"))
  results = {path.stem: run_all.result(path) for path in paths}
  rates = results["growth-throughput"]["values"]
  throughput(rates, output / "throughput.svg")
  growth(
    {
      part: results[f"growth-{part}"]["values"]
      for part in ("subsets", "examples", "workers")
    },
    output / "growth.svg",
  )
  paired = [results[name] for name in run_all.PAIRED if name in results]
  ratios(paired, output / "ratios.svg")
  paper_study(rates["32x32x3"])


if __name__ == "__main__":
  main()
