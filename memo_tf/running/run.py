"""One unit of work: data, model, fit, predict, write.

A `Session` is what a worker keeps between units: the data set in memory and
the traced trainers. `run_unit` leaves a finished run in the directory, or
raises; it never leaves half of one.
"""

import collections
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import time
from collections.abc import Callable

import keras
import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf
from absl import logging

from memo_tf.data import pipeline
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import directory as directory_lib
from memo_tf.experiment import predictions
from memo_tf.experiment import recipes
from memo_tf.experiment import work_units
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
    config: config_lib.ExperimentConfig,
    directory: directory_lib.ExperimentDirectory,
    data: pipeline.ArrayDataset | None = None,
  ):
    self.config = config
    self.directory = directory
    self.data = data or pipeline.read_dataset(directory)
    self.strategy = distribution.one_device()
    # On the device once, for all runs.
    self.images = tf.constant(self.data.train_images)
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
    DivergedError: if the loss or a logit is not finite.
    ExperimentError: if the unit was finished before, is repeated for one more
      output, and does not reproduce its predictions.
    OSError: if the run cannot be written.
  """
  started = time.perf_counter()
  config, directory, data = session.config, session.directory, session.data
  recipe = recipes.parse(unit.recipe, config.recipe)
  mask = np.load(
    directory.in_mask_path(unit.subsets), mmap_mode="r", allow_pickle=False
  )[unit.index]
  members = np.flatnonzero(mask)
  recipe.check_subset_size(len(members))
  trainer = session.trainer(unit.model, recipe)
  history, resumed, seconds = _fit(
    session, trainer, unit, recipe, members, on_epoch
  )

  evaluated = time.perf_counter()
  train_logits = trainer.predict(data.train_images)
  test_logits = trainer.predict(data.test_images)
  try:
    table = predictions.from_logits(
      train_logits, test_logits, data.train_labels, data.test_labels, mask
    )
  except ValueError as error:
    raise DivergedError(f"after the last epoch {error}") from error

  written = time.perf_counter()
  record = {
    "format_version": config_lib.FORMAT_VERSION,
    "unit": unit.name,
    "recipe": dataclasses.asdict(recipe),
    "recipe_digest": recipe.digest(),
    "dataset_digest": data.digest,
    "subset_digest": directory_lib.digest_bytes(np.packbits(mask)),
    "subset_size": len(members),
    "seed": config.running.seed,
    "threads": config.running.threads_per_unit,
    "versions": versions(),
    "machine": machine(),
    "parameters": trainer_lib.count_parameters(trainer.model),
    **_accuracies(table, mask),
    "resumed_after_epoch": resumed,
    "seconds": {
      "training": seconds,
      "evaluation": written - evaluated,
      "total": written - started,
    },
    "finished": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds"),
    "outputs": {},
  }
  logits = np.concatenate([train_logits, test_logits])
  _publish(session, unit, outputs, record, table, history, logits, trainer)
  shutil.rmtree(directory.work_dir(unit), ignore_errors=True)
  return record


def machine() -> dict[str, str]:
  """The kind of machine, as far as results depend on it."""
  gpus = tf.config.list_physical_devices("GPU")
  details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
  return {
    "host": platform.node(),
    "cpu": _cpu_name(),
    "gpu": ", ".join(d.get("device_name", "GPU") for d in details),
    "platform": platform.platform(),
  }


def versions() -> dict[str, str]:
  """The versions that results depend on."""
  packages = ("tensorflow", "keras", "numpy", "scipy", "pyarrow")
  found = {name: importlib.metadata.version(name) for name in packages}
  return {"python": platform.python_version(), **found}


def _cpu_name() -> str:
  try:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
      if line.startswith("model name"):
        return line.split(":", 1)[1].strip()
  except OSError:
    pass
  return platform.processor() or platform.machine()


def _fit(session, trainer, unit, recipe, members, on_epoch):
  """Trains through all epochs; returns history, where it resumed, seconds."""
  config, directory = session.config, session.directory
  if config.outputs.materialize_subsets:
    images, labels = pipeline.read_subset(
      directory, unit.subsets, unit.index, members, session.data.image_shape
    )
    images, labels = tf.constant(images), tf.constant(labels)
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
      directory_lib.digest_bytes(members),
      str(config.running.seed),
      str(config.running.threads_per_unit),
    ]
  )
  found = checkpoints.load(path, key)
  if found:
    first, history, state = found
    trainer.set_state(state)
    logging.info("goes on after epoch %d", first)
  else:
    first, history = 0, []
    trainer.initialize(config.running.seed, unit.name)

  rates = schedule.learning_rates(recipe, len(members) // recipe.batch_size)
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
    loss, accuracy = trainer.train_epoch(
      images, labels, places[order], rates[epoch]
    )
    if not np.isfinite(loss):
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
    logging.info("epoch %d: loss %.4f, accuracy %.4f", epoch + 1, loss, accuracy)
    on_epoch(epoch + 1, recipe.epochs)
    every = config.running.checkpoint_epochs
    if every and (epoch + 1) % every == 0 and epoch + 1 < recipe.epochs:
      checkpoints.save(path, key, epoch + 1, history, trainer.state())
  return history, first, time.perf_counter() - started


def _accuracies(table, mask) -> dict[str, float]:
  """Accuracy against the given labels, on the subset, held out, and test."""
  correct = table["predicted"].to_numpy() == table["label"].to_numpy()
  train, test = correct[: len(mask)], correct[len(mask) :]

  def mean(values):
    return float(values.mean()) if len(values) else None

  return {
    "in_accuracy": mean(train[mask]),
    "out_accuracy": mean(train[~mask]),
    "test_accuracy": mean(test),
  }


def _publish(session, unit, outputs, record, table, history, logits, trainer):
  """Writes the wanted outputs to a private folder and renames it into place."""
  directory = session.directory
  target = directory.run_dir(unit)
  finished = directory.run_state(unit, check_digests=True).record
  if finished:
    _check_reproduced(directory, unit, finished, record, table)

  private = directory_lib.private_name(target)
  private.mkdir(parents=True)
  try:
    for name in sorted(outputs):
      _write_output(private / name, table, history, logits, trainer)
      record["outputs"][name] = {
        "bytes": (private / name).stat().st_size,
        "digest": directory_lib.digest_file(private / name),
      }
    if finished:
      record["outputs"] |= finished["outputs"]
      directory_lib.extend(private, target, record)
    else:
      directory_lib.write_atomic(
        private / "run.json", json.dumps(record, indent=2) + "\n"
      )
      directory_lib.publish(private, target)
  except BaseException:
    shutil.rmtree(private, ignore_errors=True)
    raise


def _write_output(path: pathlib.Path, table, history, logits, trainer) -> None:
  if path.name == "predictions.parquet":
    path.write_bytes(predictions.table_bytes(table))
  elif path.name == "history.jsonl":
    path.write_text("".join(json.dumps(line) + "\n" for line in history))
  elif path.name == "logits.npy":
    np.save(path, logits.astype(np.float16), allow_pickle=False)
  elif path.name == "weights.weights.h5":
    trainer.model.save_weights(path)
  else:
    raise ValueError(f"Unknown output. Received: {path.name!r}")
  # What is named in run.json must survive a loss of power.
  with open(path, "rb") as file:
    os.fsync(file.fileno())


def _check_reproduced(directory, unit, finished, record, table) -> None:
  """A repeated unit must give the predictions that it gave before."""
  path = directory.run_dir(unit) / "predictions.parquet"
  if predictions.same_predictions(pq.read_table(path), table):
    return

  def kind(about):
    hardware = about["machine"]["gpu"] or about["machine"]["cpu"]
    tensorflow = about["versions"]["tensorflow"]
    return f"{about['machine']['host']} ({hardware}, TensorFlow {tensorflow})"

  raise directory_lib.ExperimentError(
    f"{unit.name} was repeated for one more output and does not reproduce its "
    f"predictions: first on {kind(finished)}, now on {kind(record)}. Repeat it "
    "on a machine of the first kind, or move the run away to have it anew."
  )


def measure(session: Session, model: str, recipe_name: str) -> dict[str, float]:
  """Seconds that a model costs here: to plan with; nothing is written.

  Returns:
    `trace`: once a worker; `step`: each; `evaluation`: of all N + T examples.
  """
  recipe = recipes.parse(recipe_name, session.config.recipe)
  data, size = session.data, recipe.batch_size
  started = time.perf_counter()
  trainer = session.trainer(model, recipe)
  trainer.initialize(session.config.running.seed, "measure")
  steps = 4

  def train():
    order = np.arange(steps * size, dtype=np.int32) % len(data.train_labels)
    rates = np.zeros(steps, np.float32)
    trainer.train_epoch(
      session.images, session.labels, order.reshape(steps, size), rates
    )

  def evaluate():
    trainer.predict(data.train_images)
    trainer.predict(data.test_images)

  train()
  evaluate()
  traced = time.perf_counter()
  seconds = {"trace": traced - started}
  for name, action, share in (("step", train, steps), ("evaluation", evaluate, 1)):
    times = []
    for _ in range(3):
      before = time.perf_counter()
      action()
      times.append((time.perf_counter() - before) / share)
    seconds[name] = float(np.median(times))
  return seconds


def keras_backend_is_tensorflow() -> bool:
  """Whether Keras runs on TensorFlow; memo_tf needs that."""
  return keras.backend.backend() == "tensorflow"
