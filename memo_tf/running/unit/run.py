"""One unit of work: data, model, fit, predict, publish.

`run_unit` leaves a finished run in the study directory or raises; it never
leaves half a run.
"""

from collections.abc import Callable
import dataclasses
import datetime
import time

from absl import logging
import numpy as np
import pyarrow as pa

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import work_units
from memo_tf.running import tensorboard_log
from memo_tf.running.unit import compressed
from memo_tf.running.unit import fit as fit_lib
from memo_tf.running.unit import publishing
from memo_tf.running.unit import recording as recording_lib
from memo_tf.running.unit import session as session_lib
from memo_tf.running.unit import teachers
from memo_tf.store import arrays
from memo_tf.store import files
from memo_tf.store import predictions
from memo_tf.training import trainer as trainer_lib


def run_unit(
  session: session_lib.Session,
  unit: work_units.WorkUnit,
  outputs: frozenset[str],
  on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
) -> dict:
  """Trains one unit and publishes its run.

  Args:
    session: of this process.
    unit: to train.
    outputs: names of the output files that the run must have.
    on_epoch: called with (finished epochs, all epochs).

  Returns:
    The content of the run's `run.json`.

  Raises:
    DivergedError: if the loss, a weight or a logit is not finite.
    StudyError: if the unit was finished before, is repeated for one more
      output, and does not reproduce its predictions.
    OSError: if the run cannot be written.
  """
  started = time.perf_counter()
  config, directory = session.config, session.directory

  # Data: the unit's subset.
  path = directory.in_mask_path(unit.subsets)
  in_mask = arrays.load(path, mmap_mode="r")[unit.index]
  members = np.flatnonzero(in_mask)

  # Model: its trainer, what it learns from, and what records the run.
  recipe = recipes.parse(unit.recipe, config.training)
  recipe.check_subset_size(len(members))
  trainer = session.trainer(unit.model, recipe)
  teacher = teachers.prepare(
    directory, trainer, unit, recipe, in_mask, session.data.digest
  )
  recording = recording_lib.of_run(session, trainer, unit, members, outputs)

  # Fit: through all epochs, or those after the checkpoint.
  log = None
  if session.writes:
    log = tensorboard_log.of_run(config.running, directory, unit)
  predict, more = trainer.predict, {}
  facts: dict = {}
  if isinstance(recipe, recipes.CompressedRecipe):
    made = compressed.compress(session, trainer, unit, members, on_epoch)
    predict, more, facts = made.predict, made.outputs, made.facts
    fitted = fit_lib.FittedRun(made.history, 0, made.seconds)
  else:
    fitted = fit_lib.fit(
      session, trainer, unit, members, teacher, recording, on_epoch, log
    )

  # Predict every example, and compute what is recorded of the final weights.
  evaluated = time.perf_counter()
  logits, table = _predict(session, trainer, unit, in_mask, predict)
  predicted = time.perf_counter()
  seconds = {"training": fitted.seconds, "evaluation": predicted - evaluated}
  recorded = {name: more[name] for name in outputs & more.keys()}
  if recording:
    recorded |= recording.finish(logits[: len(in_mask)])
    seconds["recording"] = recording.seconds
    seconds["evaluation"] += recording.scoring_seconds

  # Publish: the whole run, or nothing.
  record = {
    **_identity(session, unit, trainer, in_mask, teacher),
    **publishing.accuracies(table, in_mask),
    **({"compressed": facts} if facts else {}),
    "resumed_after_epoch": fitted.resumed_after_epoch,
    "seconds": seconds | {"total": time.perf_counter() - started},
    "finished": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds"),
    "outputs": {},
  }
  if session.writes:
    contents = publishing.output_contents(
      outputs - recorded.keys(), table, fitted.history, logits, trainer.model
    )
    publishing.publish(directory, unit, record, contents | recorded, table)
    if log:
      log.finish(record)
    logging.info("finished and written")
    fit_lib.checkpoint_path(directory, unit).unlink(missing_ok=True)
    (directory.work_dir(unit) / "traceback.txt").unlink(missing_ok=True)
  return record


def _predict(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  unit: work_units.WorkUnit,
  in_mask: np.ndarray,
  predict: Callable[..., np.ndarray],
) -> tuple[np.ndarray, pa.Table]:
  """Logits `[N + T, C]` of the finished model, and the table of predictions.

  Raises:
    DivergedError: if a weight or a logit is not finite.
  """
  if not trainer.is_finite():
    # Rectifiers turn NaN into 0: neither loss nor logits need show it.
    path = fit_lib.checkpoint_path(session.directory, unit)
    path.unlink(missing_ok=True)
    raise fit_lib.DivergedError(
      "after the last epoch a weight is not finite; a smaller --learning_rate "
      "or a longer --warmup_epochs may help"
    )
  train_logits = predict(session.images)
  test_logits = predict(session.test_images)
  data = session.data
  try:
    table = predictions.from_logits(
      train_logits, test_logits, data.train_labels, data.test_labels, in_mask
    )
  except ValueError as error:
    raise fit_lib.DivergedError(f"after the last epoch {error}") from error
  return np.concatenate([train_logits, test_logits]), table


def _identity(
  session: session_lib.Session,
  unit: work_units.WorkUnit,
  trainer: trainer_lib.Trainer,
  in_mask: np.ndarray,
  teacher: dict[str, str],
) -> dict:
  """What a run was trained on, how and where, for its `run.json`."""
  running, recipe = session.config.running, trainer.recipe
  return {
    "format_version": config_lib.FORMAT_VERSION,
    "unit": unit.name,
    "recipe": dataclasses.asdict(recipe),
    "recipe_digest": recipe.digest(),
    "dataset_digest": session.data.digest,
    "subset_digest": files.digest_bytes(np.packbits(in_mask)),
    "subset_size": int(in_mask.sum()),
    "seed": running.seed,
    "threads": running.threads_per_unit,
    **session.environment,
    **_required(recipe, teacher),
    **_own_model(session, unit),
    "parameters": trainer.parameters,
  }


def _required(recipe: recipes.Recipe, other: dict[str, str]) -> dict:
  """What identifies the run that a unit required, if it required one."""
  is_student = isinstance(recipe, recipes.DistilledRecipe)
  return {"teacher" if is_student else "source": other} if other else {}


def _own_model(
  session: session_lib.Session, unit: work_units.WorkUnit
) -> dict[str, str]:
  """Digests of an own model's source, and of what all its runs start from."""
  found = {}
  if source := session.own_models.digest(unit.model):
    found["model_source"] = source
    if checked := session.own_checked.get(unit.model):
      found["model_start"] = checked["start"]
  return found
