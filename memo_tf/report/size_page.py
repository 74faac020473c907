"""The page's section on model sizes: the values that its template shows."""

from collections.abc import Sequence

import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.findings import sizes
from memo_tf.report import galleries
from memo_tf.report import size_figures

TILES_PER_CLASS = 12


def sections(
  studies: Sequence[sizes.SizeStudy], info: dict, images: np.ndarray | None
) -> list[dict]:
  """What `sizes.html` shows, one entry per study over sizes.

  Args:
    studies: from `findings.sizes.study_sizes`.
    info: the data set's `info.json`.
    images: `[N + T, H, W, channels]`; None leaves images out of the page.
  """
  return [_section(study, info, images) for study in studies]


def _section(
  study: sizes.SizeStudy, info: dict, images: np.ndarray | None
) -> dict:
  labels = list(study.models)
  by_size, changes = study.trends
  modes, bins = study.modes
  return {
    "name": study.name,
    "num_runs": len(study.in_mask),
    "min_change": study.min_change,
    "rule": study.rule,
    "findings": study.findings,
    "noise": study.noise_statement,
    "means": size_figures.means(labels, by_size),
    "decomposition": size_figures.decomposition(labels, changes),
    "histograms": size_figures.histograms(labels, bins),
    "shares_chart": size_figures.shares(study.shares),
    "curves": (
      size_figures.class_curves(labels, study.class_means)
      if len(study.class_means)
      else ""
    ),
    "sizes": [
      {"model": model, "parameters": count} | row | spread
      for model, count, row, spread in zip(
        study.models,
        study.parameters,
        by_size.join(modes).to_dict("records"),
        study.accuracies.to_dict("records"),
      )
    ],
    "shares": study.shares,
    "sensitivity": study.sensitivity.to_dict("records"),
    "classes": classify.SHAPE_CLASSES,
    "planted": study.planted.to_dict("records"),
    "galleries": _galleries(study, info, images),
  }


def _galleries(
  study: sizes.SizeStudy, info: dict, images: np.ndarray | None
) -> list[dict]:
  """The images of each class that change most, with their trajectories."""
  scores, names = study.evidence.memorization, info["class_names"]
  span = np.ptp(scores, axis=0)
  classes = study.classes.to_dataframe()
  found = []
  for name in classify.SHAPE_CLASSES:
    member = np.flatnonzero(classes["shape_class"] == name)
    # Constant trajectories do not change: show the most memorized ones.
    value = scores.mean(axis=0) if name == "constant" else span
    order = member[np.argsort(-value[member], kind="stable")][:TILES_PER_CLASS]
    tiles = []
    for n in order:
      row = study.examples.iloc[n]
      tiles.append(
        {
          "id": int(n),
          "image": galleries.picture(images, int(n), info, label=row["label"]),
          "clean_label": names[row["clean_label"]],
          "is_noisy": bool(row["is_noisy"]),
          "trajectory": [float(v) for v in scores[:, n]],
          "probability": float(classes[f"p_{name}"].iloc[n]),
        }
      )
    if tiles:
      found.append({"name": name, "count": len(member), "tiles": tiles})
  return found
