"""Planted truth: does memorization find what was planted?"""

from memo_tf.report import material
from memo_tf.report.sections import section


def make(study: material.Material) -> section.Section | None:
  """Detection of planted wrong labels, and expected scores by kind."""
  groups = [r for r in study.scored if r.planted_summary()]
  if not groups:
    return None
  rows = [
    {"model": study.title(r)} | study.figures(r)
    for r in groups
    if study.figures(r)["num_planted"]
  ]
  return section.Section(
    name="planted",
    title="Planted truth",
    short="Planted",
    content={
      "rows": rows,
      "kinds": [
        {"model": study.title(r), "rows": r.planted_summary()} for r in groups
      ],
    },
  )
