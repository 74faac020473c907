"""Does memorization depend on how much of the data a run has?"""

from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section


def make(study: material.Material) -> section.Section | None:
  """One part per model and recipe; None without a second ratio."""
  parts, drawn = [], []
  for index, found in enumerate(study.ratios):
    table = found.ratios
    drawn.append(
      charts.ranges(
        f"ratios-{index}",
        "Mean memorization by subset ratio, with 95 % intervals",
        [f"{ratio:g}" for ratio in table["ratio"]],
        [
          charts.Line(
            name="memorization",
            values=table["memorization"].tolist(),
            low=table["memorization_low"].tolist(),
            high=table["memorization_high"].tolist(),
            color=charts.RED,
          )
        ],
        y_label="mean memorization",
        alt="Means by ratio; the sentences have the values",
      )
    )
    parts.append(
      {
        "title": f"{names.model(found.model)}, {names.recipe(found.recipe)}",
        "sentences": found.sentences,
        "chart": drawn[-1].name,
        "folder": f"findings/ratios/{found.model}/{found.recipe}/",
      }
    )
  if not parts:
    return None
  return section.Section(
    name="ratios",
    title="By subset ratio",
    short="Ratio",
    content={"parts": parts},
    charts=tuple(drawn),
  )
