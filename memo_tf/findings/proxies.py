"""How the proxies of a study compare with its memorization scores.

    comparison/<ladder>/<recipe>/{criteria,distributions,steps,shapes,
                                  shape_agreement,verdicts}.{parquet,csv}

One comparison per ladder of sizes (`ModelName.ladder`) and recipe, small to
large. For intervals, blocks of subset runs are resampled for memorization, with
the same draws at every size, and recording runs for proxies. No run measures
both a proxy and the memorization that it is compared with (`cross_fit`).
Imports no TensorFlow.
"""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import functools
import os

import numpy as np
import pandas as pd

from memo_tf.analysis.proxies import measured
from memo_tf.analysis.proxies import tables as tables_lib
from memo_tf.analysis.proxies import trends
from memo_tf.analysis.trajectories import classify as classify_lib
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.findings import cross_fit
from memo_tf.findings import proxy_values
from memo_tf.findings import sizes as sizes_lib
from memo_tf.findings import table_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib

# Each holds the replicates of a proxy: 80 MB a size for 50,000 images.
MAX_THREADS = 4
# Proxies of all runs, from those of the odd blocks: means of an outcome over
# the runs that held an example out, and d'.
_OF_BLOCKS: dict[str, Callable[..., measured.Measured]] = {
  "cscore": functools.partial(cross_fit.held_out_mean, outcome="correctness"),
  "self_confidence": functools.partial(
    cross_fit.held_out_mean, outcome="label_probability"
  ),
  "membership_separation": cross_fit.membership_separation,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeFindings:
  """The comparison of one ladder of sizes and recipe.

  Attributes:
    ladder, recipe: their names.
    groups: the proxies behind it, smallest model first.
    memorization: by model, of all runs.
    beside: by proxy, then by model: the memorization it is compared with, from
      other runs.
    proxies: float64 `[N]` by name, then by model; `never` above all.
    signs, papers: by name.
    tables: of `analysis.proxy_findings`.
  """

  ladder: str
  recipe: str
  groups: tuple[proxy_values.ProxyGroup, ...]
  memorization: dict[str, measured.Measured]
  beside: dict[str, dict[str, measured.Measured]]
  proxies: dict[str, dict[str, np.ndarray]]
  signs: dict[str, int | None]
  papers: dict[str, str]
  tables: tables_lib.ProxyFindings


def compare_study(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: list[groups_lib.GroupScores],
  *,
  classify: Callable[[np.ndarray], np.ndarray] | None = None,
  studies: Sequence[sizes_lib.SizeStudy] | None = None,
) -> list[RecipeFindings]:
  """Computes, writes and compares the proxies of a study.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`, smallest model first.
    classify: from trajectories `[S, N]` to shape classes `[N]`; None: by
      `--trajectory_rule` and `--min_change`.
    studies: `sizes.study_sizes` of the same results; what they say of a change
      of mean memorization is said here. None: each comparison says its own.

  Returns:
    One entry per ladder and recipe; empty if no proxy is requested.

  Raises:
    StudyError: if a run's records are damaged.
    UsageError: if a file of custom proxies is wrong.
  """
  groups = proxy_values.proxies_of_study(directory, plan, results)
  ladders: dict[tuple[str, str], list[proxy_values.ProxyGroup]] = {}
  for group in groups:
    model, recipe, _ = group.result.group
    key = (plan.models[model].ladder, recipe)
    ladders.setdefault(key, []).append(group)
  found = []
  for key, members in ladders.items():
    rule = classify or _classifier(plan.config.outputs)
    steps = None if studies is None else _steps(studies, *key, members)
    result = _compare(*key, members, rule, steps)
    _write(directory, result)
    found.append(result)
  return found


def _classifier(outputs: settings_lib.OutputsConfig):
  """The study's rule; `default` for `z`, which needs standard errors."""
  rule = outputs.trajectory_rule
  rule = "default" if rule == "z" else rule

  def classify(values: np.ndarray) -> np.ndarray:
    return classify_lib.classify_trajectories(
      values, min_change=outputs.min_change, rule=rule
    ).shape_class

  return classify


def _steps(studies, ladder, recipe, groups) -> pd.DataFrame:
  """What the study over the same sizes says of each step; maybe no rows."""
  rows = []
  for study in studies:
    family = groups[0].result.group.subsets
    if (study.family, study.recipe, study.subsets) != (ladder, recipe, family):
      continue
    for row in study.trends[1].to_dict("records"):
      rows.append(
        {
          "from_size": study.models[row["from_size"]],
          "to_size": study.models[row["to_size"]],
          "change": row["memorization"],
          "ci_low": row["memorization_low"],
          "ci_high": row["memorization_high"],
        }
      )
  columns = ["from_size", "to_size", "change", "ci_low", "ci_high"]
  return pd.DataFrame(rows, columns=columns)


def _compare(ladder, recipe, groups, classify, steps=None) -> RecipeFindings:
  """Compares a few proxies at a time: all their replicates would be large."""
  memorization = _Memorization(groups)
  found: dict[str, dict[str, proxy_values.ProxyGroup]] = {}
  for group in groups:
    for proxy in group.found:
      found.setdefault(proxy.name, {})[group.result.group.label] = group
  kind, _ = groups[0].result.kinds()
  wrong = kind == groups_lib.planted_truth.WRONG
  own = {
    name: {model: _of_name(group, name) for model, group in by_model.items()}
    for name, by_model in found.items()
  }
  signs = {name: _first(by_model).sign for name, by_model in own.items()}

  def compare(name: str):
    beside, shares = memorization.beside(_first(own[name]))
    scores = {
      model: _measured(proxy, found[name][model])
      for model, proxy in own[name].items()
    }
    if shares:
      scores = {
        model: dataclasses.replace(score, shares_runs=True)
        for model, score in scores.items()
      }
    classes = None
    if len(beside) > 1:
      classes = classify(np.stack([m.values for m in beside.values()]))
    table = tables_lib.compare_proxies(
      beside,
      {name: scores},
      {name: signs[name]},
      planted=wrong if wrong.any() else None,
      memorization_classes=classes,
      classify=classify if classes is not None else None,
      memorization_steps=steps,
    )
    return beside, {m: score.values for m, score in scores.items()}, table

  # Sorting takes most of the time, and NumPy releases the GIL in it.
  threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
  with futures.ThreadPoolExecutor(threads) as pool:
    compared = list(pool.map(compare, own))
  alone = tables_lib.compare_proxies(
    memorization.of_all, {}, {}, memorization_steps=steps
  )
  return RecipeFindings(
    ladder=ladder,
    recipe=recipe,
    groups=tuple(groups),
    memorization=memorization.of_all,
    beside={name: beside for name, (beside, _, _) in zip(own, compared)},
    proxies={name: values for name, (_, values, _) in zip(own, compared)},
    signs=signs,
    papers={name: _first(by_model).paper for name, by_model in own.items()},
    tables=_joined(alone, [table for _, _, table in compared]),
  )


def _first(by_model: dict) -> proxy_values.ProxyValues:
  return next(iter(by_model.values()))


def _of_name(group, name) -> proxy_values.ProxyValues:
  return next(proxy for proxy in group.found if proxy.name == name)


def _joined(alone, tables) -> tables_lib.ProxyFindings:
  """The tables of all proxies, memorization's own rows from all its runs."""
  parts = {}
  for field in dataclasses.fields(alone):
    rows = [getattr(table, field.name) for table in tables]
    rows = [
      part[part["score"] != trends.MEMORIZATION] if "score" in part else part
      for part in rows
    ]
    rows = [getattr(alone, field.name), *rows]
    parts[field.name] = pd.concat(
      [part for part in rows if len(part)] or rows[:1], ignore_index=True
    )
  return tables_lib.ProxyFindings(**parts)


def _measured(
  proxy: proxy_values.ProxyValues, group: proxy_values.ProxyGroup
) -> measured.Measured:
  """A proxy with what it owes to the runs that it comes from."""
  if proxy.name in _OF_BLOCKS:
    result = group.result
    rows = cross_fit.odd_blocks(result)
    return _OF_BLOCKS[proxy.name](result, rows=rows)
  if not proxy.per_run:
    return measured.Measured(
      values=proxy.ranked(), shares_runs=proxy.is_of_many_runs
    )
  found = measured.from_recording_runs(
    proxy.ranked_runs(), num_resamples=cross_fit.NUM_RESAMPLES
  )
  return dataclasses.replace(
    found, values=proxy.ranked(), shares_runs=proxy.is_of_many_runs
  )


class _Memorization:
  """Memorization of all sizes, from the runs that a proxy does not use."""

  def __init__(self, groups: list[proxy_values.ProxyGroup]):
    self._groups = {g.result.group.label: g for g in groups}
    self.of_all = {
      model: cross_fit.memorization(g.result)
      for model, g in self._groups.items()
    }
    self._even = self._of_rows(lambda g: ~cross_fit.odd_blocks(g.result))
    self._not_recording = self._of_rows(
      lambda g: cross_fit.other_blocks(g.result, g.recorded)
    )

  def beside(self, proxy: proxy_values.ProxyValues):
    """Memorization by model; and whether it shares runs with the proxy."""
    if proxy.is_custom:
      return self.of_all, False
    if proxy.name in _OF_BLOCKS:
      return self._even or self.of_all, True
    if proxy.is_from_recording:
      return self._not_recording or self.of_all, not self._not_recording
    return self.of_all, True

  def _of_rows(self, choose):
    """From these runs; None if they are of fewer than two blocks anywhere."""
    rows = {model: choose(group) for model, group in self._groups.items()}
    if not all(
      cross_fit.has_two_blocks(g.result, rows[model])
      for model, g in self._groups.items()
    ):
      return None
    return {
      model: cross_fit.memorization(g.result, rows[model])
      for model, g in self._groups.items()
    }


def _write(directory, findings: RecipeFindings) -> None:
  tables = findings.tables
  table_files.write(
    directory,
    ("comparison", findings.ladder, findings.recipe),
    {f.name: getattr(tables, f.name) for f in dataclasses.fields(tables)},
  )
