"""Which units a study asks for, what each requires, and which outputs are wanted."""

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units


def plan(config: config_lib.StudyConfig) -> list[work_units.WorkUnit]:
  """The units that a study asks for, costliest models first.

  Costliest first, so that at the end no worker waits long for another's run;
  and model by model, so that a worker traces a model once.
  """
  models = sorted(
    config.models.models,
    key=lambda name: (-model_names.parse(name).relative_cost, name),
  )
  asked = [
    work_units.WorkUnit(model, recipe, family, index)
    for model in models
    for recipe in config.models.recipes
    for family in config.family_names()
    for index in range(config.subsets.num_subsets)
  ]
  units = dict.fromkeys(asked)
  for unit in asked:
    for needed in _closure(unit, config.training):
      check_same_subset(unit, needed)
      units.setdefault(needed)
  return list(units)


def check_same_subset(
  unit: work_units.WorkUnit, needed: work_units.WorkUnit
) -> None:
  """Refuses a unit that learns from another that was trained on other examples.

  Raises:
    ValueError: if the subset families or the indices differ.
  """
  if (needed.subsets, needed.index) != (unit.subsets, unit.index):
    raise ValueError(
      "What a unit learns from must be trained on exactly its own subset, or "
      "examples that are held out of it reach it all the same. Received: "
      f"{unit.name} with {needed.name}"
    )


def requires(
  unit: work_units.WorkUnit, training: settings_lib.TrainingConfig
) -> tuple[work_units.WorkUnit, ...]:
  """The units that must be finished before this one, on the same subset.

  Same family and same index: holding an example out of the unit then holds it
  out of what the unit learns from as well (design rule 1).
  """
  recipe = recipes.parse(unit.recipe, training)
  return tuple(
    work_units.WorkUnit(model, required, unit.subsets, unit.index)
    for model, required in recipe.required
  )


def waves(
  units: list[work_units.WorkUnit], training: settings_lib.TrainingConfig
) -> list[list[work_units.WorkUnit]]:
  """Splits units into waves: what a unit requires is in an earlier wave.

  Requirements outside `units` count as met; who calls knows whether they are.
  """
  depth: dict[work_units.WorkUnit, int] = {}
  members = set(units)

  def level(unit: work_units.WorkUnit) -> int:
    if unit not in depth:
      needed = [u for u in requires(unit, training) if u in members]
      depth[unit] = 1 + max((level(u) for u in needed), default=-1)
    return depth[unit]

  result: list[list[work_units.WorkUnit]] = []
  for unit in units:
    while len(result) <= level(unit):
      result.append([])
    result[level(unit)].append(unit)
  return result


def wanted_outputs(
  config: config_lib.StudyConfig, units: list[work_units.WorkUnit]
) -> dict[work_units.WorkUnit, frozenset[str]]:
  """Which outputs somebody wants of each unit (done is per output).

  Predictions and history always; logits and weights if asked for; weights of
  whatever another unit requires; what proxies need of the runs that record.
  """
  from memo_tf.experiment import run_outputs  # which imports this module

  always = {"predictions.parquet", "history.jsonl"}
  if config.outputs.keep_logits:
    always.add("logits.npy")
  if config.outputs.keep_weights:
    always.add("weights.weights.h5")
  # A few sets for all units: there may be many.
  usual, weights = frozenset(always), frozenset({"weights.weights.h5"})
  recorded = usual | run_outputs.outputs(config)
  wanted = dict.fromkeys(units, usual)
  for unit in units if recorded != usual else ():
    if run_outputs.does_record(config, unit):
      wanted[unit] = recorded
  with_weights = {usual: usual | weights, recorded: recorded | weights}
  for unit in units:
    for needed in requires(unit, config.training):
      if needed in wanted:
        wanted[needed] = with_weights.get(wanted[needed], wanted[needed])
  return wanted


def _closure(
  unit: work_units.WorkUnit, training: settings_lib.TrainingConfig
) -> list[work_units.WorkUnit]:
  found: list[work_units.WorkUnit] = []
  for needed in requires(unit, training):
    found += [needed, *_closure(needed, training)]
  return found
