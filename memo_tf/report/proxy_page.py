"""The page's section on proxies: criteria, verdicts, scatter plots."""

import pandas as pd

from memo_tf.findings import proxies
from memo_tf.report import figures

# The columns of the table: heading by criterion.
CRITERIA = {
  "spearman": "Spearman",
  "pearson": "Pearson",
  "kendall": "Kendall",
  "top_overlap": "top 10 %",
  "auroc_memorized": "AUROC ≥ 0.25",
  "auroc_planted": "AUROC planted",
  "spearman_within": "within bins",
}
MAX_POINTS = 2000  # in a scatter plot


def sections(findings: list[proxies.RecipeFindings]) -> list[dict]:
  """What `proxies.html` shows, one entry per ladder and recipe."""
  return [_section(found) for found in findings]


def _section(found: proxies.RecipeFindings) -> dict:
  tables = found.tables
  criteria = tables.criteria
  computed = set(criteria["criterion"])
  return {
    "ladder": found.ladder,
    "recipe": found.recipe,
    "num_runs": {g.result.group.label: g.num_runs for g in found.groups},
    "columns": [text for name, text in CRITERIA.items() if name in computed],
    "sizes": [
      {
        "model": model,
        "rows": [
          {
            "proxy": name,
            "sign": _sign(found.signs[name]),
            "cells": [
              _cell(criteria, name, model, criterion)
              for criterion in CRITERIA
              if criterion in computed
            ],
          }
          for name, by_size in found.proxies.items()
          if model in by_size
        ],
      }
      for model in found.memorization
    ],
    "verdicts": [
      {
        **row,
        "sign": _sign(found.signs[row["proxy"]]),
        "paper": found.papers[row["proxy"]],
        "change": _cell(criteria, row["proxy"], None, "change_spearman"),
      }
      for row in tables.verdicts.to_dict("records")
    ],
    "has_sizes": len(found.memorization) > 1,
    "trends": _trends(found),
    "plots": _plots(found),
  }


def _cell(
  criteria: pd.DataFrame, proxy: str, model: str | None, criterion: str
) -> dict | None:
  """One estimate with its interval; None if it was not computed."""
  rows = criteria[
    (criteria["proxy"] == proxy) & (criteria["criterion"] == criterion)
  ]
  if model is not None:
    rows = rows[rows["size"] == model]
  return rows.iloc[0].to_dict() if len(rows) else None


def _sign(sign: int | None) -> str:
  return {1: "+", -1: "−", None: "unsigned"}[sign]


def _trends(found: proxies.RecipeFindings) -> list[dict]:
  """Mean and bi-modality of every score at every size."""
  if len(found.memorization) < 2:
    return []
  table = found.tables.distributions
  return [
    {
      "score": score,
      "means": [
        part[part["size"] == model]["normalized_mean"].iloc[0]
        if (part["size"] == model).any()
        else float("nan")
        for model in found.memorization
      ],
      "bimodality": [
        part[part["size"] == model]["bimodality"].iloc[0]
        if (part["size"] == model).any()
        else float("nan")
        for model in found.memorization
      ],
    }
    for score, part in table.groupby("score", sort=False)
  ]


def _plots(found: proxies.RecipeFindings) -> list[dict]:
  """Memorization against each proxy, for the largest model that has it."""
  plots = []
  for name, by_size in found.proxies.items():
    model = [m for m in found.memorization if m in by_size][-1]
    plots.append(
      {
        "proxy": name,
        "model": model,
        "figure": figures.proxy_scatter(
          by_size[model],
          found.beside[name][model].values,
          name.replace("_", " "),
          MAX_POINTS,
        ),
      }
    )
  return plots
