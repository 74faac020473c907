"""Units of work: one trained model, its name, and what it needs.

    cifar_resnet-20 / one_hot / r0.70 / 00007
    model             recipe    subsets index

The name is the unit's folder. `plan` lists the units of a study and `waves`
puts those that others require first.
"""

import dataclasses
import re

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import recipes

_PART = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class WorkUnit:
  """One trained model, named by model, recipe, subset family and index m."""

  model: str
  recipe: str
  subsets: str
  index: int

  @property
  def name(self) -> str:
    return f"{self.model}/{self.recipe}/{self.subsets}/{self.folder}"

  @property
  def folder(self) -> str:
    """The last part of the name."""
    return f"{self.index:05d}"

  @property
  def group(self) -> tuple[str, str, str]:
    """(model, recipe, subsets): what the runs of one score share."""
    return (self.model, self.recipe, self.subsets)


def parse_unit(name: str) -> WorkUnit:
  """The unit of a name, or a `ValueError` that says the form."""
  match = re.fullmatch(rf"({_PART})/({_PART})/({_PART})/([0-9]{{5,9}})", name)
  unit = WorkUnit(*match.groups()[:3], int(match[4])) if match else None
  if unit is None or unit.name != name:
    raise ValueError(
      "A unit of work is named MODEL/RECIPE/SUBSETS/INDEX with five digits, as "
      f"in cifar_resnet-20/one_hot/r0.70/00007. Received: {name!r}"
    )
  return unit


def plan(config: config_lib.ExperimentConfig) -> list[WorkUnit]:
  """The units that a study asks for, costliest models first.

  Costliest first, so that at the end no worker waits long for another's run;
  and model by model, so that a worker traces a model once.
  """
  models = sorted(
    config.models.models,
    key=lambda name: (-model_names.parse(name).relative_cost, name),
  )
  asked = [
    WorkUnit(model, recipe, family, index)
    for model in models
    for recipe in config.models.recipes
    for family in config.family_names()
    for index in range(config.subsets.num_subsets)
  ]
  units = dict.fromkeys(asked)
  for unit in asked:
    for needed in _closure(unit, config.recipe):
      check_same_subset(unit, needed)
      units.setdefault(needed)
  return list(units)


def check_same_subset(unit: WorkUnit, needed: WorkUnit) -> None:
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
  unit: WorkUnit, training: config_lib.TrainingConfig
) -> tuple[WorkUnit, ...]:
  """The units that must be finished before this one, on the same subset.

  Same family and same index: holding an example out of the unit then holds it
  out of what the unit learns from as well (design rule 1).
  """
  recipe = recipes.parse(unit.recipe, training)
  return tuple(
    WorkUnit(model, required, unit.subsets, unit.index)
    for model, required in recipe.required
  )


def waves(
  units: list[WorkUnit], training: config_lib.TrainingConfig
) -> list[list[WorkUnit]]:
  """Splits units into waves: what a unit requires is in an earlier wave.

  Requirements outside `units` count as met; who calls knows whether they are.
  """
  depth: dict[WorkUnit, int] = {}
  members = set(units)

  def level(unit: WorkUnit) -> int:
    if unit not in depth:
      needed = [u for u in requires(unit, training) if u in members]
      depth[unit] = 1 + max((level(u) for u in needed), default=-1)
    return depth[unit]

  result: list[list[WorkUnit]] = []
  for unit in units:
    while len(result) <= level(unit):
      result.append([])
    result[level(unit)].append(unit)
  return result


def wanted_outputs(
  config: config_lib.ExperimentConfig, units: list[WorkUnit]
) -> dict[WorkUnit, frozenset[str]]:
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
    for needed in requires(unit, config.recipe):
      if needed in wanted:
        wanted[needed] = with_weights.get(wanted[needed], wanted[needed])
  return wanted


def _closure(
  unit: WorkUnit, training: config_lib.TrainingConfig
) -> list[WorkUnit]:
  found: list[WorkUnit] = []
  for needed in requires(unit, training):
    found += [needed, *_closure(needed, training)]
  return found
