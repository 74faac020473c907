"""Over training: when are images memorized, and by which size first?"""

from memo_tf.findings import epochs as epochs_lib
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section

_LINES = (
  ("memorization", "memorization", charts.RED),
  ("in_accuracy", "accuracy in the subset", charts.BLUE),
  ("out_accuracy", "held-out accuracy", charts.ORANGE),
)


def make(study: material.Material) -> section.Section | None:
  """One part per model family; None without `--score_epochs`."""
  if not study.epochs and not study.config.outputs.score_epochs:
    return None
  parts, drawn = [], []
  for index, found in enumerate(study.epochs):
    own = [
      _chart(found, model, f"epochs-{index}-{size}")
      for size, model in enumerate(found.models)
    ]
    drawn += own
    parts.append(
      {
        "title": f"{names.listed([names.model(m) for m in found.models])}, "
        f"{names.recipe(found.recipe)}",
        "sentences": [names.plain(s, found.models) for s in found.sentences],
        "charts": [chart.name for chart in own],
        "num_runs": found.num_runs,
        "rows": [
          row | {"model": names.model(row["model"])}
          for row in found.means.to_dict("records")
        ],
        "folder": f"findings/epochs/{found.name}/",
      }
    )
  reason = ""
  if not parts:
    reason = (
      "Scores over training need two blocks of runs that all sizes share and "
      "that kept the epochs of --score_epochs; there are none yet, or no "
      "recipe has an epoch before its last."
    )
  return section.Section(
    name="epochs",
    title="Over training",
    short="Epochs",
    content={"parts": parts} if parts else {},
    charts=tuple(drawn),
    reason=reason,
  )


def _chart(found: epochs_lib.EpochStudy, model: str, name: str) -> charts.Chart:
  """Mean memorization and accuracies of one size over epochs."""
  table = found.means
  rows = table[(table["model"] == model) & (table["examples"] == "all")]
  return charts.lines(
    name,
    names.model(model),
    [float(epoch) for epoch in rows["epoch"]],
    [
      charts.Line(
        name=title,
        values=rows[column].tolist(),
        low=rows[f"{column}_low"].tolist(),
        high=rows[f"{column}_high"].tolist(),
        color=color,
      )
      for column, title, color in _LINES
    ],
    x_label="epoch",
    y_label="mean",
    alt="Mean memorization and accuracies by epoch; the table has the values",
  )
