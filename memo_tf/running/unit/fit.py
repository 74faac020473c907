"""Training one unit through all its epochs, resumable after each of them.

Order and augmentation of an epoch are functions of (seed, subset family, index,
epoch), and a checkpoint holds everything else that the next epoch depends on: a
resumed run has the same weights, to the bit, as one that was not interrupted.
"""

from collections.abc import Callable
import dataclasses
import pathlib
import time

from absl import logging
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import subsets as subset_shards
from memo_tf.experiment import errors
from memo_tf.experiment import recipes
from memo_tf.experiment import removal
from memo_tf.experiment import work_units
from memo_tf.models import own_checks
from memo_tf.running import tensorboard_log
from memo_tf.running.unit import recording as recording_lib
from memo_tf.running.unit import session as session_lib
from memo_tf.store import directory as directory_lib
from memo_tf.store import environments
from memo_tf.store import files
from memo_tf.training import checkpoints
from memo_tf.training import epochs
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib


class DivergedError(RuntimeError):
  """The loss stopped being finite; the message names the epoch."""


@dataclasses.dataclass(frozen=True)
class FittedRun:
  """The result of training a unit.

  Attributes:
    history: one dictionary per epoch: epoch, learning rate, loss, accuracy.
    resumed_after_epoch: the epoch after which it was resumed; 0 if it was
      trained from the beginning.
    seconds: of training in this process, without recording or scoring.
  """

  history: list[dict]
  resumed_after_epoch: int
  seconds: float


def fit(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  unit: work_units.WorkUnit,
  members: np.ndarray,
  teacher: dict[str, str],
  recording: recording_lib.RunRecording | None,
  on_epoch: Callable[[int, int], None],
  log: tensorboard_log.RunLog | None = None,
) -> FittedRun:
  """Trains a unit from its checkpoint, if there is one, to its last epoch.

  Args:
    session: of this process.
    trainer: of the unit's model and recipe, the weights that it requires of
      another run loaded. Has the trained weights afterwards.
    unit: to train.
    members: int `[n]`, the ids of its subset, ascending.
    teacher: what identifies the required run; empty without one.
    recording: what is recorded of the run, if anything.
    on_epoch: called with (finished epochs, all epochs).
    log: gets the history after every epoch.

  Raises:
    DivergedError: if the loss is not finite. The checkpoint is deleted then.
  """
  config, recipe = session.config.running, trainer.recipe
  path = checkpoint_path(session.directory, unit)
  key = _checkpoint_key(session, trainer, unit, members, teacher, recording)
  first, history = _start(session, trainer, unit, path, key, recording)
  images, labels, indices = _training_images(session, unit, members)
  rates = schedule.learning_rates(recipe, len(members) // recipe.batch_size)
  streams = removal.stream_unit(unit)
  started = time.perf_counter()
  for epoch in range(first, recipe.epochs):
    order, views = epochs.batches(
      recipe,
      members,
      len(session.data.train_labels),
      seed=config.seed,
      family=streams.subsets,
      index=streams.index,
      epoch=epoch,
    )
    result = trainer.train_epoch(
      images,
      labels,
      indices[order],
      rates[epoch],
      views,
      with_logits=bool(recording and recording.wants_batches(epoch + 1)),
    )
    if not np.isfinite(result.loss):
      # The checkpoint led here: another attempt must start from the beginning.
      path.unlink(missing_ok=True)
      raise DivergedError(
        f"the loss became {result.loss} in epoch {epoch + 1} of "
        f"{recipe.epochs}; a smaller --learning_rate or a longer "
        "--warmup_epochs may help"
      )
    history.append(_history_line(epoch + 1, rates[epoch], result))
    if log:
      log.write(history)
    if recording and result.logits is not None:
      recording.presented(epoch + 1, order, result.logits)
    if recording:
      recording.after_epoch(epoch + 1)
    on_epoch(epoch + 1, recipe.epochs)
    every = config.checkpoint_epochs
    is_due = every and (epoch + 1) % every == 0 and epoch + 1 < recipe.epochs
    if is_due and session.writes:
      state = trainer.state() | (recording.state() if recording else {})
      checkpoints.save(path, key, epoch + 1, history, state)
  seconds = time.perf_counter() - started
  if recording:
    seconds -= recording.seconds + recording.scoring_seconds
  return FittedRun(history=history, resumed_after_epoch=first, seconds=seconds)


def checkpoint_path(
  directory: directory_lib.StudyDirectory, unit: work_units.WorkUnit
) -> pathlib.Path:
  """The path of an unfinished run's checkpoint."""
  return directory.work_dir(unit) / "checkpoint.npz"


def _checkpoint_key(session, trainer, unit, members, teacher, recording) -> str:
  """Everything that a run's state depends on."""
  config = session.config.running
  return "/".join(
    [
      unit.name,
      trainer.recipe.digest(),
      session.data.digest,
      files.digest_bytes(members),
      str(config.seed),
      str(config.threads_per_unit),
      *environments.kind(session.environment).values(),
      *filter(None, [session.own_models.digest(unit.model)]),
      *teacher.values(),
      *([recording.key()] if recording else ()),
    ]
  )


def _start(
  session, trainer, unit, path, key, recording
) -> tuple[int, list[dict]]:
  """Sets the trainer's state; returns the finished epochs and their history."""
  found = checkpoints.load(path, key)
  if found:
    epoch, history, state = found
    try:
      trainer.set_state(state)
      if recording:
        recording.set_state(state)
      logging.info("resumed after epoch %d", epoch)
      return epoch, history
    except (KeyError, ValueError) as error:
      logging.warning(
        "%s does not fit (%s): the run starts from the beginning", path, error
      )
  trainer.initialize(
    session.config.running.seed, removal.stream_unit(unit).name
  )
  _check_start(session, trainer, unit)
  return 0, []


def _check_start(session, trainer, unit) -> None:
  """Refuses an own model that starts from other values than the study's runs.

  Raises:
    StudyError: if a file that its function loads has changed.
  """
  checked = session.own_checked.get(unit.model)
  if not checked or isinstance(trainer.recipe, recipes.FrozenRecipe):
    return  # which starts from the weights of a run that was checked
  values = own_checks.values_of(trainer.model)
  if own_checks.start_digest(values, checked["kept"]) != checked["start"]:
    raise errors.StudyError(
      f"{unit.model} starts from other values than when the study was made, "
      "though its source is the same: a file of weights that it loads, or a "
      "package, has changed. Restore it, or start a new --experiment_dir."
    )


def _training_images(
  session, unit, members
) -> tuple[tf.Tensor | images_lib.StoredImages, tf.Tensor, np.ndarray]:
  """Images, their labels, and the subset's int32 `[n]` indices in them."""
  if not session.config.outputs.materialize_subsets:
    return session.images, session.labels, members.astype(np.int32)
  images, labels = subset_shards.read(
    session.directory,
    unit.subsets,
    unit.index,
    members,
    session.data,
  )
  indices = np.arange(len(members), dtype=np.int32)
  return pipeline.on_device(images), tf.constant(labels), indices


def _history_line(
  epoch: int, rates: np.ndarray, result: trainer_lib.EpochResult
) -> dict:
  """An epoch's line of `history.jsonl`, also logged."""
  logging.info(
    "epoch %d: loss %.4f, accuracy %.4f", epoch, result.loss, result.accuracy
  )
  return {
    "epoch": epoch,
    "learning_rate": float(rates[-1]),
    "loss": result.loss,
    "accuracy": result.accuracy,
  }
