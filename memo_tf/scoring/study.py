"""Scores every group of a study and writes the files."""

import dataclasses
import json

import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.scoring import files
from memo_tf.scoring import groups
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
  for scores in (result.scores, *result.further_scores):
    files.write_memorization(directory, group, scores, labels, about)
  if result.influence is not None:
    files.write_influence(
      directory, group, result.influence, config.outputs, about
    )


def score_study(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
) -> list[groups.GroupScores]:
  """Scores every group of a study and writes the files; smallest model first.

  Also writes `scores/summary.json`, the figures of `GroupScores.summary` and,
  if something was planted, of `GroupScores.planted_summary`.
  """
  config, units = plan.config, plan.groups()
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
      write_scores(directory, result, config)
      results.append(result)
  files.write_consistency(
    directory, {r.group: r.stack for r in results}, config
  )
  summary = [
    r.group._asdict()
    | _without_nan(r.summary())
    | {"certainty": r.certainty(config.outputs.interval_width)}
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
    for r in results
  ]
  files_lib.write_atomic(
    directory.root / "scores" / "summary.json",
    json.dumps(summary, indent=2) + "\n",
  )
  return results


def _interval(result: groups.GroupScores) -> list[float] | None:
  """95 % interval of the reliability of all runs; None if unknown."""
  found = result.reliability
  if found is None or np.isnan(found.ci_low):
    return None
  return [found.ci_low, found.ci_high]


def _without_nan(figures: dict) -> dict:
  """Replaces NaN, which JSON does not have, by None."""
  return {
    name: None if isinstance(value, float) and np.isnan(value) else value
    for name, value in figures.items()
  }
