"""The negative control: only the last layer trained, beside whole models."""

from memo_tf.findings import frozen
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section

_TITLES = {
  frozen.MEMORIZATION: "mean memorization",
  "in_accuracy": "accuracy in the subset",
  "out_accuracy": "held-out accuracy",
  frozen.TEST: "test accuracy",
  frozen.AT_LEAST: "images with memorization of at least {:g}",
  frozen.AT_MOST: "images with memorization of at most -{:g}",
  frozen.WRONG: "mean memorization of planted wrong labels",
  frozen.PAIRS: "influence pairs",
}
_COUNTS = (frozen.AT_LEAST, frozen.AT_MOST, frozen.PAIRS)


def make(study: material.Material) -> section.Section | None:
  """One part per model, subset family and frozen recipe; None without one."""
  parts = [
    {
      "title": f"{names.model(found.model)}, {names.recipe(found.recipe)}",
      "sentences": found.sentences,
      "num_runs": found.num_runs,
      "rows": [
        row
        | {
          "title": _TITLES[row["figure"]].format(found.threshold),
          "digits": 0 if row["figure"] in _COUNTS else 4,
        }
        for row in found.figures.to_dict("records")
      ],
      "folder": f"findings/frozen/{found.model}/{found.subsets}/",
    }
    for found in study.frozen
  ]
  if not parts:
    return None
  return section.Section(
    name="frozen",
    title="Only the last layer trained",
    short="Last layer",
    content={"parts": parts},
  )
