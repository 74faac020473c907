"""Loads what a unit takes from another unit's run, after checking that run.

A student has a teacher; a compressed model, and one of which only the last
layer is trained, starts from the weights of a one_hot run of the same model.
Holding an example out of a unit must hold it out of the other too, or scores
measure what leaks through its weights. So the subset that the other run
recorded is compared with the unit's, example by example; or with what the
recipe says of it, if its name says that the other run saw more.
"""

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import plan
from memo_tf.experiment import recipes
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.training import kept_weights
from memo_tf.training import trainer as trainer_lib


def prepare(
  directory: directory_lib.StudyDirectory,
  trainer: trainer_lib.Trainer,
  unit: work_units.WorkUnit,
  recipe: recipes.Recipe,
  in_mask: np.ndarray,
  dataset_digest: str,
) -> dict[str, str]:
  """Loads the weights of a unit's teacher, or of its source, into a trainer.

  Args:
    directory: of the study.
    trainer: of the unit; its `teacher` gets the weights, or, of a recipe
      without a teacher, its `model`.
    unit: that requires the other.
    recipe: of the unit. If it requires no other unit, nothing is done.
    in_mask: bool `[N]`, the unit's subset.
    dataset_digest: of the data that the unit is trained on.

  Returns:
    What identifies the other run, for the unit's `run.json`: `unit`,
    `subset_digest`, `predictions_digest`. Empty if nothing is required.

  Raises:
    StudyError: if the other run is not finished, is damaged, or was trained
      on other examples; names both units.
  """
  required = recipe.required_of(unit.model)
  if not required:
    return {}
  subset = plan.required_subset(unit, recipe)
  teacher = work_units.WorkUnit(*required[0], *subset)
  plan.check_same_subset(unit, teacher, recipe)
  state = directory.run_state(teacher, check_digests=True)
  if state.problem:
    raise errors.DamagedRunError(teacher, state.problem)
  record = state.record
  if record is None or not state.has(frozenset({kept_weights.WEIGHTS})):
    raise errors.UnitError(
      f"{unit.name} needs the weights of {teacher.name}, which are missing: "
      "rerun the launch command."
    )
  check_subset(directory, unit, teacher, recipe, in_mask)
  if record["dataset_digest"] != dataset_digest:
    raise errors.UnitError(
      f"{teacher.name}, required by {unit.name}, was trained on another "
      "data set. Move its run's folder away and rerun the same command to "
      "train it again."
    )
  is_student = isinstance(recipe, recipes.DistilledRecipe)
  model = trainer.teacher if is_student else trainer.model
  kept_weights.load_weights(model, directory, teacher)
  return {
    "unit": teacher.name,
    "subset_digest": record["subset_digest"],
    "predictions_digest": record["outputs"]["predictions.parquet"]["digest"],
  }


def check_subset(
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
  teacher: work_units.WorkUnit,
  recipe: recipes.Recipe,
  in_mask: np.ndarray,
) -> None:
  """Compares the subset that a required run recorded with the unit's.

  Args:
    directory: of the study.
    unit: that requires the other.
    teacher: the other unit.
    recipe: of the unit, which may name other examples for the other.
    in_mask: bool `[N]`, the unit's subset.

  Raises:
    StudyError: if the other unit was trained on other examples than the recipe
      says.
  """
  table = predictions.read_run(directory, teacher)
  recorded = table["in_subset"].to_numpy()[: len(in_mask)]
  expected = recipe.required_mask(np.asarray(in_mask))
  if np.array_equal(recorded, expected):
    return
  count = int((recorded != expected).sum())
  if recipe.required_family(unit.subsets) != unit.subsets:
    raise errors.UnitError(
      f"{teacher.name} was not trained on the examples that {unit.recipe} says "
      f"of what {unit.name} learns from: {count} differ. Move the former's "
      "folder away and rerun the same command to train it again."
    )
  raise errors.UnitError(
    f"{teacher.name} was trained on another subset than {unit.name}, which "
    f"requires it: they differ in {count} examples, which would leak through "
    "its weights. Move the folder of the former away and rerun the same "
    "command to train it again."
  )
