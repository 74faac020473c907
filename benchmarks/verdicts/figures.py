r"""Draws a figure for each finding of docs/studies/plan.md.

    python -m benchmarks.verdicts.figures --a=DIR --b=DIR --c=DIR --d=DIR \
        --e=DIR --f=DIR --output_dir=docs/studies

Takes the same folders as `python -m benchmarks.verdicts`, of `--a=DIR,COPY` the
first; figures whose study is not given are left out. They show what the
verdicts rest on, and decide nothing. The same studies give the same files.
"""

import argparse
from collections.abc import Callable
from collections.abc import Collection
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.verdicts import __main__ as program
from benchmarks.verdicts import drawing
from benchmarks.verdicts import image_figures
from benchmarks.verdicts import over_removal
from benchmarks.verdicts import over_sizes
from benchmarks.verdicts import study as study_lib
from memo_tf.experiment import errors
from memo_tf.findings import sizes
from memo_tf.report import names

_MEANS = {
  "memorization": "mean memorization",
  "in_accuracy": "accuracy in the subset",
  "out_accuracy": "held-out accuracy",
}
_W2 = over_sizes.WIDTHS[-1]


def ladders(studies: drawing.Studies) -> dict[str, sizes.SizeStudy]:
  """The ladders of widths of the studies (a) and (d), by their title."""
  found = {}
  if "a" in studies:
    found["(a) Fashion-MNIST"] = studies["a"].ladder(over_sizes.WIDTHS)
  if "d" in studies:
    found["(d) digits"] = studies["d"].ladder(over_sizes.DIGITS_WIDTHS)
  return found


def means_by_size(studies: drawing.Studies) -> plt.Figure:
  """1: memorization is in-accuracy less held-out accuracy."""
  found = ladders(studies)
  figure, axes = drawing.axes(1, len(found), (4.5, 3.2))
  for axis, (title, ladder) in zip(axes[0], found.items()):
    by_size = ladder.trends[0]
    x = np.arange(len(by_size))
    for column, label in _MEANS.items():
      drawing.with_interval(axis, x, by_size, column, label)
    axis.set_xticks(x, [drawing.width(m) for m in ladder.models])
    axis.set(title=title, xlabel="width of ResNet-8", ylabel="mean")
    axis.legend(fontsize=7)
  return figure


def shares_by_class(studies: drawing.Studies) -> plt.Figure:
  """2, 3: shares of the shape classes, corrected for noise."""
  found = ladders(studies)
  if "a" in studies:
    found["(a), widths 0.5 to 2"] = studies["a"].ladder(over_sizes.UPPER)
  figure, axes = drawing.axes(1, len(found), (4, 3))
  for axis, (title, ladder) in zip(axes[0], found.items()):
    table = pd.DataFrame([vars(share) for share in ladder.shares])
    table = table[table["shape_class"] != "constant"]
    table = table.rename(
      columns={"ci_low": "share_low", "ci_high": "share_high"}
    )
    x = np.arange(len(table))
    axis.bar(x, table["share"], color="tab:blue", alpha=0.5)
    drawing.with_interval(axis, x, table, "share", None, fmt=".", color="black")
    axis.set_xticks(x, table["shape_class"], fontsize=7)
    axis.set(title=title, ylabel="share of images")
  return figure


def histograms(studies: drawing.Studies) -> plt.Figure:
  """4: how scores are distributed at every size."""
  found = ladders(studies)
  figure, axes = drawing.axes(1, len(found), (4.5, 3.2))
  for axis, (title, ladder) in zip(axes[0], found.items()):
    bins = ladder.modes[1]
    for model, rows in bins.groupby("size", sort=False):
      label = drawing.width(ladder.models[int(model)])
      axis.stairs(
        rows["share"],
        [*rows["bin_low"], rows["bin_high"].iloc[-1]],
        label=label,
      )
    axis.set_yscale("log")
    axis.set(title=title, xlabel="memorization", ylabel="share of images")
    axis.legend(title="width", fontsize=7)
  return figure


