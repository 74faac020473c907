"""Scores every group of a study and writes the files."""

import dataclasses
import json

import numpy as np

from memo_tf.estimators import widths as widths_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.scoring import files
from memo_tf.scoring import groups
from memo_tf.scoring import margin_columns
from memo_tf.scoring import spending
from memo_tf.store import directory as directory_lib
from memo_tf.store import files as files_lib
from memo_tf.store import origins
from memo_tf.store import predictions


def write_scores(
  directory: directory_lib.StudyDirectory,
  result: groups.GroupScores,
  config: config_lib.StudyConfig,
) -> None:
  """Writes a group's score files: of every outcome, and the pairs."""
  group, labels = result.group, result.stack.labels
  about = files.describe(group, len(result.stack.units), config)
  further: dict = {}
  if result.margin is not None:
    further = margin_columns.columns(result.margin, result.margin_sizes)
    margins_about = about | margin_columns.metadata(result.margin)
  else:
    margins_about = about
  files.write_memorization(
    directory, group, result.scores, labels, margins_about, further
  )
  for scores in result.further_scores:
    files.write_memorization(directory, group, scores, labels, about)
  if result.influence is not None:
    files.write_influence(
      directory,
      group,
      result.influence,
      config.outputs,
      about,
      result.margin_influence,
    )


def score_study(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
) -> list[groups.GroupScores]:
  """Scores every group of a study and writes the files; smallest model first.

  Also writes `scores/summary.json`, the figures of `GroupScores.summary` and,
  if something was planted, of `GroupScores.planted_summary`.
  """
  config, units = plan.config, plan.scored_groups()
  order = sorted(units, key=lambda g: (plan.models[g.model].relative_cost, g))
  examples = predictions.read_examples(directory)
  origin = origins.Origin.of(directory, plan)
  results = []
  for group in order:
    result = groups.score_group(
      directory,
      units[group],
      examples,
      exclude_flagged=config.outputs.exclude_flagged_runs,
      outputs=config.outputs,
      origin=origin,
    )
    if result:
      results.append(result)
  results = _with_sizes(results, plan)
  for result in results:
    write_scores(directory, result, config)
  files.write_consistency(
    directory, {r.group: r.stack for r in results}, config
  )
  targets = {p.group: p for p in spending.progress(config, results)}
  summary = [
    r.group._asdict()
    | _without_nan(r.summary())
    | {"certainty": r.certainty(config.outputs.interval_width)}
    | {"estimator": r.chosen_estimator}
    | {"margin": _without_nan(_margin_figures(r))}
    | {
      "reliability": _without_nan(
        {point.num_runs: point.reliability for point in r.reliability_curve}
      ),
      "reliability_interval": _interval(r),
    }
    | {
      "planted": [
        _without_nan(dataclasses.asdict(row)) for row in r.planted_summary()
      ]
    }
    | ({"target": targets[r.group].summary()} if r.group in targets else {})
    for r in results
  ]
  files_lib.write_atomic(
    directory.root / "scores" / "summary.json",
    json.dumps(summary, indent=2) + "\n",
  )
  return results


def _with_sizes(
  results: list[groups.GroupScores], plan: plan_lib.Plan
) -> list[groups.GroupScores]:
  """The same, with scores of the sizes of each ladder together."""
  ladders: dict[tuple, list[groups.GroupScores]] = {}
  for result in results:
    if result.margin_tally is not None:
      model, recipe, subsets = result.group
      key = plan.models[model].ladder, recipe, subsets
      ladders.setdefault(key, []).append(result)
  together = {
    result.group: scores
    for members in ladders.values()
    if len(members) > 1
    for result, scores in zip(
      members,
      margin_columns.of_sizes(
        [m.margin_tally for m in members if m.margin_tally is not None],
        members[0].examples,
      ),
    )
  }
  return [
    dataclasses.replace(r, margin_sizes=together.get(r.group)) for r in results
  ]


def _interval(result: groups.GroupScores) -> list[float] | None:
  """95 % interval of the reliability of all runs; None if unknown."""
  found = result.reliability
  if found is None or np.isnan(found.ci_low):
    return None
  return [found.ci_low, found.ci_high]


def _margin_figures(result: groups.GroupScores) -> dict:
  """Figures of the scores from margins; empty for whole data."""
  found = result.margin
  if found is None:
    return {}
  widths = widths_lib.margin_widths(found)
  return {
    "mean_interval_width": widths.mean,
    "ambiguous_interval_width": widths.ambiguous,
    "misfit": found.misfit,
    "ambiguous_misfit": found.ambiguous_misfit,
    "prior_degrees_in": found.prior_degrees_in,
    "prior_degrees_out": found.prior_degrees_out,
    "fallbacks": found.fallbacks(),
  }


def _without_nan(figures: dict) -> dict:
  """Replaces NaN, which JSON does not have, by None."""
  return {
    name: None if isinstance(value, float) and np.isnan(value) else value
    for name, value in figures.items()
  }
