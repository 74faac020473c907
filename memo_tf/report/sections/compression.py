"""Compressed models: what is lost, and whether margins alone explain it."""

from memo_tf.findings import compression
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section

_CHANGES = (
  ("memorization", "memorization", charts.RED),
  ("in_accuracy", "accuracy in the subset", charts.BLUE),
  ("out_accuracy", "held-out accuracy", charts.ORANGE),
)


def make(study: material.Material) -> section.Section | None:
  """One part per model and subset family with compressed runs."""
  parts, found = [], []
  for index, compressed in enumerate(study.compressed):
    part, drawn = _part(compressed, f"compression-{index}")
    parts.append(part)
    found += drawn
  if not parts:
    return None
  return section.Section(
    name="compression",
    title="Compressed models",
    short="Compression",
    content={"parts": parts},
    charts=tuple(found),
  )


def _part(study: compression.CompressionStudy, name: str):
  levels = study.by_level
  labels = [names.recipe(recipe) for recipe in levels["recipe"]]
  chart = charts.ranges(
    f"{name}-changes",
    "Change by compression, with 95 % intervals",
    labels,
    [
      charts.Line(
        name=title,
        values=levels[f"{column}_change"].tolist(),
        low=levels[f"{column}_low"].tolist(),
        high=levels[f"{column}_high"].tolist(),
        color=color,
      )
      for column, title, color in _CHANGES
    ],
    y_label="change",
    alt="Changes by compression; the table has the values",
  )
  forgotten = study.forgotten.assign(
    place=study.forgotten["where"].map(compression.WHERE),
    title=study.forgotten["recipe"].map(names.recipe),
  )
  part = {
    "model": names.model(study.model),
    "subsets": study.subsets,
    "folder": f"findings/compression/{study.model}/{study.subsets}/",
    "chart": chart.name,
    "findings": study.sentences,
    "levels": [
      row | {"title": label}
      for label, row in zip(labels, levels.to_dict("records"))
    ],
    # Held out, nearly nothing that is memorized was right before.
    "forgotten": forgotten[forgotten["num_right"] > 0].to_dict("records"),
  }
  return part, [chart]
