"""Figures of a study over model sizes, as SVG text.

Every function takes the S names of the sizes (`labels`) where it needs them,
and a table of `findings.sizes.SizeStudy`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import shares as shares_lib
from memo_tf.report import figures

_COLORS = {
  "constant": "#7f7f7f",
  "increasing": "#d62728",
  "decreasing": "#1f77b4",
  "cap": "#ff7f0e",
  "u": "#2ca02c",
  "other": "#9467bd",
}


def means(labels: list[str], by_size: pd.DataFrame) -> str:
  """Mean memorization and both accuracies by size, with interval bands."""
  with figures.style():
    figure, axes = plt.subplots(
      1, 2, figsize=(8.6, 3.0), layout="constrained", squeeze=True
    )
    _band(axes[0], labels, by_size, "memorization", "memorization", "#d62728")
    _band(axes[1], labels, by_size, "in_accuracy", "in the subset", "#1f77b4")
    _band(axes[1], labels, by_size, "out_accuracy", "held out", "#ff7f0e")
    return figures.svg(figure)


def decomposition(labels: list[str], changes: pd.DataFrame) -> str:
  """Change of memorization between sizes, split into its two accuracies."""
  with figures.style():
    figure, axes = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    positions = np.arange(len(changes))
    series = (
      ("memorization", "memorization", 1),
      ("in_accuracy", "accuracy in the subset", 1),
      ("out_accuracy", "minus held-out accuracy", -1),
    )
    for number, (column, name, sign) in enumerate(series):
      value = sign * changes[column].to_numpy()
      half = (changes[f"{column}_high"] - changes[f"{column}_low"]) / 2
      axes.errorbar(
        positions + 0.15 * (number - 1),
        value,
        yerr=half.to_numpy(),
        fmt="o",
        capsize=3,
        label=name,
      )
    axes.axhline(0, color="black", linewidth=0.6)
    names = [
      f"{labels[s]}\nto {labels[t]}"
      for s, t in zip(changes["from_size"], changes["to_size"])
    ]
    axes.set_xticks(positions, names, fontsize=7)
    axes.set_ylabel("change")
    axes.legend(frameon=False, fontsize=8)
    return figures.svg(figure)


def histograms(labels: list[str], bins: pd.DataFrame) -> str:
  """Share of scores in bins of width 0.05, one line per size."""
  with figures.style():
    figure, axes = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    for size, label in enumerate(labels):
      rows = bins[bins["size"] == size]
      edges = [*rows["bin_low"], rows["bin_high"].iloc[-1]]
      line = axes.stairs(rows["share"], edges, label=label, linewidth=1.3)
      middle = (rows["bin_low"] + rows["bin_high"]) / 2
      axes.errorbar(
        middle,
        rows["share"],
        yerr=[
          rows["share"] - rows["share_low"],
          rows["share_high"] - rows["share"],
        ],
        fmt="none",
        ecolor=line.get_edgecolor(),
        elinewidth=0.6,
      )
    figures.log_axis(axes, linthresh=0.01)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("memorization")
    axes.set_ylabel("share of images (log above 0.01)")
    axes.legend(frameon=False, fontsize=8)
    return figures.svg(figure)


def shares(rows: list[shares_lib.ShapeShare]) -> str:
  """Shares of the shape classes, by the plain rule and corrected for noise."""
  with figures.style():
    figure, axes = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    positions = np.arange(len(rows))
    axes.bar(
      positions - 0.2,
      [row.measured for row in rows],
      0.36,
      color="#c7c7c7",
      label="plain rule",
    )
    value = np.array([row.share for row in rows])
    axes.bar(
      positions + 0.2,
      value,
      0.36,
      color=[_COLORS[row.shape_class] for row in rows],
      yerr=np.abs(
        [
          value - [row.ci_low for row in rows],
          [row.ci_high for row in rows] - value,
        ]
      ),
      capsize=3,
      label="corrected for noise",
    )
    axes.set_xticks(positions, [row.shape_class for row in rows])
    axes.set_ylabel("share of images")
    axes.legend(frameon=False, fontsize=8)
    return figures.svg(figure)


def class_curves(labels: list[str], table: pd.DataFrame) -> str:
  """Mean in- and held-out accuracy by size for each shape class."""
  names = [n for n in classify.SHAPE_CLASSES if n in set(table["shape_class"])]
  with figures.style():
    figure, axes = plt.subplots(
      1,
      len(names),
      figsize=(2.3 * len(names) + 0.4, 2.6),
      layout="constrained",
      sharey=True,
      squeeze=False,
    )
    for axis, name in zip(axes[0], names):
      rows = table[table["shape_class"] == name]
      _band(axis, labels, rows, "in_accuracy", "in the subset", "#1f77b4")
      _band(axis, labels, rows, "out_accuracy", "held out", "#ff7f0e")
      _band(axis, labels, rows, "memorization", "memorization", "#d62728")
      axis.set_title(f"{name} ({rows['num_examples'].iloc[0]})", fontsize=9)
      axis.legend_.remove()
      axis.tick_params(labelsize=6)
      axis.set_ylim(-0.1, 1.05)
    axes[0][0].legend(frameon=False, fontsize=7)
    return figures.svg(figure)


def _band(
  axes: plt.Axes,
  labels: list[str],
  table: pd.DataFrame,
  column: str,
  name: str,
  color: str,
) -> None:
  """Draws a column as a line, between `<column>_low` and `<column>_high`."""
  positions = np.arange(len(labels))
  axes.plot(positions, table[column], marker="o", label=name, color=color)
  axes.fill_between(
    positions,
    table[f"{column}_low"],
    table[f"{column}_high"],
    alpha=0.2,
    color=color,
    linewidth=0,
  )
  axes.set_xticks(positions, labels, rotation=20, ha="right")
  axes.set_xlim(-0.3, len(labels) - 0.7)
  axes.grid(axis="y", alpha=0.3)
  axes.legend(frameon=False, fontsize=8)
