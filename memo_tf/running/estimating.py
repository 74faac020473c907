"""Estimates what runs of each group cost, from steps timed on this machine.

Steps are timed on every worker at once, as a launch runs them, and for a
limited time: what could not be timed by then is estimated from what a model
computes, or from another size of its family.
"""

import dataclasses
import tempfile
import time

from memo_tf.cli import program
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.running import worker_pool
from memo_tf.store import directory as directory_lib
from memo_tf.store import own_sources

TIME_LIMIT = 50.0  # seconds
TELL_EVERY = 15.0  # seconds
TIMED = "measured steps"
COUNTED = "its size (not timed; may be off by half, more for MobileNets)"

# Of a model and a recipe.
_Kind = tuple[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
  """What groups without a finished run would cost.

  Attributes:
    start_up: seconds until the first run starts, and tracing.
    sizes: (N, T, C) of the data set; None if it could not be read in time.
    seconds: per run without recording, by group; groups of which nothing is
      known are missing.
    recording: seconds that recording adds to a run that records, by group.
    sources: what the seconds come from, by group.
  """

  start_up: float = 0.0
  sizes: tuple[int, int, int] | None = None
  seconds: dict[work_units.Group, float] = dataclasses.field(
    default_factory=dict
  )
  recording: dict[work_units.Group, float] = dataclasses.field(
    default_factory=dict
  )
  sources: dict[work_units.Group, str] = dataclasses.field(default_factory=dict)


def estimate(
  plan: plan_lib.Plan,
  groups: list[work_units.Group],
  workers: int,
  directory: directory_lib.StudyDirectory | None = None,
) -> Estimate:
  """Times what runs of some groups cost, within about `TIME_LIMIT` seconds.

  Args:
    plan: of the study.
    groups: of the plan.
    workers: how many runs train at a time.
    directory: of the study, which may have the sources of own models.

  Raises:
    UsageError: if the data cannot be read.
    StudyError: if a model cannot be timed.
  """
  kinds = _kinds(plan, groups)
  timed, expected = _time_kinds(plan.config, kinds, workers, directory)
  return of_costs(plan, groups, timed, expected)


def of_costs(
  plan: plan_lib.Plan,
  groups: list[work_units.Group],
  timed: dict[_Kind, dict],
  expected: dict[_Kind, dict],
) -> Estimate:
  """The estimate from the costs of models and recipes.

  Args:
    plan: of the study.
    groups: of the plan.
    timed: what `measuring.measure` gave, and the sizes of the data set, by
      model and recipe.
    expected: the same before anything was timed; used where nothing was. What
      is in neither is scaled from another size of its family.
  """
  kinds = _kinds(plan, groups)
  costs = {kind: (timed[kind], TIMED) for kind in kinds if kind in timed}
  for kind in kinds:
    if kind not in costs and kind in expected:
      costs[kind] = (expected[kind], COUNTED)
  for kind in kinds:
    if kind not in costs and (found := _scaled(plan, kind, costs)):
      costs[kind] = (found, COUNTED)
  if not costs:
    return Estimate()
  sample = next(iter(costs.values()))[0]
  seconds, recording, sources = {}, {}, {}
  for group in groups:
    if (group.model, group.recipe) not in costs:
      continue
    cost, sources[group] = costs[group.model, group.recipe]
    steps = _steps(plan, group, int(sample["num_train"]))
    seconds[group] = steps * cost["step"] + cost["fixed"]
    if "recording" in cost:
      recording[group] = cost["recording"]
  num_train, num_test, num_classes = (
    int(sample[name]) for name in ("num_train", "num_test", "num_classes")
  )
  return Estimate(
    start_up=sample.get("session", 0.0)
    + sum(cost.get("trace", 0.0) for cost, _ in costs.values()),
    sizes=(num_train, num_test, num_classes),
    seconds=seconds,
    recording=recording,
    sources=sources,
  )


def _kinds(plan: plan_lib.Plan, groups: list[work_units.Group]) -> list[_Kind]:
  """The models and recipes of groups, smallest models first."""
  return sorted(
    dict.fromkeys((group.model, group.recipe) for group in groups),
    key=lambda kind: plan.models[kind[0]].relative_cost,
  )


def _time_kinds(
  config: config_lib.StudyConfig,
  kinds: list[_Kind],
  workers: int,
  directory: directory_lib.StudyDirectory | None,
) -> tuple[dict[_Kind, dict], dict[_Kind, dict]]:
  """Means over workers of what was timed, and of what is expected, by kind."""
  tasks = [
    {"task": "measure", "model": model, "recipe": recipe, "copy": copy}
    for model, recipe in kinds
    for copy in range(workers)
  ]
  timed: dict[_Kind, list[dict]] = {}
  expected: dict[_Kind, list[dict]] = {}
  program.say(
    f"Timing {len(kinds)} model{'s' if len(kinds) > 1 else ''} on {workers} "
    f"worker{'s' if workers > 1 else ''}; takes up to a minute …"
  )
  started = told = time.monotonic()
  with tempfile.TemporaryDirectory() as nowhere:
    own_sources.keep(
      directory_lib.StudyDirectory(nowhere),
      config,
      [directory] if directory else [],
    )
    setup = {"config": config.to_json(), "experiment_dir": nowhere}
    with worker_pool.WorkerPool(
      workers, setup, threads=config.running.threads_per_unit, log_path=None
    ) as pool:
      for event in pool.run(tasks):
        if event.kind == "failed":
          if event.content.get("usage"):
            raise errors.UsageError(event.content["error"])
          raise errors.StudyError(event.content["error"])
        if event.kind in ("done", "expected") and event.task:
          found = timed if event.kind == "done" else expected
          key = (event.task["model"], event.task["recipe"])
          found.setdefault(key, []).append(event.content)
        now = time.monotonic()
        if now - started > TIME_LIMIT:
          break  # which ends the workers, whatever they are doing
        if now - told > TELL_EVERY:
          told = now
          done = sum(kind in timed for kind in kinds)
          program.say(f"{now - started:.0f} s: timed {done} of {len(kinds)}")
  return _means(timed), _means(expected)


def _means(costs: dict[_Kind, list[dict]]) -> dict[_Kind, dict]:
  """The mean over workers of each number, by kind."""
  return {
    kind: {
      name: sum(cost[name] for cost in found) / len(found)
      for name, value in found[0].items()
      if isinstance(value, int | float)
    }
    for kind, found in costs.items()
  }


def _scaled(plan, kind: _Kind, costs) -> dict | None:
  """The cost of another size of the model's family, times its relative cost."""
  model = plan.models[kind[0]]
  if model_names.is_own(model.name):
    return None  # their ranks say nothing of their cost
  nearest = None
  for (other, recipe), (cost, _) in costs.items():
    if plan.models[other].family == model.family and recipe == kind[1]:
      nearest = plan.models[other], cost  # the largest so far
  if nearest is None:
    return None
  factor = model.relative_cost / nearest[0].relative_cost
  times = ("step", "fixed", "recording")
  return {
    name: value * factor if name in times else value
    for name, value in nearest[1].items()
  }


def _steps(plan, group: work_units.Group, num_train: int) -> int:
  """Training steps per run of a group."""
  recipe = plan.recipes[group.recipe]
  ratio = plan.share_of(group.subsets)
  return recipe.epochs * (round(num_train * ratio) // recipe.batch_size)
