"""The plan of a round: which units a study asks for, and what each requires.

A plan is made once per round, from the config, and handed down: what is parsed
or derived here is derived nowhere else.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import functools

from memo_tf import proxies as proxies_lib
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import own_models as own_models_lib
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import removal as removal_lib
from memo_tf.experiment import run_outputs
from memo_tf.experiment import score_epochs
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units

WEIGHTS = "weights.weights.h5"
# What a run in 8-bit integers keeps in their place.
TFLITE = "model.tflite"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
  """The units and outputs that a study asks for; made by `Plan.of`.

  Attributes:
    config: of the study, validated.
    wanted: the planned units in order, each with the outputs it must have
      (completion is tracked per output). Costliest models first, so that at the
      end no worker waits long for another's run; and model by model, so that a
      worker traces a model once.
    models: parsed, by name; includes the models of required units.
    recipes: parsed, by name; includes the recipes of required units.
    proxies: those that the study asks for, by name.
    recorded_outputs: the output files that recording runs keep for them.
    removed: the subset families without some examples (`experiment.removal`)
      of which it has units, each with the fraction that it leaves out; 0 if
      that is not selected yet.
    is_whole: whether it has all units of the study, rather than a selection.
  """

  config: config_lib.StudyConfig
  wanted: Mapping[work_units.WorkUnit, frozenset[str]]
  models: Mapping[str, model_names.ModelName]
  recipes: Mapping[str, recipes_lib.Recipe]
  proxies: Mapping[str, proxies_lib.Proxy]
  recorded_outputs: frozenset[str]
  removed: Mapping[str, float] = dataclasses.field(default_factory=dict)
  is_whole: bool = True

  @classmethod
  def of(
    cls,
    config: config_lib.StudyConfig,
    removed: Mapping[str, float] | None = None,
  ) -> "Plan":
    """The plan of a whole study.

    Args:
      config: validated.
      removed: the families without some examples to train, as the attribute;
        `store.selections` has those of a study.

    Raises:
      ValueError: if a unit requires one that was trained on another subset.
    """
    recipes = _recipes(config)
    names = {*config.models.models}
    for recipe in recipes.values():
      for model in config.models.models:
        names |= {needed for needed, _ in recipe.required_of(model)}
    proxies = run_outputs.chosen(config)
    plan = cls(
      config=config,
      wanted={},
      models=_models(config, names),
      recipes=recipes,
      proxies=proxies,
      recorded_outputs=run_outputs.outputs_of_all(proxies.values()),
      removed=dict(removed or {}),
    )
    return dataclasses.replace(plan, wanted=_wanted(plan, _units(plan)))

  @property
  def units(self) -> list[work_units.WorkUnit]:
    """The planned units, in order."""
    return list(self.wanted)

  def groups(self) -> dict[work_units.Group, list[work_units.WorkUnit]]:
    """The planned units by group, in order."""
    found: dict[work_units.Group, list[work_units.WorkUnit]] = {}
    for unit in self.wanted:
      found.setdefault(unit.group, []).append(unit)
    return found

  def scored_groups(
    self,
  ) -> dict[work_units.Group, list[work_units.WorkUnit]]:
    """Those of `groups` that give scores: without removal families.

    There an example is in all runs or, by results, in none: what they achieved
    on it says nothing of its memorization. Those of an onion are compared with
    the scores of the same examples before (`findings.onion`).
    """
    return {
      group: units
      for group, units in self.groups().items()
      if not removal_lib.is_removal(group.subsets)
    }

  @property
  def families(self) -> tuple[str, ...]:
    """All subset families of which it has units."""
    return (*self.config.all_family_names(), *self.removed)

  def num_subsets(self, family: str) -> int:
    """M, the number of a family's subsets."""
    if removal_lib.is_removal(family):
      return removal_lib.num_subsets(self.config, family)
    return self.config.subsets.num_subsets

  def share_of(self, family: str) -> float:
    """The fraction of the examples in a family's subsets."""
    if removal_lib.is_removal(family):
      base = removal_lib.parse(family).base or subsets_lib.FULL
      ratio = subsets_lib.parse_family(base).ratio
      return ratio * (1 - self.removed.get(family, 0.0))
    return subsets_lib.parse_family(family).ratio

  def selected(self, only: Iterable[work_units.WorkUnit]) -> "Plan":
    """The plan of these units alone (`--work_units`); all of them if empty.

    Raises:
      UsageError: names the first one that is not planned.
    """
    chosen = list(dict.fromkeys(only))
    for unit in chosen:
      if unit not in self.wanted:
        raise errors.UsageError(
          "--work_units takes units of this study: its models, recipes, subset "
          f"families, and an index below --num_subsets. Received: {unit.name}"
        )
    if not chosen:
      return self
    wanted = {unit: self.wanted[unit] for unit in chosen}
    return dataclasses.replace(self, wanted=wanted, is_whole=False)

  def requires(
    self, unit: work_units.WorkUnit
  ) -> tuple[work_units.WorkUnit, ...]:
    """The units that must be finished before this one, on the same subset.

    Same family and same index: holding an example out of the unit then holds
    it out of what the unit learns from as well. Another subset only if the
    recipe's name says so.
    """
    recipe = self.recipes[unit.recipe]
    family, index = required_subset(unit, recipe)
    return tuple(
      work_units.WorkUnit(model, name, family, index)
      for model, name in recipe.required_of(unit.model)
    )

  def waves(
    self, units: Iterable[work_units.WorkUnit]
  ) -> list[list[work_units.WorkUnit]]:
    """Splits units into waves: what a unit requires is in an earlier wave.

    Requirements outside `units` count as met; the caller knows whether they
    are.
    """
    units = list(units)
    depth: dict[work_units.WorkUnit, int] = {}
    members = set(units)

    def level(unit: work_units.WorkUnit) -> int:
      if unit not in depth:
        needed = [u for u in self.requires(unit) if u in members]
        depth[unit] = 1 + max((level(u) for u in needed), default=-1)
      return depth[unit]

    result: list[list[work_units.WorkUnit]] = []
    for unit in units:
      while len(result) <= level(unit):
        result.append([])
      result[level(unit)].append(unit)
    return result

  def does_record(self, unit: work_units.WorkUnit) -> bool:
    """Whether a unit's run records for proxies: the first of a group do."""
    asked = self.config.models
    return (
      unit.index < self.config.proxies.proxy_runs
      and unit.subsets == self.first_family
      and unit.model in asked.models
      and unit.recipe in asked.recipes
    )

  @property
  def own_models(self) -> dict[str, own_models_lib.Reference]:
    """The sources of the planned models that are the user's own, by name."""
    known = own_models_lib.by_name(self.config.models.own_models)
    return {name: known[name] for name in self.models if name in known}

  @functools.cached_property
  def first_family(self) -> str:
    """The subset family of `--subset_ratio`, whose runs record for proxies."""
    return self.config.family_names()[0]


