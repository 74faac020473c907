"""Over model sizes: does memorization grow, and for which images?"""

import numpy as np

from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import sizes
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report import worklist
from memo_tf.report.sections import section

TILES = 12
LISTS = {
  "rises": "Memorization rises from the smallest to the largest size",
  "falls": "Memorization falls from the smallest to the largest size",
  "departs": "Memorization departs from the smallest size at a size between",
}


def make(study: material.Material) -> section.Section | None:
  """One part per ladder of sizes; a reason for each that cannot be made."""
  parts, found = [], []
  for index, ladder in enumerate(study.studies):
    part, drawn = _part(study, ladder, f"sizes-{index}")
    parts.append(part)
    found += drawn
  reasons = _reasons(study)
  if not parts and not reasons:
    return None
  return section.Section(
    name="sizes",
    title="Over model sizes",
    short="Sizes",
    content={"parts": parts, "reasons": reasons},
    charts=tuple(found),
    reason="" if parts else " ".join(reasons),
  )


def _reasons(study) -> list[str]:
  """Ladders of two sizes or more that were not studied, each with why."""
  made = {(s.family, s.recipe, s.subsets) for s in study.studies}
  models = plan_lib.Plan.of(study.config).models
  ladders: dict[tuple, list] = {}
  for result in study.results:
    model, recipe, family = result.group
    if model in models and family != "full":
      key = (models[model].ladder, recipe, family)
      ladders.setdefault(key, []).append(result)
  found = []
  for (ladder, recipe, family), members in ladders.items():
    if len(members) < 2 or (ladder, recipe, family) in made:
      continue
    titles = names.listed([names.model(r.group.model) for r in members])
    scheme = subsets_lib.parse_family(family)
    if scheme.scheme == "two_sizes":
      why = "subsets of two sizes give no trajectories"
    else:
      runs = min(len(r.stack.units) for r in members)
      why = (
        f"intervals need two complete blocks of {scheme.block} runs that all "
        f"sizes share, and there are {runs} runs of the size with fewest. "
        f"--num_subsets={2 * scheme.block} or more makes it possible"
      )
    found.append(f"{titles} ({names.recipe(recipe)}) are not compared: {why}.")
  return found


def _part(study, ladder: sizes.SizeStudy, name: str):
  """What the template shows of one ladder, and its charts."""
  labels = [names.model(m) for m in ladder.models]
  by_size, changes = ladder.trends
  modes, _ = ladder.modes
  found = _charts(ladder, labels, name)
  findings = [names.plain(f.text, ladder.models) for f in ladder.findings]
  part = {
    "name": ladder.name,
    "recipe": names.recipe(ladder.recipe),
    "models": labels,
    "num_runs": len(ladder.in_mask),
    # The change from the smallest to the largest size, then all others.
    "finding": findings[len(changes) - 1],
    "findings": [f for i, f in enumerate(findings) if i != len(changes) - 1],
    "noise": ladder.noise_statement,
    "named": ladder.named_statement,
    "lists": _lists(study, ladder),
    "charts": [chart.name for chart in found],
    "rows": [
      {"model": label, "parameters": count} | row | spread
      for label, count, row, spread in zip(
        labels,
        ladder.parameters,
        by_size.join(modes).to_dict("records"),
        ladder.accuracies.to_dict("records"),
      )
    ],
    "shares": ladder.shares,
    "planted": ladder.planted.to_dict("records"),
    "rule": ladder.rule,
    "min_change": ladder.min_change,
  }
  return part, found


def _charts(
  ladder: sizes.SizeStudy, labels: list[str], name: str
) -> list[charts.Chart]:
  """Means, changes, distributions, shapes: the figures of a ladder."""
  by_size, changes = ladder.trends
  _, bins = ladder.modes
  return [
    charts.lines(
      f"{name}-means",
      "Mean memorization, and the two accuracies whose difference it is",
      labels,
      [
        _line(by_size, "memorization", "memorization", charts.RED),
        _line(by_size, "in_accuracy", "accuracy in the subset", charts.BLUE),
        _line(by_size, "out_accuracy", "held-out accuracy", charts.ORANGE),
      ],
      y_label="mean",
      alt="Mean memorization and accuracies by size; the table has the values",
    ),
    charts.ranges(
      f"{name}-changes",
      "Change between sizes, with 95 % intervals",
      [
        f"{labels[s]} → {labels[t]}"
        for s, t in zip(changes["from_size"], changes["to_size"])
      ],
      [
        _line(changes, "memorization", "memorization", charts.RED),
        _line(changes, "in_accuracy", "accuracy in the subset", charts.BLUE),
        _line(changes, "out_accuracy", "held-out accuracy", charts.ORANGE),
      ],
      y_label="change",
      alt="Changes between sizes; the sentences above have the values",
    ),
    _histograms(labels, bins, name),
    charts.ranges(
      f"{name}-shapes",
      "Share of images by shape of trajectory, corrected for noise",
      [row.shape_class for row in ladder.shares],
      [
        charts.Line(
          name="share of images",
          values=[row.share for row in ladder.shares],
          low=[row.ci_low for row in ladder.shares],
          high=[row.ci_high for row in ladder.shares],
          color=charts.PURPLE,
        )
      ],
      y_label="share of images",
      alt="Shares of the shape classes; the table has the values",
    ),
  ]


def _line(table, column: str, name: str, color: str) -> charts.Line:
  return charts.Line(
    name=name,
    values=table[column].tolist(),
    low=table[f"{column}_low"].tolist(),
    high=table[f"{column}_high"].tolist(),
    color=color,
  )


def _histograms(labels, bins, name) -> charts.Chart:
  rows = bins[bins["size"] == 0]
  return charts.steps(
    f"{name}-scores",
    "Distribution of scores",
    [*rows["bin_low"], rows["bin_high"].iloc[-1]],
    [
      charts.Line(
        name=label, values=bins[bins["size"] == size]["share"].tolist()
      )
      for size, label in enumerate(labels)
    ],
    x_label="memorization",
    y_label="share of images",
    alt="Share of scores in bins of width 0.05, one line per size",
  )


def _lists(study, ladder: sizes.SizeStudy) -> list[dict]:
  """The images that may be named as changing: q-value of at most 0.05."""
  changes, found = ladder.example_changes, []
  scores = ladder.evidence.memorization
  for key, ids in changes.named().items():
    start = "largest_departure" if key == "departs" else "change"
    value, low, high, q_value = (
      getattr(changes, f"{start}{end}")
      for end in ("", "_ci_low", "_ci_high", "_q_value")
    )
    tiles = [
      worklist.card(study, int(n), study.suspects)
      | {
        "trajectory": [float(v) for v in scores[:, n]],
        "change": float(value[n]),
        "change_low": float(low[n]),
        "change_high": float(high[n]),
        "q_value": float(q_value[n]),
      }
      for n in np.asarray(ids)[:TILES]
    ]
    if tiles:
      found.append({"name": LISTS[key], "count": len(ids), "tiles": tiles})
  return found
