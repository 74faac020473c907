"""The page's section on model sizes: the values that its template shows."""

from collections.abc import Sequence

import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.findings import sizes
from memo_tf.report import galleries
from memo_tf.report import size_figures

TILES_PER_LIST = 12
# Headings of the lists of `ExampleChanges.named`.
LISTS = {
  "rises": "Memorization rises from the smallest to the largest size",
  "falls": "Memorization falls from the smallest to the largest size",
  "departs": "Memorization departs from the smallest size at a size between",
}


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
    "named": study.named_statement,
    "galleries": _galleries(study, info, images),
  }


def _galleries(
  study: sizes.SizeStudy, info: dict, images: np.ndarray | None
) -> list[dict]:
  """The images that may be named as changing, with their trajectories."""
  scores, names = study.evidence.memorization, info["class_names"]
  changes, found = study.example_changes, []
  for key, ids in changes.named().items():
    start = "largest_departure" if key == "departs" else "change"
    value, low, high, q_value = (
      getattr(changes, f"{start}{end}")
      for end in ("", "_ci_low", "_ci_high", "_q_value")
    )
    tiles = []
    for n in ids[:TILES_PER_LIST]:
      row = study.examples.iloc[n]
      tiles.append(
        {
          "id": int(n),
          "image": galleries.picture(images, int(n), info, label=row["label"]),
          "clean_label": names[row["clean_label"]],
          "is_noisy": bool(row["is_noisy"]),
          "trajectory": [float(v) for v in scores[:, n]],
          "change": float(value[n]),
          "low": float(low[n]),
          "high": float(high[n]),
          "q_value": float(q_value[n]),
        }
      )
    if tiles:
      found.append({"name": LISTS[key], "count": len(ids), "tiles": tiles})
  return found
