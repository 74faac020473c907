"""How the proxies of a study compare with its memorization scores.

    comparison/<ladder>/<recipe>/{criteria,distributions,steps,shapes,
                                  shape_agreement,verdicts}.{parquet,csv}

One comparison per ladder of sizes (`ModelName.ladder`) and recipe, small to
large. For intervals, blocks of subset runs are resampled for memorization, with
the same draws at every size, and recording runs for proxies. Imports no
TensorFlow.
"""

from collections.abc import Callable
from concurrent import futures
import dataclasses
import io
import os

import numpy as np
import pandas as pd

from memo_tf.analysis.proxies import measured
from memo_tf.analysis.proxies import tables as tables_lib
from memo_tf.analysis.trajectories import classify as classify_lib
from memo_tf.estimators import in_out
from memo_tf.estimators import resampling
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import proxy_values
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import files

NUM_RESAMPLES = 200
# Each thread holds a proxy's replicates: 80 MB per size for 50,000 images.
MAX_THREADS = 4
# Proxies that are means of an outcome over the runs that held an example out.
_HELD_OUT = {"cscore": "correctness", "self_confidence": "label_probability"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeFindings:
  """The comparison of one ladder of sizes and recipe.

  Attributes:
    ladder, recipe: their names.
    groups: the proxies behind it, smallest model first.
    memorization: by model.
    proxies: float64 `[N]` by name, then by model; `never` ranks highest.
    signs, papers: by name of the proxy.
    tables: of `analysis.proxy_findings`.
  """

  ladder: str
  recipe: str
  groups: tuple[proxy_values.ProxyGroup, ...]
  memorization: dict[str, measured.Measured]
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
) -> list[RecipeFindings]:
  """Computes, writes and compares the proxies of a study.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`, smallest model first.
    classify: from trajectories `[S, N]` to shape classes `[N]`; None: by
      `--trajectory_rule` and `--min_change`.

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
    result = _compare(*key, members, rule)
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


def _compare(ladder, recipe, groups, classify) -> RecipeFindings:
  """Compares a few proxies at a time, to limit the memory for replicates."""
  memorization = {g.result.group.model: _memorization(g.result) for g in groups}
  found: dict[str, dict[str, proxy_values.ProxyGroup]] = {}
  for group in groups:
    for proxy in group.found:
      found.setdefault(proxy.name, {})[group.result.group.model] = group
  kind, _ = groups[0].result.kinds()
  wrong = kind == groups_lib.planted_truth.WRONG
  classes = None
  if len(memorization) > 1:
    classes = classify(np.stack([m.values for m in memorization.values()]))
  own = {
    name: {model: _of_name(group, name) for model, group in by_model.items()}
    for name, by_model in found.items()
  }
  signs = {name: _first(by_model).sign for name, by_model in own.items()}

  def compare(name: str):
    scores = {
      model: _measured(proxy, found[name][model].result)
      for model, proxy in own[name].items()
    }
    table = tables_lib.compare_proxies(
      memorization,
      {name: scores},
      {name: signs[name]},
      planted=wrong if wrong.any() else None,
      memorization_classes=classes,
      classify=classify if classes is not None else None,
    )
    return {model: score.values for model, score in scores.items()}, table

  # Sorting takes most of the time, and NumPy releases the GIL in it.
  threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
  with futures.ThreadPoolExecutor(threads) as pool:
    compared = list(pool.map(compare, own))
  return RecipeFindings(
    ladder=ladder,
    recipe=recipe,
    groups=tuple(groups),
    memorization=memorization,
    proxies={name: values for name, (values, _) in zip(own, compared)},
    signs=signs,
    papers={name: _first(by_model).paper for name, by_model in own.items()},
    tables=_joined([table for _, table in compared]),
  )


def _first(by_model: dict) -> proxy_values.ProxyValues:
  return next(iter(by_model.values()))


def _of_name(group, name) -> proxy_values.ProxyValues:
  return next(proxy for proxy in group.found if proxy.name == name)


def _joined(tables) -> tables_lib.ProxyFindings:
  """The tables of all proxies; rows of memorization, in each, only once."""
  parts = {}
  for field in dataclasses.fields(tables[0]):
    rows = [getattr(table, field.name) for table in tables]
    parts[field.name] = pd.concat(
      [part for part in rows if len(part)] or rows[:1], ignore_index=True
    ).drop_duplicates(ignore_index=True)
  return tables_lib.ProxyFindings(**parts)


def _memorization(result: groups_lib.GroupScores) -> measured.Measured:
  """A group's memorization scores, with replicates over blocks of its runs."""
  values = result.scores.memorization
  block = subsets_lib.parse_family(result.group.subsets).block
  stack = result.stack
  bootstrap = _bootstrap(len(stack.units), block)
  if bootstrap is None:
    return measured.Measured(values=values)
  halves = result.reliability
  reliability = rank_reliability = float("nan")
  if halves is not None:
    reliability = halves.reliability
    r = halves.rank_correlation
    rank_reliability = 2 * r / (1 + r) if r > 0 else float("nan")
  in_mean, out_mean = in_out.in_out_means(
    stack.correct, stack.in_mask, _drawn(bootstrap)
  )
  return measured.from_subset_runs(
    values,
    in_mean - out_mean,
    num_blocks=bootstrap.num_blocks,
    reliability=reliability,
    rank_reliability=rank_reliability,
  )


