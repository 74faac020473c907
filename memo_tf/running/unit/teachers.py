"""Loads a student's teacher from the teacher's run, after checking the run.

Holding an example out of a student must hold it out of its teacher, or scores
of distilled students measure what leaks through the teacher. So the subset that
the teacher's run recorded is compared with the student's, example by example;
or with what the recipe says of it, if its name says that the teacher saw more.
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
  """Loads the weights of a student's teacher into the student's trainer.

  Args:
    directory: of the study.
    trainer: of the student; its `teacher` gets the weights.
    unit: the student.
    recipe: of the student. If it has no teacher, nothing is done.
    in_mask: bool `[N]`, the student's subset.
    dataset_digest: of the data that the student is trained on.

  Returns:
    What identifies the teacher's run, for the student's `run.json`: `unit`,
    `subset_digest`, `predictions_digest`. Empty without a teacher.

  Raises:
    StudyError: if the teacher's run is not finished, is damaged, or was
      trained on other examples; names both units.
  """
  if not isinstance(recipe, recipes.DistilledRecipe):
    return {}
  family = recipe.required_family(unit.subsets)
  teacher = work_units.WorkUnit(*recipe.required[0], family, unit.index)
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
      f"{teacher.name}, the teacher of {unit.name}, was trained on another "
      "data set. Move its run's folder away and rerun the same command to "
      "train it again."
    )
  kept_weights.load_weights(trainer.teacher, directory, teacher)
  return {
    "unit": teacher.name,
    "subset_digest": record["subset_digest"],
    "predictions_digest": record["outputs"]["predictions.parquet"]["digest"],
  }


def check_subset(
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
  teacher: work_units.WorkUnit,
  recipe: recipes.DistilledRecipe,
  in_mask: np.ndarray,
) -> None:
  """Compares the subset that a teacher's run recorded with its student's.

  Args:
    directory: of the study.
    unit: the student.
    teacher: its teacher.
    recipe: of the student, which may name other examples for the teacher.
    in_mask: bool `[N]`, the student's subset.

  Raises:
    StudyError: if the teacher was trained on other examples than the recipe
      says.
  """
  table = predictions.read_run(directory, teacher)
  recorded = table["in_subset"].to_numpy()[: len(in_mask)]
  expected = recipe.teacher_mask(np.asarray(in_mask))
  if np.array_equal(recorded, expected):
    return
  count = int((recorded != expected).sum())
  if isinstance(recipe, recipes.OtherTeacherRecipe):
    raise errors.UnitError(
      f"{teacher.name} was not trained on the examples that {unit.recipe} says "
      f"of the teacher of {unit.name}: {count} differ. Move the teacher's "
      "folder away and rerun the same command to train it again."
    )
  raise errors.UnitError(
    f"{teacher.name} was trained on another subset than its student "
    f"{unit.name}: they differ in {count} examples, which would reach the "
    "student through the teacher. Move the teacher's folder away and rerun the "
    "same command to train it again."
  )