def weights_file(recipe: recipes_lib.Recipe) -> str:
  """The output that has the weights of a run, if they are kept."""
  if not isinstance(recipe, recipes_lib.CompressedRecipe):
    return WEIGHTS
  return TFLITE if recipe.method == "quantize" else WEIGHTS


def required_subset(
  unit: work_units.WorkUnit, recipe: recipes_lib.Recipe
) -> tuple[str, int]:
  """Family and index of the subset of the units that a unit requires."""
  return recipe.required_family(unit.subsets), recipe.required_index(unit.index)


def check_same_subset(
  unit: work_units.WorkUnit,
  needed: work_units.WorkUnit,
  recipe: recipes_lib.Recipe,
) -> None:
  """Refuses a unit that learns from a unit trained on another subset.

  Args:
    unit: that learns.
    needed: that it learns from.
    recipe: of `unit`; it may name another subset for `needed`.

  Raises:
    ValueError: if the subsets differ and the recipe does not name `needed`'s.
  """
  family, index = required_subset(unit, recipe)
  if (needed.subsets, needed.index) == (family, index):
    return
  if (family, index) == (unit.subsets, unit.index):
    raise ValueError(
      "A unit must learn only from units trained on exactly its own subset, or "
      "examples held out of it leak into it. Received: "
      f"{unit.name} with {needed.name}"
    )
  raise ValueError(
    f"The recipe {unit.recipe} learns from units trained on {family}, here of "
    f"index {index}. Received: {unit.name} with {needed.name}"
  )