def _measured(
  proxy: proxy_values.ProxyValues, result: groups_lib.GroupScores
) -> measured.Measured:
  """A proxy with replicates over the runs that it comes from, if any."""
  if proxy.per_run:
    found = measured.from_recording_runs(
      proxy.ranked_runs(), num_resamples=NUM_RESAMPLES
    )
    return dataclasses.replace(found, values=proxy.ranked())
  if proxy.name in _HELD_OUT:
    stack = result.stack
    block = subsets_lib.parse_family(result.group.subsets).block
    bootstrap = _bootstrap(len(stack.units), block)
    if bootstrap is not None:
      outcome = stack.outcome(_HELD_OUT[proxy.name])
      return measured.from_subset_runs(
        proxy.values,
        in_out.held_out_mean(outcome, stack.in_mask, _drawn(bootstrap)),
        num_blocks=bootstrap.num_blocks,
        shares_runs=True,
      )
  shares = not proxy.is_own
  return measured.Measured(values=proxy.ranked(), shares_runs=shares)


def _bootstrap(num_runs: int, block: int) -> resampling.PairedBootstrap | None:
  """Draws of blocks of subset runs; None with fewer than two blocks.

  The same for all groups with equally many runs, so that draws are paired.
  """
  return resampling.paired_bootstrap(
    num_runs,
    block=block,
    num_resamples=NUM_RESAMPLES,
    min_blocks=1,
    draw="indices",
  )


def _drawn(bootstrap: resampling.PairedBootstrap) -> np.ndarray:
  """Weights `[R, M]` of the replicates; float32 halves memory and time."""
  return bootstrap.weights[1:].astype(np.float32, order="C")


def summary_lines(findings: list[RecipeFindings]) -> list[str]:
  """The verdicts as text, one line per proxy."""
  lines = []
  for found in findings:
    lines += ["", f"proxies of memorization: {found.ladder}, {found.recipe}"]
    for row in found.tables.verdicts.itertuples():
      lines.append(f"  {row.proxy:28} {row.verdict}: {row.reason}")
  return lines


def _write(directory, findings: RecipeFindings) -> None:
  folder = directory.root.joinpath(
    "comparison", findings.ladder, findings.recipe
  )
  for field in dataclasses.fields(findings.tables):
    table = getattr(findings.tables, field.name)
    sink = io.BytesIO()
    table.to_parquet(sink, index=False)
    files.write_atomic(folder / f"{field.name}.parquet", sink.getvalue())
    files.write_atomic(folder / f"{field.name}.csv", table.to_csv(index=False))