def proxies(studies: drawing.Studies) -> plt.Figure:
  """5: correlations of proxies with scores and changes, and their ceilings."""
  table = studies["a"].table("comparison/cifar_resnet/one_hot/criteria.parquet")
  table = table[~table["shares_runs"]]
  figure, axes = drawing.axes(1, 2, (5, 3.6))
  for axis, criterion, title in (
    (axes[0, 0], "spearman", "scores of width 2"),
    (axes[0, 1], "change_spearman", "changes, smallest to largest width"),
  ):
    rows = table[table["criterion"] == criterion]
    if criterion == "spearman":
      rows = rows[rows["size"] == _W2]
    rows = rows.rename(
      columns={"ci_low": "estimate_low", "ci_high": "estimate_high"}
    )
    y = np.arange(len(rows))
    reach = drawing.reach(rows, "estimate")
    axis.errorbar(rows["estimate"], y, xerr=reach, fmt="o", markersize=3)
    axis.plot(rows["ceiling"], y, "|", color="black", label="ceiling by noise")
    axis.set_yticks(y, rows["proxy"], fontsize=6)
    axis.axvline(0, color="grey", linewidth=0.8)
    axis.set(title=title, xlabel="Spearman's correlation with memorization")
    axis.legend(fontsize=7)
  return figure


def distillation(studies: drawing.Studies) -> plt.Figure:
  """6: memorization of both recipes, on average and image by image."""
  b = studies["b"]
  recipes = {"one-hot": "one_hot", "distilled": over_sizes.STUDENT}
  figure, axes = drawing.axes(1, 2, (4.5, 3.4))
  for label, recipe in recipes.items():
    by_size = b.ladder(over_sizes.WIDTHS, recipe).trends[0]
    x = np.arange(len(by_size))
    drawing.with_interval(axes[0, 0], x, by_size, "memorization", label)
  axes[0, 0].set_xticks(x, [drawing.width(m) for m in over_sizes.WIDTHS])
  axes[0, 0].set(xlabel="width of ResNet-8", ylabel="mean memorization")
  axes[0, 0].legend(fontsize=7)
  both = [
    b.scores(over_sizes.BASE, recipe).scores.memorization
    for recipe in recipes.values()
  ]
  known = ~np.isnan(both).any(axis=0)
  *_, drawn = axes[0, 1].hist2d(
    both[0][known],
    both[1][known],
    bins=[np.linspace(-0.5, 1, 31)] * 2,
    norm=matplotlib.colors.LogNorm(),
  )
  axes[0, 1].plot([-0.5, 1], [-0.5, 1], color="grey", linewidth=0.8)
  axes[0, 1].set(
    title="ResNet-8", xlabel="memorization, one-hot", ylabel="distilled"
  )
  figure.colorbar(drawn, ax=axes[0, 1], label="images")
  return figure


def consistency(studies: drawing.Studies) -> plt.Figure:
  """9: Jaccard index of the images above a threshold (`analysis.agreement`)."""
  c = studies["c"]
  curves = c.table(
    f"findings/agreement/one_hot/{c.plan.first_family}/curves.parquet"
  )
  figure, axes = drawing.axes(1, 1, (5.5, 3.6))
  for (first, second), rows in curves.groupby(["first", "second"], sort=False):
    own = first == second
    axes[0, 0].plot(
      rows["threshold"],
      rows["within" if own else "jaccard"],
      linestyle="--" if own else "-",
      label=names.model(first) + ("" if own else f" and {names.model(second)}"),
    )
  axes[0, 0].set(
    xlabel="memorization of at least",
    ylabel="Jaccard index, even and odd blocks",
    ylim=(0, 1),
  )
  axes[0, 0].legend(fontsize=7)
  return figure


def removal_arms(studies: drawing.Studies) -> plt.Figure:
  """10: what accuracy loses without the images, against each control."""
  table = studies["f"].table(
    f"findings/removal/{over_sizes.BASE}/one_hot/effects.parquet"
  )
  table = table[table["threshold"].isin([over_removal.THRESHOLD, np.nan])]
  table = table.rename(
    columns={"ci_low": "difference_low", "ci_high": "difference_high"}
  )
  figure, axes = drawing.axes(1, 1, (6, 0.6 + 0.4 * len(table)))
  y = np.arange(len(table))[::-1]
  axes[0, 0].errorbar(
    table["difference"], y, xerr=drawing.reach(table, "difference"), fmt="o"
  )
  axes[0, 0].set_yticks(
    y,
    [f"{c}, {t}" for c, t in zip(table["comparison"], table["tests"])],
    fontsize=7,
  )
  axes[0, 0].axvline(0, color="grey", linewidth=0.8)
  axes[0, 0].set(xlabel="test accuracy of the control less that of the arm")
  return figure


