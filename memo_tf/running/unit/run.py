"""One unit of work: data, model, fit, predict, write.

A `Session` is what a worker keeps between units: the data set in memory and
the traced trainers. `run_unit` leaves a finished run in the directory, or
raises; it never leaves half of one.
"""

import collections
from collections.abc import Callable
import dataclasses
import datetime
import time

from absl import logging
import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.data import augmentation
from memo_tf.data import pipeline
from memo_tf.data.stored import reader
from memo_tf.data.stored import subsets as subset_shards
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.experiment import work_units
from memo_tf.running import peers
from memo_tf.running.unit import publishing
from memo_tf.running.unit import recording as recording_lib
from memo_tf.running.unit import teachers
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from memo_tf.training import checkpoints
from memo_tf.training import distribution
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib

# Traced trainers that a worker keeps; units come model by model.
MAX_TRAINERS = 2


class DivergedError(RuntimeError):
  """The loss stopped being finite; the message names the epoch."""


class Session:
  """What a worker keeps from unit to unit.

  Args:
    config: of the study.
    directory: where it lies.
    data: the data set, if it does not come from the directory (to measure).
  """

  def __init__(
    self,
    config: config_lib.StudyConfig,
    directory: directory_lib.StudyDirectory,
    data: reader.ArrayDataset | None = None,
  ):
    self.config = config
    self.directory = directory
    self.data = data or reader.read_dataset(directory, config.running)
    self.strategy = distribution.make_strategy(config.running.strategy)
    # Of several processes that train a run together one writes it.
    self.writes = config.running.strategy != "multi_worker" or peers.is_first()
    # On the device once, for all runs; or on disk, if they are streamed.
    self.images = pipeline.on_device(self.data.train_images)
    self.test_images = pipeline.on_device(self.data.test_images)
    self.labels = tf.constant(self.data.train_labels)
    self._trainers: collections.OrderedDict = collections.OrderedDict()

  def trainer(self, model: str, recipe: recipes.Recipe) -> trainer_lib.Trainer:
    """The trainer of a model and recipe, traced once."""
    key = (model, recipe)
    if key not in self._trainers:
      while len(self._trainers) >= MAX_TRAINERS:
        self._trainers.popitem(last=False)
      self._trainers[key] = trainer_lib.Trainer(
        model,
        recipe,
        image_shape=self.data.image_shape,
        num_classes=self.data.num_classes,
        mean=self.data.mean,
        std=self.data.std,
        strategy=self.strategy,
        jit_compile=distribution.jit_compile(
          self.config.running.jit_compile, self.strategy
        ),
        image_type=self.data.image_type,
      )
    self._trainers.move_to_end(key)
    return self._trainers[key]


def run_unit(
  session: Session,
  unit: work_units.WorkUnit,
  outputs: frozenset[str],
  on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
) -> dict:
  """Trains one unit and publishes its run.

  Args:
    session: of this process.
    unit: which.
    outputs: names of the outputs that are wanted of it.
    on_epoch: told (finished epochs, all epochs).

  Returns:
    The content of the run's `run.json`.

  Raises:
    DivergedError: if the loss, a weight or a logit is not finite.
    StudyError: if the unit was finished before, is repeated for one more
      output, and does not reproduce its predictions.
    OSError: if the run cannot be written.
  """
  started = time.perf_counter()
  config, directory, data = session.config, session.directory, session.data
  recipe = recipes.parse(unit.recipe, config.training)
  mask = np.load(
    directory.in_mask_path(unit.subsets), mmap_mode="r", allow_pickle=False
  )[unit.index]
  members = np.flatnonzero(mask)
  recipe.check_subset_size(len(members))
  trainer = session.trainer(unit.model, recipe)
  taught = teachers.prepare(directory, trainer, unit, recipe, mask, data.digest)
  recording = None
  if any(map(run_outputs.is_recorded, outputs)):
    recording = recording_lib.RunRecording(
      session, trainer, recipe, unit.name, members, outputs
    )
  history, resumed, seconds = _fit(
    session, trainer, unit, recipe, members, on_epoch, taught, recording
  )

  if not trainer.is_finite():
    # Rectifiers turn NaN into 0: neither loss nor logits need show it.
    (directory.work_dir(unit) / "checkpoint.npz").unlink(missing_ok=True)
    raise DivergedError("after the last epoch a weight is not finite")
  evaluated = time.perf_counter()
  train_logits = trainer.predict(session.images)
  test_logits = trainer.predict(session.test_images)
  try:
    table = predictions.from_logits(
      train_logits, test_logits, data.train_labels, data.test_labels, mask
    )
  except ValueError as error:
    raise DivergedError(f"after the last epoch {error}") from error

  written = time.perf_counter()
  recorded, aside = {}, {}
  if recording:
    recorded = recording.finish(
      _learning_rates(recipe, len(members)), train_logits
    )
    aside = {"recording": recording.seconds}
  finished = time.perf_counter()
  record = {
    "format_version": config_lib.FORMAT_VERSION,
    "unit": unit.name,
    "recipe": dataclasses.asdict(recipe),
    "recipe_digest": recipe.digest(),
    "dataset_digest": data.digest,
    "subset_digest": files.digest_bytes(np.packbits(mask)),
    "subset_size": len(members),
    "seed": config.running.seed,
    "threads": config.running.threads_per_unit,
    "versions": publishing.versions(),
    "machine": publishing.machine(),
    **taught,
    "parameters": models.count_parameters(trainer.model),
    **publishing.accuracies(table, mask),
    "resumed_after_epoch": resumed,
    "seconds": {
      "training": seconds,
      "evaluation": written - evaluated,
      **aside,
      "total": finished - started,
    },
    "finished": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds"),
    "outputs": {},
  }
  if not session.writes:
    return record
  logits = np.concatenate([train_logits, test_logits])
  publishing.publish(
    session.directory,
    unit,
    record,
    {
      name: publishing.output_bytes(name, table, history, logits, trainer.model)
      for name in outputs
      if name not in recorded
    }
    | recorded,
    table,
  )
  logging.info("finished and written")
  for name in ("checkpoint.npz", "traceback.txt"):
    (directory.work_dir(unit) / name).unlink(missing_ok=True)
  return record


