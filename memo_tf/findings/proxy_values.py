"""Computes proxies of examples from what runs recorded.

    proxies/<model>/<recipe>.parquet     example_id, one column per proxy

A proxy of one run is computed from that run's records; a proxy of an example is
the mean over the recording runs that had it in their subset
(`--proxy_examples=in`), or over all of them. Proxies of many runs come from the
study's predictions. Imports no TensorFlow.
"""

import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memo_tf import proxies
from memo_tf.estimators import exposure
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import proxy_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from memo_tf.store import run_records


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxyValues:
  """One proxy of the examples of one model and recipe.

  Attributes:
    name, sign, paper: as in `PROXIES`; a custom proxy has its file's sign.
    values: float64 `[N]`, raw; NaN where it has no value.
    never: float64 `[N]`, the share of runs in which the event that it waits
      for (being learned, being forgotten) never happened.
    per_run: (values `[N]`, never `[N]`) of each recording run, NaN where the
      run does not count; for agreement among runs, what each adds
      (`_pseudo_values`); empty if it does not come from recording runs.
    is_custom: whether it comes from a file of custom proxies.
    is_of_many_runs: whether it is computed from the predictions of several of
      the study's runs at once.
    is_from_recording: whether it comes from recording runs alone.
  """

  name: str
  sign: int | None
  paper: str
  values: np.ndarray
  never: np.ndarray
  per_run: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
  is_custom: bool = False
  is_of_many_runs: bool = False
  is_from_recording: bool = True

  def ranked(self) -> np.ndarray:
    """`[N]`: the values, with `never` ranked above all others."""
    return proxies.with_never(self.values, self.never, self._bound())

  def ranked_runs(self) -> np.ndarray:
    """`[P, N]`: the same for each recording run."""
    bound = self._bound()
    return np.stack([proxies.with_never(v, n, bound) for v, n in self.per_run])

  def _bound(self) -> float | None:
    """The value for `never`: one more than the largest of any run."""
    parts = [v for v, _ in self.per_run] or [self.values]
    known = np.concatenate([v[~np.isnan(v)] for v in parts])
    return float(known.max()) + 1 if len(known) else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxyGroup:
  """The proxies of one model and recipe, beside its memorization scores.

  Attributes:
    result: the scores.
    found: the proxies.
    recorded: bool `[M]`, which of the runs behind the scores recorded.
  """

  result: groups_lib.GroupScores
  found: tuple[ProxyValues, ...]
  recorded: np.ndarray

  @property
  def num_runs(self) -> int:
    """Number of recording runs."""
    return int(self.recorded.sum())


def proxies_of_study(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: list[groups_lib.GroupScores],
) -> list[ProxyGroup]:
  """Computes and writes the proxies of every model and recipe.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`, smallest model first.

  Returns:
    A group for each of `results` of the study's first subset family whose
    model and recipe have proxies; empty if none are requested.

  Raises:
    StudyError: if a run's records are damaged.
    UsageError: if a file of custom proxies is wrong.
  """
  config = plan.config
  if not plan.proxies and not config.proxies.proxy_files or not results:
    return []
  try:
    own = proxy_files.read(
      config.proxies.proxy_files,
      len(results[0].stack.labels),
      config.models.models,
    )
  except ValueError as error:  # the files were valid when the runs began
    raise errors.UsageError(str(error)) from error
  groups = []
  for result in results:
    model, recipe, family = result.group
    if (
      family != plan.first_family
      or model not in config.models.models
      or recipe not in config.models.recipes
    ):
      continue
    siblings = [
      r for r in results if (r.group.model, r.group.recipe) == (model, recipe)
    ]
    units = [u for u in result.stack.units if plan.does_record(u)]
    found = _of_group(directory, plan, units, result, siblings)
    for mine in own:
      values = mine.of_model(model)
      if values is not None:
        found.append(
          ProxyValues(
            name=mine.name,
            sign=mine.sign,
            paper="",
            values=values,
            never=np.zeros(len(values)),
            is_custom=True,
            is_from_recording=False,
          )
        )
    if found:
      group = ProxyGroup(
        result=result,
        found=tuple(found),
        recorded=np.array([u in set(units) for u in result.stack.units]),
      )
      _write(directory, config, group)
      groups.append(group)
  return groups


