"""Recipes beside their baseline: what distillation does to memorization."""

import numpy as np
import pandas as pd

from memo_tf.analysis.distillation import paired
from memo_tf.findings import compared_recipes
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report import worklist
from memo_tf.report.sections import section

TILES = 12
_LINES = (
  ("memorization", "memorization", charts.RED),
  ("in_accuracy", "accuracy in the subset", charts.BLUE),
  ("out_accuracy", "held-out accuracy", charts.ORANGE),
  ("test_accuracy", "test accuracy", charts.GREEN),
)


def make(study: material.Material) -> section.Section | None:
  """One part per recipe and baseline; None without any."""
  parts, found = [], []
  for index, compared in enumerate(study.recipes):
    part, drawn = _part(study, compared, f"distillation-{index}")
    parts.append(part)
    found += drawn
  if not parts:
    return None
  return section.Section(
    name="distillation",
    title="Recipes on the same subsets",
    short="Recipes",
    content={"parts": parts},
    charts=tuple(found),
  )


def _part(study, compared: compared_recipes.RecipeComparison, name: str):
  """What the template shows of one comparison, and its charts."""
  drawn = [*_charts(compared, name), _joint(compared, f"{name}-joint")]
  findings = [
    {"question": f.question, "text": names.plain(f.text, compared.models)}
    for f in compared.findings
  ]
  part = {
    "recipe": names.recipe(compared.recipe.name),
    "baseline": names.recipe(compared.baseline),
    "folder": f"{compared.family}/{compared.subsets}",
    "subsets": compared.subsets,
    "num_runs": compared.num_runs,
    "lead": findings[0]["text"],
    "findings": findings[1:],
    "charts": [chart.name for chart in drawn],
    "changes": _rows(compared.changes),
    "matched": _matched(compared),
    "sets": _rows(_last(compared.set_table)),
    "exposure": _rows(compared.exposure),
    "held_out": _rows(compared.held_out),
    "list": _list(study, compared),
  }
  return part, drawn


def _charts(
  compared: compared_recipes.RecipeComparison, name: str
) -> list[charts.Chart]:
  """Changes by size and, if they are known, by set of images."""
  table = compared.changes
  found = [
    charts.ranges(
      f"{name}-changes",
      "Change from the baseline, with 95 % intervals",
      [names.model(m) for m in table["model"]],
      [_line(table, *line) for line in _LINES],
      y_label="change",
      alt="Changes from the baseline by size; the table has the values",
    )
  ]
  table = _last(compared.set_table)
  if len(table):
    found.append(
      charts.ranges(
        f"{name}-sets",
        "Change of memorization by set of images",
        table["set"].tolist(),
        [_line(table, *_LINES[0])],
        y_label="change of memorization",
        alt="Changes by set of images; the table has the values",
      )
    )
  return found


def _joint(compared: compared_recipes.RecipeComparison, name: str):
  """Scores of both recipes, at the size where their mean changes most."""
  sizes = compared.changes.iloc[: len(compared.models)]
  size = int(np.argmax(np.abs(sizes["memorization_change"])))
  table = compared.joint[compared.joint["size"] == size]
  model = names.model(compared.models[size])
  counts = table["num_examples"]
  low, base = table["other_low"], table["baseline_low"]
  which = f"{model}, whose mean changes most" if len(sizes) > 1 else model
  below, above = int(counts[low < base].sum()), int(counts[low > base].sum())
  return charts.joint_histogram(
    name,
    f"Memorization of each image by both recipes ({which}); below the line it "
    "is lower than in the baseline",
    base.tolist(),
    low.tolist(),
    counts.tolist(),
    width=1 / paired.NUM_BINS,
    x_label="memorization, baseline",
    y_label="memorization, this recipe",
    alt=f"Joint histogram of memorization at {model}: {below:,} images are in "
    f"a lower bin than in the baseline, {above:,} in a higher one, "
    f"{int(counts.sum()) - below - above:,} in the same; joint.csv has the "
    "counts",
  )


def _matched(compared: compared_recipes.RecipeComparison) -> list[dict]:
  """Rows of the comparison at matched training accuracy."""
  rows = _rows(compared.matched)
  for row in rows:
    sides = [
      f"{names.plain(row[side], compared.models)} "
      f"({row[f'{side}_in_accuracy']:.4f})"
      for side in ("lower", "upper")
      if row[side]
    ]
    row["beside"] = " to ".join(dict.fromkeys(sides))
  return rows


def _last(table: pd.DataFrame) -> pd.DataFrame:
  """Of each set that has images the last row: the mean over sizes."""
  if not len(table):
    return table
  last = table.groupby("set", sort=False).last().reset_index()
  return last[last["memorization_change"].notna()]


def _line(table, column: str, name: str, color: str) -> charts.Line:
  return charts.Line(
    name=name,
    values=table[f"{column}_change"].tolist(),
    low=table[f"{column}_change_low"].tolist(),
    high=table[f"{column}_change_high"].tolist(),
    color=color,
  )


def _rows(table: pd.DataFrame) -> list[dict]:
  """Rows for the template, with plain names of models."""
  rows = table.to_dict("records")
  for row in rows:
    row["model"] = names.model(row["model"])
  return rows


def _list(study, compared: compared_recipes.RecipeComparison) -> dict | None:
  """Images whose memorization falls for certain, of the size with most."""
  falls = [found.named()["falls"] for found in compared.example_changes]
  size = int(np.argmax([len(ids) for ids in falls]))
  if not len(falls[size]):
    return None
  changes = compared.example_changes[size]
  return {
    "model": names.model(compared.models[size]),
    "count": len(falls[size]),
    "tiles": [
      worklist.card(study, int(n), study.suspects)
      | {
        "change": float(changes.change[n]),
        "change_low": float(changes.change_ci_low[n]),
        "change_high": float(changes.change_ci_high[n]),
        "q_value": float(changes.change_q_value[n]),
      }
      for n in falls[size][:TILES]
    ],
  }
