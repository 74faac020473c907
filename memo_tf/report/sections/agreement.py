"""Do models memorize the same images, beyond what noise lets one see?"""

from typing import Any

from memo_tf.findings import agreement
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section


def make(study: material.Material) -> section.Section | None:
  """One part per recipe and subset family; None if none has enough runs."""
  parts, drawn = [], []
  for index, found in enumerate(study.agreed):
    part, chart = _part(found, f"agreement-{index}")
    parts.append(part)
    drawn.append(chart)
  if not parts:
    return None
  return section.Section(
    name="agreement",
    title="Do models agree?",
    short="Agreement",
    content={"parts": parts},
    charts=tuple(drawn),
  )


def _part(
  found: agreement.ModelAgreement, name: str
) -> tuple[dict[str, Any], charts.Chart]:
  """What the template shows of one recipe and subset family."""
  rows = [
    row | {end: names.model(row[end]) for end in ("first", "second")}
    for row in found.models.to_dict("records")
  ]
  part = {
    "recipe": names.recipe(found.recipe),
    "sentences": found.sentences,
    "rows": rows,
    "chart": name,
    "folder": f"findings/agreement/{found.recipe}/{found.subsets}/",
  }
  return part, _chart(found, name)


def _chart(found: agreement.ModelAgreement, name: str) -> charts.Chart:
  """The Jaccard indices over the threshold; those of halves are noise."""
  lines = []
  table = found.curves
  for (first, second), rows in table.groupby(["first", "second"], sort=False):
    is_same = first == second
    words = f"{names.model(str(first))}, halves of its runs"
    if not is_same:
      words = f"{names.model(str(first))} and {names.model(str(second))}"
    values = rows["within" if is_same else "jaccard"].tolist()
    lines.append(charts.Line(name=words, values=values))
  thresholds = [f"{t:g}" for t in dict.fromkeys(table["threshold"])]
  return charts.lines(
    name,
    "Jaccard index of the images above a threshold, from disjoint runs",
    thresholds,
    lines,
    x_label="threshold",
    y_label="Jaccard index",
    alt="Jaccard indices over the threshold; curves.csv has the values",
  )