def _learning_rates(recipe, subset_size):
  """float32 `[epochs, steps]`."""
  return schedule.learning_rates(recipe, subset_size // recipe.batch_size)


def _fit(session, trainer, unit, recipe, members, on_epoch, taught, recording):
  """Trains through all epochs; returns history, where it resumed, seconds.

  The seconds are those of training, without what `recording` takes.
  """
  config, directory = session.config, session.directory
  if config.outputs.materialize_subsets:
    images, labels = subset_shards.read(
      directory,
      unit.subsets,
      unit.index,
      members,
      session.data.image_shape,
      session.data.image_type,
    )
    images, labels = pipeline.on_device(images), tf.constant(labels)
    places = np.arange(len(members), dtype=np.int32)
  else:
    images, labels = session.images, session.labels
    places = members.astype(np.int32)

  path = directory.work_dir(unit) / "checkpoint.npz"
  key = "/".join(
    [
      unit.name,
      recipe.digest(),
      session.data.digest,
      files.digest_bytes(members),
      str(config.running.seed),
      str(config.running.threads_per_unit),
      *(taught["teacher"].values() if taught else ()),
      *([recording.key()] if recording else ()),
    ]
  )
  found = checkpoints.load(path, key)
  first, history = 0, []
  if found:
    try:
      trainer.set_state(found[2])
      if recording:
        recording.set_state(found[2])
      first, history = found[:2]
      logging.info("goes on after epoch %d", first)
    except (KeyError, ValueError) as error:
      logging.warning("%s does not fit (%s): the run starts anew", path, error)
  if not first:
    trainer.initialize(config.running.seed, unit.name)

  rates = _learning_rates(recipe, len(members))
  started = time.perf_counter()
  for epoch in range(first, recipe.epochs):
    order = pipeline.epoch_order(
      len(members),
      recipe.batch_size,
      seed=config.running.seed,
      family=unit.subsets,
      index=unit.index,
      epoch=epoch,
    )
    views = None
    if recipe.augmentation != "none":
      views = augmentation.views(
        len(session.data.train_labels),
        seed=config.running.seed,
        family=unit.subsets,
        index=unit.index,
        epoch=epoch,
      )[members[order]]
    loss, accuracy, logits = trainer.train_epoch(
      images,
      labels,
      places[order],
      rates[epoch],
      views,
      with_logits=bool(recording and recording.wants_batches(epoch + 1)),
    )
    if not np.isfinite(loss):
      # What led here is in the checkpoint: another attempt begins anew.
      path.unlink(missing_ok=True)
      raise DivergedError(
        f"the loss became {loss} in epoch {epoch + 1} of {recipe.epochs}; a "
        "smaller --learning_rate or a longer --warmup_epochs may help"
      )
    history.append(
      {
        "epoch": epoch + 1,
        "learning_rate": float(rates[epoch, -1]),
        "loss": loss,
        "accuracy": accuracy,
      }
    )
    logging.info(
      "epoch %d: loss %.4f, accuracy %.4f", epoch + 1, loss, accuracy
    )
    if logits is not None:
      recording.presented(epoch + 1, order, logits)
    if recording:
      recording.after_epoch(epoch + 1)
    on_epoch(epoch + 1, recipe.epochs)
    every = config.running.checkpoint_epochs
    is_due = every and (epoch + 1) % every == 0 and epoch + 1 < recipe.epochs
    if is_due and session.writes:
      state = trainer.state() | (recording.state() if recording else {})
      checkpoints.save(path, key, epoch + 1, history, state)
  seconds = time.perf_counter() - started
  return history, first, seconds - (recording.seconds if recording else 0.0)


def keras_backend_is_tensorflow() -> bool:
  """Whether Keras runs on TensorFlow; memo_tf needs that."""
  return keras.backend.backend() == "tensorflow"