def _models(
  config: config_lib.StudyConfig, names: set[str]
) -> dict[str, model_names.ModelName]:
  """The models by name; own models are ranked by the user's order."""
  found = {name: model_names.parse(name) for name in sorted(names)}
  own = [name for name in config.models.models if model_names.is_own(name)]
  own += [n for n in found if model_names.is_own(n) and n not in own]
  for rank, name in enumerate(own, 1):
    found[name] = dataclasses.replace(
      found[name], size=rank, relative_cost=float(rank)
    )
  return found


def _recipes(config: config_lib.StudyConfig) -> dict[str, recipes_lib.Recipe]:
  """The recipes of a study and of whatever they require, by name."""
  found: dict[str, recipes_lib.Recipe] = {}
  names = list(config.models.recipes)
  while names:
    name = names.pop(0)
    if name not in found:
      found[name] = recipes_lib.parse(name, config.training)
      names += [required for _, required in found[name].required]
  return found


def _units(plan: Plan) -> list[work_units.WorkUnit]:
  """The requested units, costliest model first, then those they require."""
  config = plan.config
  models = sorted(
    config.models.models,
    key=lambda name: (-plan.models[name].relative_cost, name),
  )
  asked = [
    work_units.WorkUnit(model, recipe, family, index)
    for model in models
    for recipe in config.models.recipes
    for family in config.family_names()
    for index in range(config.subsets.num_subsets)
  ]
  asked += [
    work_units.WorkUnit(found.model, removal_lib.recipe(config), name, index)
    for name, found in ((n, removal_lib.parse(n)) for n in plan.removed)
    for index in range(plan.num_subsets(name))
  ]
  units = dict.fromkeys(asked)
  for unit in asked:
    for needed in _closure(plan, unit):
      units.setdefault(needed)
  return list(units)


def _closure(
  plan: Plan, unit: work_units.WorkUnit
) -> list[work_units.WorkUnit]:
  """The units that a unit requires, directly or indirectly."""
  found: list[work_units.WorkUnit] = []
  for needed in plan.requires(unit):
    check_same_subset(unit, needed, plan.recipes[unit.recipe])
    found += [needed, *_closure(plan, needed)]
  return found


def _wanted(
  plan: Plan, units: list[work_units.WorkUnit]
) -> dict[work_units.WorkUnit, frozenset[str]]:
  """The outputs that each unit must have.

  Predictions and history always (of runs made elsewhere predictions alone);
  logits and weights if asked for; weights of units that others require; what
  proxies need from the recording runs; every scored unit what
  `--score_epochs` asks for.
  """
  always = {"predictions.parquet", "history.jsonl"}
  if plan.config.is_made_elsewhere:
    always = {"predictions.parquet"}
  if plan.config.outputs.keep_logits:
    always.add("logits.npy")
  kept = {WEIGHTS} if plan.config.outputs.keep_weights else set()
  # All units share a few sets, since there may be many units.
  usual, weights = frozenset(always | kept), frozenset({WEIGHTS})
  recorded = usual | plan.recorded_outputs
  wanted = dict.fromkeys(units, usual)
  in_integers = frozenset(always | {TFLITE}) if kept else usual
  for unit in units:
    if weights_file(plan.recipes[unit.recipe]) == TFLITE:
      wanted[unit] = in_integers
  for unit in units if recorded != usual else ():
    if plan.does_record(unit):
      wanted[unit] = recorded
  with_weights = {usual: usual | weights, recorded: recorded | weights}
  for unit in units:
    for needed in plan.requires(unit):
      if needed in wanted:
        wanted[needed] = with_weights.get(wanted[needed], wanted[needed])
  return _with_epochs(plan, wanted)


def _with_epochs(
  plan: Plan, wanted: dict[work_units.WorkUnit, frozenset[str]]
) -> dict[work_units.WorkUnit, frozenset[str]]:
  """The same, and what `--score_epochs` adds to every unit that is scored."""
  asked = plan.config.outputs.score_epochs
  if not asked:
    return wanted
  more = {
    name: score_epochs.outputs(asked, r) for name, r in plan.recipes.items()
  }
  is_followed = {f: score_epochs.is_followed(f) for f in plan.families}
  shared: dict[frozenset[str], frozenset[str]] = {}
  return {
    unit: shared.setdefault(both, both)
    for unit, names in wanted.items()
    for both in [
      names | more[unit.recipe] if is_followed[unit.subsets] else names
    ]
  }
