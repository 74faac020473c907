"""Proxies of memorization: verdicts, criteria, and a scatter plot each."""

import numpy as np
import pandas as pd

from memo_tf.findings import proxies
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report import picking
from memo_tf.report.sections import section

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


def make(study: material.Material) -> section.Section | None:
  """One part per ladder and recipe."""
  parts, found = [], []
  for index, compared in enumerate(study.compared):
    part, drawn = _part(compared, f"proxy-{index}")
    parts.append(part)
    found += drawn
  asked = study.config.proxies
  if parts:
    return section.Section(
      name="proxies",
      title="Proxies of memorization",
      short="Proxies",
      content={"parts": parts},
      charts=tuple(found),
    )
  if asked.proxies or asked.proxy_files:
    return section.Section(
      name="proxies",
      title="Proxies of memorization",
      short="Proxies",
      reason="Proxies were asked for, and no run that records them is "
      "finished. The same launch command resumes.",
    )
  return None


def _part(found: proxies.RecipeFindings, name: str):
  tables = found.tables
  criteria = tables.criteria
  computed = set(criteria["criterion"])
  plots = _plots(found, name)
  verdicts = [
    {
      **row,
      "proxy": row["proxy"].replace("_", " "),
      "reason": names.plain(row["reason"], list(found.memorization)),
      "sign": _sign(found.signs[row["proxy"]]),
      "paper": found.papers[row["proxy"]],
      "change": _cell(criteria, row["proxy"], None, "change_spearman"),
    }
    for row in tables.verdicts.to_dict("records")
  ]
  part = {
    "ladder": found.ladder,
    "recipe": names.recipe(found.recipe),
    "num_runs": {
      names.model(g.result.group.model): g.num_runs for g in found.groups
    },
    "sentence": _sentence(verdicts),
    "columns": [text for key, text in CRITERIA.items() if key in computed],
    "sizes": [
      {
        "model": names.model(model),
        "rows": [
          {
            "proxy": proxy.replace("_", " "),
            "sign": _sign(found.signs[proxy]),
            "cells": [
              _cell(criteria, proxy, model, criterion)
              for criterion in CRITERIA
              if criterion in computed
            ],
          }
          for proxy, by_size in found.proxies.items()
          if model in by_size
        ],
      }
      for model in found.memorization
    ],
    "verdicts": verdicts,
    "has_sizes": len(found.memorization) > 1,
    "trends": _trends(found),
    "plots": [chart.name for chart in plots],
  }
  return part, plots


def _sentence(verdicts: list[dict]) -> str:
  """Which proxies track the ranking, in one sentence."""
  judged = [row for row in verdicts if row["tracks_ranking"] is not None]
  if not judged:
    return "Every proxy shares runs with memorization, so none gets a verdict."
  yes = [r["proxy"] for r in judged if r["tracks_ranking"] == "yes"]
  unknown = sum(r["tracks_ranking"] == "cannot tell" for r in judged)
  text = f"Of {names.counted(len(judged), 'proxy', 'proxies')} with a verdict, "
  if yes:
    verb = "tracks" if len(yes) == 1 else "track"
    text += f"{names.listed(yes)} {verb} the ranking by memorization"
  else:
    text += "none is shown to track the ranking by memorization"
  if unknown:
    text += f"; of {unknown} these runs cannot tell"
  return text + "."


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
      "score": str(score).replace("_", " "),
      "means": _by_size(part, found, "normalized_mean"),
      "bimodality": _by_size(part, found, "bimodality"),
    }
    for score, part in table.groupby("score", sort=False)
  ]


def _by_size(part, found, column) -> list[float]:
  values = dict(zip(part["size"], part[column]))
  return [float(values.get(m, np.nan)) for m in found.memorization]


def _plots(found: proxies.RecipeFindings, name: str) -> list[charts.Chart]:
  """Memorization against each proxy, for the largest model that has it."""
  plots = []
  for index, (proxy, by_size) in enumerate(found.proxies.items()):
    model = [m for m in found.memorization if m in by_size][-1]
    x, y = by_size[model], found.beside[proxy][model].values
    known = np.flatnonzero(~np.isnan(x) & ~np.isnan(y))
    if len(known) > MAX_POINTS:
      rng = np.random.default_rng(0)
      known = np.sort(rng.choice(known, MAX_POINTS, replace=False))
    title = proxy.replace("_", " ")
    plots.append(
      picking.scatter(
        f"{name}-{index}",
        f"{title} ({names.model(model)})",
        x[known],
        y[known],
        known,
        x_label=title,
        alt=f"Memorization against {title}; the table has the correlations",
      )
    )
  return plots
