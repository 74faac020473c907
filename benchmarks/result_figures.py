"""Draws docs/results/*.png and *.svg from a finished study.

    python benchmarks/result_figures.py --experiment_dir=DIR --name=digits

`NAME-pairs.png`: the most influential pairs of each model, training image on
the left and test image on the right, with influence, standard error and ids.
`NAME-reliability.svg`: reliability of the scores by number of runs. Prints both
as tables.
"""

import argparse
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
import numpy as np

from memo_tf.estimators import reliability
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets
from memo_tf.scoring import groups
from memo_tf.scoring import study
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening

PAIRS = 6


def draw_pairs(
  results: list[groups.GroupScores], images: np.ndarray, path: pathlib.Path
) -> None:
  """One row of `PAIRS` pairs per model; images `[N + T, H, W, channels]`."""
  figure, axes = plt.subplots(
    len(results),
    2 * PAIRS,
    figsize=(1.1 * 2 * PAIRS, 1.6 * len(results)),
    squeeze=False,
    layout="constrained",
  )
  for axis in axes.ravel():
    axis.set_axis_off()
  print("model, train id, test id, influence, standard error, q")
  for row, result in zip(axes, results):
    pairs, num_train = result.influence, len(result.stack.labels)
    for p in range(min(PAIRS, len(pairs))):
      n, t = int(pairs.train_ids[p]), int(pairs.test_ids[p])
      for axis, index, title in (
        (row[2 * p], n, f"train {n}\n{pairs.influence[p]:.2f}"),
        (
          row[2 * p + 1],
          num_train + t,
          f"test {t}\n± {pairs.standard_error[p]:.2f}",
        ),
      ):
        axis.imshow(np.squeeze(images[index]), cmap="gray")
        axis.set_title(title, fontsize=7)
      print(
        f"{result.group[0]}, {n}, {t}, {pairs.influence[p]:.3f}, "
        f"{pairs.standard_error[p]:.3f}, {pairs.q_value[p]:.2g}"
      )
    row[0].text(
      0, -0.15, result.group[0], transform=row[0].transAxes, fontsize=8
    )
  figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_reliability(
  results: list[groups.GroupScores], path: pathlib.Path
) -> None:
  """Reliability at every number of whole blocks."""
  figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
  print("model, runs, correlation of halves, reliability")
  for result in results:
    block = subsets.parse_family(result.group[2]).block
    num_runs = len(result.stack.units)
    curve = reliability.reliability_curve(
      result.stack.correct,
      result.stack.in_mask,
      counts=list(range(2 * block, num_runs + 1, 2 * block)),
      block=block,
    )
    runs = [point.num_runs for point in curve]
    values = [point.reliability for point in curve]
    axes.plot(runs, values, marker="o", label=result.group[0])
    for point in curve:
      print(
        f"{result.group[0]}, {point.num_runs}, {point.correlation:.3f}, "
        f"{point.reliability:.3f}"
      )
  axes.set_xlabel("runs")
  axes.set_ylabel("reliability")
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8)
  figure.savefig(path, metadata={"Date": None})


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--experiment_dir", required=True)
  parser.add_argument("--name", required=True)
  parser.add_argument("--output_dir", default="docs/results")
  arguments = parser.parse_args()
  directory = directory_lib.StudyDirectory(arguments.experiment_dir)
  config = opening.read_config(directory.config_path.read_bytes())
  results = study.score_study(directory, plan_lib.Plan.of(config))
  images = np.load(directory.dataset_dir / "images.npy", allow_pickle=False)
  folder = pathlib.Path(arguments.output_dir)
  folder.mkdir(parents=True, exist_ok=True)
  draw_pairs(results, images, folder / f"{arguments.name}-pairs.png")
  draw_reliability(results, folder / f"{arguments.name}-reliability.svg")


if __name__ == "__main__":
  main()
