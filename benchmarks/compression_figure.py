"""Draws docs/results/*-compression.svg from a study with compressed runs.

    python benchmarks/compression_figure.py --experiment_dir=DIR --name=digits

Reads `findings/compression/`. One row per model: on the left the changes of
mean memorization and of both accuracies, on the right how many of the most
memorized images in the subset are forgotten, beside ordinary images of the same
margins; 95 % intervals. Prints the sentences.
"""

import argparse
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
import numpy as np
import pandas as pd

from memo_tf.analysis import forgetting
from memo_tf.report import names

CHANGES = {
  "memorization": "mean memorization",
  "in_accuracy": "accuracy in the subset",
  "out_accuracy": "held-out accuracy",
}


def draw(folders: list[pathlib.Path], path: pathlib.Path) -> None:
  """One row of two axes per folder of tables."""
  figure, axes = plt.subplots(
    len(folders),
    2,
    figsize=(9, 2.8 * len(folders)),
    squeeze=False,
    layout="constrained",
  )
  for (left, right), folder in zip(axes, folders):
    levels = pd.read_parquet(folder / "levels.parquet")
    rows = pd.read_parquet(folder / "forgotten.parquet")
    rows = rows[
      (rows["where"] == "in") & (rows["group"] == forgetting.MOST_MEMORIZED)
    ]
    title = names.model(levels["model"][0])
    x = np.arange(len(levels))
    for shift, (column, label) in zip((-0.2, 0, 0.2), CHANGES.items()):
      _points(left, x + shift, levels, column, f"{column}_change", label)
    left.axhline(0, color="grey", linewidth=0.8)
    left.set_title(f"{title}: change by compression", fontsize=9)
    right.bar(x - 0.2, rows["rate"], 0.4, label="most memorized")
    right.bar(x + 0.2, rows["expected"], 0.4, label="same margins, ordinary")
    excess = rows["excess"].to_numpy()
    reach = [
      excess - rows["excess_low"].to_numpy(),
      rows["excess_high"].to_numpy() - excess,
    ]
    right.errorbar(
      x - 0.2, rows["rate"], reach, fmt="none", color="black", capsize=2
    )
    right.set_title(f"{title}: forgotten in the subset", fontsize=9)
    for axis in (left, right):
      axis.set_xticks(x, levels["recipe"], fontsize=8)
      axis.legend(fontsize=7)
    print("\n".join(pd.read_parquet(folder / "findings.parquet")["text"]))
  # Fixed, so that the same study gives the same file.
  matplotlib.rcParams["svg.hashsalt"] = "memo_tf"
  figure.savefig(path, metadata={"Date": None})
  print(f"wrote {path}")


def _points(axis, x, levels, column, value, label) -> None:
  middle = levels[value].to_numpy()
  reach = [
    middle - levels[f"{column}_low"].to_numpy(),
    levels[f"{column}_high"].to_numpy() - middle,
  ]
  axis.errorbar(x, middle, reach, fmt="o", markersize=3, capsize=2, label=label)


def main() -> None:
  """Draws the figure of a study."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--experiment_dir", type=pathlib.Path, required=True)
  parser.add_argument("--name", required=True)
  parser.add_argument(
    "--output_dir",
    type=pathlib.Path,
    default=pathlib.Path(__file__).resolve().parents[1] / "docs" / "results",
  )
  options = parser.parse_args()
  found = sorted(
    (options.experiment_dir / "findings" / "compression").glob("*/*"),
    key=lambda folder: int(folder.parent.name.split("-")[1]),
  )
  draw(found, options.output_dir / f"{options.name}-compression.svg")


if __name__ == "__main__":
  main()