def _of_group(directory, plan, units, result, siblings):
  """The chosen proxies of one group whose records exist."""
  per_run: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
  probabilities = []
  for unit in units:
    given = run_records.read_records(directory, unit, plan.recorded_outputs)
    if "probabilities" in given:
      probabilities.append(given["probabilities"])
    given |= {"labels": result.stack.labels}
    row = list(result.stack.units).index(unit)
    counts = np.ones(len(result.stack.labels), bool)
    if plan.config.proxies.proxy_examples == "in":
      counts = result.stack.in_mask[row]
    for name, proxy in plan.proxies.items():
      if _is_of_many_runs(proxy):
        continue
      if run_outputs.is_computed_in_run(proxy):
        if name not in given:
          continue
        values = given[name].astype(np.float64)
        never = np.zeros(len(values), bool)
      elif set(proxy.needs) <= set(given):
        values, never = proxies.evaluate(proxy, given)
      else:
        continue
      values = np.where(counts, values, np.nan)
      per_run.setdefault(name, []).append((values, never & counts))
  many = _records_of_many_runs(result, siblings, probabilities)
  if any("subset_confidence" in p.needs for p in plan.proxies.values()):
    many |= {"subset_confidence": confidence(result.stack)}
  found = []
  for name, proxy in plan.proxies.items():
    about = {"name": name, "sign": proxy.sign, "paper": proxy.paper}
    if name in per_run:
      values, never = proxies.average(per_run[name])
      more = {"per_run": tuple(per_run[name])}
    elif _is_of_many_runs(proxy) and set(proxy.needs) <= set(many):
      values, never = proxies.evaluate(proxy, many)
      more = {"per_run": _pseudo_values(proxy, values, many)}
    else:
      continue
    found.append(
      ProxyValues(
        **about,
        values=values,
        never=never.astype(float),
        is_of_many_runs=_is_of_many_runs(proxy),
        is_from_recording=not run_outputs.FROM_PREDICTIONS & set(proxy.needs),
        **more,
      )
    )
  return found


def _pseudo_values(proxy, values, given) -> tuple:
  """What each recording run adds to a proxy of all recording runs.

  Run r of R adds R v - (R - 1) v_r, with v_r the proxy without run r (the
  jackknife's pseudo-values; Tukey, 1958). For a mean over pairs of runs their
  mean is v, and they vary as the runs of a mean do. Empty for fewer than three.
  """
  found = np.asarray(given.get("probabilities", ()))
  count = len(found)
  if "probabilities" not in proxy.needs or count < 3:
    return ()
  nowhere = np.zeros(len(values), bool)
  parts = []
  for r in range(count):
    without = {**given, "probabilities": np.delete(found, r, axis=0)}
    fewer, _ = proxies.evaluate(proxy, without)
    parts.append((count * values - (count - 1) * fewer, nowhere))
  return tuple(parts)


def _is_of_many_runs(proxy: proxies.Proxy) -> bool:
  return "probabilities" in proxy.needs or bool(
    run_outputs.FROM_PREDICTIONS & set(proxy.needs)
  )


def confidence(
  stack: predictions.RunStack, rows: slice | np.ndarray = slice(None)
) -> np.ndarray:
  """log(p / (1 - p)) of the label's probability p: float32 `[M, N]`.

  Args:
    stack: of the runs.
    rows: those to use.
  """
  num_classes = 1 + int(max(stack.predicted.max(), stack.labels.max()))
  probability, margin = stack.label_prob[rows], stack.margin[rows]
  found = np.empty(probability.shape, np.float32)
  for m, target in enumerate(found):  # a run at a time: float64 copies are big
    target[:] = exposure.logit_confidence(
      probability[m], margin[m], num_classes
    )
  return found


def _records_of_many_runs(result, siblings, probabilities) -> dict:
  """Records that are the predictions of a study's runs."""
  stack = result.stack
  found = {
    "subset_correct": stack.correct,
    "subset_label_prob": stack.label_prob,
    "in_mask": stack.in_mask,
    "labels": stack.labels,
  }
  families = sorted(
    (s for s in siblings if s.group.subsets != "full"),
    key=lambda s: subsets_lib.parse_family(s.group.subsets).ratio,
  )
  if len(families) > 1:
    found["family_correct"] = [s.stack.correct for s in families]
    found["family_in_mask"] = [s.stack.in_mask for s in families]
  if len(probabilities) > 1:
    found["probabilities"] = np.stack(probabilities)
  return found


def _write(directory, config, group: ProxyGroup) -> None:
  """`proxies/<model>/<recipe>.parquet`."""
  labels = group.result.stack.labels
  columns: dict[str, np.ndarray] = {
    "example_id": np.arange(len(labels)),
    "label": labels,
  }
  for proxy in group.found:
    columns[proxy.name] = proxy.values
    if np.isnan(proxy.values).any():
      columns[f"{proxy.name}_known"] = ~np.isnan(proxy.values)
    if proxy.never.any():
      columns[f"{proxy.name}_never"] = proxy.never
  settings = dataclasses.asdict(config.proxies)
  del settings["proxy_files"]  # folders on this machine
  about = {
    "model": group.result.group.model,
    "recipe": group.result.group.recipe,
    "subsets": group.result.group.subsets,
    "num_runs": str(group.num_runs),
    "signs": json.dumps({p.name: p.sign for p in group.found}),
    "papers": json.dumps({p.name: p.paper for p in group.found}),
    "settings": json.dumps(settings),
    "format_version": str(config_lib.FORMAT_VERSION),
  }
  table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
  table = table.replace_schema_metadata(
    {**(table.schema.metadata or {}), **about}
  )
  sink = io.BytesIO()
  pq.write_table(table, sink)
  model, recipe, _ = group.result.group
  path = directory.root / "proxies" / model / f"{recipe}.parquet"
  files.write_atomic(path, sink.getvalue())
