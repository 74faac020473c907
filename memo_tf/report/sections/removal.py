"""Without the memorized images: does accuracy suffer?"""

from typing import Any

import numpy as np

from memo_tf.findings import onion
from memo_tf.findings import removal
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section

_COMPARISONS = {
  "same_classes": "memorized, against random of the same classes",
  "random": "memorized, against random",
  "targeted": "of pairs, against random of the same classes",
}
_TESTS = {
  removal.ALL: "all",
  removal.WITHOUT_TWINS: "without near duplicates",
  removal.OF_PAIRS: "of the pairs",
}

_CHANGES = {
  (onion.BEFORE, onion.MEMORIZED): "without the memorized, since before",
  (onion.BEFORE, onion.CONTROL): "without random ones, since before",
  (onion.CONTROL, onion.MEMORIZED): "memorized instead of random ones",
}


def make(study: material.Material) -> section.Section | None:
  """One part per model; None for studies that remove nothing."""
  asked = study.config.removal
  if not asked.is_asked:
    return None
  parts, drawn = [], []
  for index, found in enumerate(study.removed):
    part, chart = _part(found, f"removal-{index}")
    parts.append(part)
    drawn += [chart] if chart else []
  onions = [make_onion(found) for found in study.onions]
  reason = (
    ""
    if parts or onions
    else "No run without memorized images is finished yet: rerun the same "
    "command."
  )
  return section.Section(
    name="removal",
    title="Without the memorized images",
    short="Removal",
    content={"parts": parts, "onions": onions},
    charts=tuple(drawn),
    reason=reason,
  )


def _part(
  found: removal.RemovalStudy, name: str
) -> tuple[dict[str, Any], charts.Chart | None]:
  """What the template shows of one model, and its chart."""
  rows = [
    row
    | {
      "comparison": _COMPARISONS[row["comparison"]],
      "tests": _TESTS[row["tests"]],
    }
    for row in found.effects.to_dict("records")
  ]
  arms = [
    {"arm": str(arm).replace("_", " "), "threshold": threshold}
    | {
      "num_runs": len(runs),
      "in_accuracy": runs["in_accuracy"].mean(),
      "least": runs["in_accuracy"].min(),
      "test_accuracy": runs["test_accuracy"].mean(),
      "sd": runs["test_accuracy"].std(),
    }
    for (arm, threshold), runs in (
      found.runs.groupby(["arm", "threshold"], dropna=False, sort=False)
      if len(found.runs)
      else ()
    )
  ]
  part = {
    "model": names.model(found.model),
    "sentences": found.sentences,
    "notes": found.notes,
    "rows": rows,
    "arms": arms,
    "folder": f"findings/removal/{found.model}/{found.recipe}/",
    "chart": name if rows else "",
  }
  return part, _chart(found, name) if rows else None


def make_onion(found: onion.OnionStudy) -> dict[str, Any]:
  """What the template shows of one model's memorization without the most."""
  return {
    "model": names.model(found.model),
    "sentences": found.sentences,
    "notes": found.notes,
    "rows": [
      row | {"change": _CHANGES[row["from_arm"], row["to_arm"]]}
      for row in found.changes.to_dict("records")
    ],
    "folder": f"findings/onion/{found.model}/{found.recipe}/",
  }


def _label(threshold: float) -> str:
  """A threshold as the chart shows it; targeted removal has none."""
  return "of pairs" if np.isnan(threshold) else f"t = {threshold:g}"


def _chart(found: removal.RemovalStudy, name: str) -> charts.Chart:
  """The differences with intervals, by threshold, on all test images."""
  table = found.effects[found.effects["tests"] == removal.ALL]
  labels = list(dict.fromkeys(map(_label, table["threshold"])))
  series = []
  for (comparison, words), color in zip(
    _COMPARISONS.items(), (charts.RED, charts.BLUE, charts.PURPLE)
  ):
    own = table[table["comparison"] == comparison]
    if not len(own):
      continue
    by_label = dict(zip(map(_label, own["threshold"]), own.itertuples()))
    value, low, high = (
      [getattr(by_label.get(x), c, float("nan")) for x in labels]
      for c in ("difference", "ci_low", "ci_high")
    )
    series.append(
      charts.Line(name=words, values=value, low=low, high=high, color=color)
    )
  return charts.ranges(
    name,
    "Test accuracy of the control minus that without the images",
    labels,
    series,
    y_label="difference of accuracy",
    alt="Differences with 95 % intervals; the table has the values",
  )
