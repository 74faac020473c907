"""Compares recipes on the same subsets: what distillation does to memorization.

    findings/distillation/<model family>/<subsets>/<table>.parquet and .csv

Every distilled, smoothed or longer trained recipe of a study is compared with
its baseline: `one_hot`, and for a student whose teacher saw other examples also
the student whose teacher did not. Only models and subsets that both have
finished count, so that differences are paired. The tables are tidy, one row per
observation, and begin with the columns `recipe` and `baseline`; see
`compared_recipes`. Imports no TensorFlow.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes as recipes_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import compared_recipes
from memo_tf.findings import matched_accuracy
from memo_tf.findings import table_files
from memo_tf.scoring import groups
from memo_tf.store import directory as directory_lib

BASELINE = matched_accuracy.BASELINE
# Of these schemes there are no scores, or none that are compared.
_WITHOUT = ("full", "two_sizes")


def study_distillation(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: Sequence[groups.GroupScores],
) -> list[compared_recipes.RecipeComparison]:
  """Compares recipes of every model family, and writes the tables.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`.

  Returns:
    One comparison for each model family, subset family, recipe and baseline
    that have two runs or more in common.
  """
  by_place: dict[tuple[str, str], list[groups.GroupScores]] = {}
  for result in results:
    model, _, subsets = result.group
    if subsets_lib.parse_family(subsets).scheme not in _WITHOUT:
      ladder = plan.models[model].ladder
      by_place.setdefault((ladder, subsets), []).append(result)
  found = []
  for (ladder, subsets), members in by_place.items():
    comparisons = [
      made
      for baseline, recipe in _pairs(plan)
      if (made := gather(ladder, subsets, members, baseline, recipe, plan))
    ]
    if comparisons:
      write(directory, comparisons)
      found += comparisons
  return found


def _pairs(plan: plan_lib.Plan) -> list[tuple[str, recipes_lib.Recipe]]:
  """(name of the baseline, recipe) in the order of the study's recipes."""
  found = []
  for name in plan.config.models.recipes:
    recipe = plan.recipes[name]
    is_longer = name != BASELINE and matched_accuracy.is_one_hot(name)
    kinds = (recipes_lib.DistilledRecipe, recipes_lib.SmoothedRecipe)
    if not is_longer and not isinstance(recipe, kinds):
      continue
    found.append((BASELINE, recipe))
    if isinstance(recipe, recipes_lib.OtherTeacherRecipe):
      own = name.replace(f"-sees_{recipe.teacher_sees}", "")
      found.append((own, recipe))
  return found


def gather(
  ladder: str,
  subsets: str,
  members: Sequence[groups.GroupScores],
  baseline: str,
  recipe: recipes_lib.Recipe,
  plan: plan_lib.Plan,
) -> compared_recipes.RecipeComparison | None:
  """The comparison of the runs that both have; None with fewer than two.

  Args:
    ladder: name of the model family.
    subsets: name of the subset family.
    members: groups of this ladder and subset family.
    baseline: name of the first recipe.
    recipe: the second.
    plan: of the study.
  """
  outputs: settings_lib.OutputsConfig = plan.config.outputs
  by_recipe: dict[str, dict[str, groups.GroupScores]] = {}
  if ladder != model_names.OWN_LADDER:
    members = sorted(members, key=lambda m: (m.parameters, m.group))
  for member in members:
    by_recipe.setdefault(member.group.recipe, {})[member.group.model] = member
  base, other = (by_recipe.get(n, {}) for n in (baseline, recipe.name))
  pairs = tuple((base[m], other[m]) for m in base if m in other)
  if not pairs:
    return None
  indices = [
    [[unit.index for unit in side.stack.units] for side in pair]
    for pair in pairs
  ]
  shared = sorted(
    set.intersection(*(set(side) for pair in indices for side in pair))
  )
  if len(shared) < 2:
    return None
  compared = compared_recipes.RecipeComparison(
    family=ladder,
    subsets=subsets,
    recipe=recipe,
    baseline=baseline,
    groups=pairs,
    rows=tuple(
      np.array([[side.index(m) for m in shared] for side in pair])
      for pair in indices
    ),
    block=np.array(shared, int) // subsets_lib.parse_family(subsets).block,
    min_change=outputs.min_change,
    rule=outputs.trajectory_rule,
  )
  if baseline != BASELINE or matched_accuracy.is_one_hot(recipe.name):
    return compared
  matched = matched_accuracy.table(compared, members)
  return dataclasses.replace(compared, matched=matched)


def write(
  directory: directory_lib.StudyDirectory,
  comparisons: Sequence[compared_recipes.RecipeComparison],
) -> None:
  """Writes the tables of comparisons that share model and subset family."""
  first = comparisons[0]
  by_name: dict[str, list[pd.DataFrame]] = {}
  for comparison in comparisons:
    for name, frame in comparison.tables().items():
      by_name.setdefault(name, []).append(frame)
  table_files.write(
    directory,
    ("findings", "distillation", first.family, first.subsets),
    {n: pd.concat(frames, ignore_index=True) for n, frames in by_name.items()},
  )