def both_kinds(studies: drawing.Studies) -> plt.Figure:
  """11: scores of planted and of natural images at both widths of (e)."""
  a, e = studies["a"], studies["e"]
  models = (over_sizes.UPPER[0], over_sizes.UPPER[2])
  planted = e.scores(models[0]).examples["is_noisy"].to_numpy(bool)
  natural = ~planted & (a.scores(models[0]).scores.memorization >= 0.25)
  figure, axes = drawing.axes(1, 2, (4, 3))
  for axis, mask, title in (
    (axes[0, 0], natural, "natural, chosen in (a)"),
    (axes[0, 1], planted, "planted wrong labels"),
  ):
    for model in models:
      axis.hist(
        e.scores(model).scores.memorization[mask],
        bins=np.linspace(-0.5, 1, 31),
        histtype="step",
        label=f"width {drawing.width(model)}",
      )
    axis.set(
      title=f"{title} ({mask.sum()})", xlabel="memorization", ylabel="images"
    )
    axis.legend(fontsize=7)
  return figure


# File name, the studies that it needs (one of them is enough for "a|d"), and
# what draws it.
FIGURES: tuple[
  tuple[str, str, Callable[[drawing.Studies], plt.Figure]], ...
] = (
  ("finding-1-sizes.svg", "a|d", means_by_size),
  ("finding-2-3-shapes.svg", "a|d", shares_by_class),
  ("finding-4-histograms.svg", "a|d", histograms),
  ("finding-5-proxies.svg", "a", proxies),
  ("finding-6-distillation.svg", "b", distillation),
  ("finding-7-memorized.png", "a", image_figures.most_memorized),
  ("finding-8-pairs.png", "a", image_figures.influence_pairs),
  ("finding-9-consistency.svg", "c", consistency),
  ("finding-10-removal.svg", "f", removal_arms),
  ("finding-11-kinds.svg", "ae", both_kinds),
)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  for name in program.STUDIES:
    parser.add_argument(f"--{name}", help=f"folder of study ({name})")
  parser.add_argument("--output_dir", type=pathlib.Path, required=True)
  arguments = parser.parse_args()
  given = {n: getattr(arguments, n) for n in program.STUDIES}
  given = {n: folder for n, folder in given.items() if folder}
  if not _wanted(given):
    parser.error(
      "give the folder of a study, such as --a=DIR; (e) also needs (a)"
    )
  if not arguments.output_dir.is_dir():
    parser.error(f"--output_dir={arguments.output_dir} is no folder")
  try:
    studies = {}
    for name, folder in given.items():
      print(f"reading ({name})", file=sys.stderr, flush=True)
      studies[name] = study_lib.Study.open(folder.partition(",")[0])
    _draw(studies, arguments.output_dir)
  except errors.StudyError as error:
    parser.error(str(error))


def _wanted(given: Collection[str]) -> list[tuple[str, Callable]]:
  """File name and what draws it, of the figures of the given studies."""
  return [
    (file_name, draw)
    for file_name, needed, draw in FIGURES
    if (any if "|" in needed else all)(
      name in given for name in needed.replace("|", "")
    )
  ]


def _draw(studies: drawing.Studies, output_dir: pathlib.Path) -> None:
  """Writes the figures whose studies are given."""
  matplotlib.rcParams["svg.hashsalt"] = "memo_tf"
  for file_name, draw in _wanted(studies):
    figure = draw(studies)
    path = output_dir / file_name
    is_png = path.suffix == ".png"
    figure.savefig(
      path, dpi=130, metadata={"Software" if is_png else "Date": None}
    )
    plt.close(figure)
    print(f"wrote {path}")


if __name__ == "__main__":
  main()
