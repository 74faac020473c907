"""Measures what a model costs on this machine, to plan a study."""

from collections.abc import Callable
import dataclasses
import functools
import tempfile
import time
from typing import Any

import numpy as np
import tensorflow as tf

from memo_tf import proxies
from memo_tf.data import planted
from memo_tf.data import prepare
from memo_tf.data.sources import image_stream
from memo_tf.data.stored import normalization
from memo_tf.data.stored import reader
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.experiment import storage as storage_lib
from memo_tf.experiment import work_units
from memo_tf.models import cost
from memo_tf.running import expected
from memo_tf.running.unit import recording as recording_lib
from memo_tf.running.unit import session as session_lib
from memo_tf.running.unit import traced
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.training import inference
from memo_tf.training import trainer as trainer_lib

SLICE_SECONDS, TOTAL_SECONDS = 0.3, 1.5
RECORDED = 256  # most examples with which recording is timed
# Longest expected step that is timed with its whole batch.
WHOLE_SECONDS = 1.5
# Images of a batch whose step is timed where the whole one would take long.
SMALL_BATCH = 4
# Examples of each split of streamed data: enough to time decoding.
SAMPLE_SIZE = 512


@dataclasses.dataclass(frozen=True)
class Sample:
  """The data that a model is timed on.

  Attributes:
    data: all of the study's data, or, of streamed data, the first examples.
    num_train: N of the study.
    num_test: T of the study.
    share: fraction of the study's N + T examples that `data` has, in (0, 1].
    folder: holds images that are not in memory; deleted with this object.
  """

  data: reader.ArrayDataset
  num_train: int
  num_test: int
  share: float
  folder: tempfile.TemporaryDirectory | None = None


def sample_data(config: config_lib.StudyConfig) -> Sample:
  """The data of a study that is not prepared yet, to time a model on.

  Raises:
    UsageError: if the data cannot be read or downloaded.
  """
  data = prepare.source(config)
  if isinstance(data, image_stream.ImageStream):
    return _stored_sample(data, config)
  train = planted.training_set(data, config)
  images = np.asarray(train.images)  # an array already: the data are in memory
  statistics = normalization.normalization(images)
  arrays = reader.ArrayDataset(
    train_images=images,
    train_labels=train.labels,
    test_images=data.test_images,
    test_labels=data.test_labels,
    num_classes=len(data.class_names),
    mean=np.array(statistics["mean"], np.float32),
    std=np.array(statistics["std"], np.float32),
    digest="",
  )
  return Sample(arrays, len(train.labels), len(data.test_labels), 1.0)


def _stored_sample(
  data: image_stream.ImageStream, config: config_lib.StudyConfig
) -> Sample:
  """The first images, written into a folder as a launch would write them."""
  plain: dict[str, Any] = {
    field.name: 0
    for field in dataclasses.fields(config.data)
    if field.name.startswith("planted_") and field.type is int
  }
  count = len(data.train_labels) + writer.number_planted(data, config)
  config = dataclasses.replace(
    config,
    data=dataclasses.replace(
      config.data, label_noise=0.0, find_duplicates="off", **plain
    ),
  )
  folder = tempfile.TemporaryDirectory()
  directory = directory_lib.StudyDirectory(folder.name)
  some = data.first(SAMPLE_SIZE)
  info = writer.write_dataset(some, config, directory)
  written = len(some.train_labels) + len(some.test_labels)
  share = written / (count + len(data.test_labels))
  size = int(dataset_info.decoded_bytes(info) / share)
  is_streamed = storage_lib.is_streamed(config.running, size)
  storage = "stream" if is_streamed else "memory"
  arrays = reader.read_dataset(
    directory, dataclasses.replace(config.running, storage=storage)
  )
  return Sample(arrays, count, len(data.test_labels), share, folder)


def measure(
  session: session_lib.Session,
  model: str,
  recipe_name: str,
  share: float,
  rate: float,
  tell: Callable[[dict[str, float]], None],
) -> dict[str, float]:
  """Times a model on this machine, without writing anything.

  Where a step takes longer than `WHOLE_SECONDS`, a smaller batch is timed and
  the time scaled to the whole one; predictions and recording then are not timed
  but follow from the step by their number of passes.

  Args:
    session: with the data, or a sample of them.
    model: its name.
    recipe_name: how it is trained.
    share: fraction of the examples to predict that the session has, in (0, 1].
    rate: `expected.machine_rate()`.
    tell: called with what is expected from `rate`, before anything is timed:
      as what is returned, without `trace`.

  Returns:
    Seconds by name. `trace`: once per worker; `step`: per training step;
    `fixed`: per run besides its steps (initial weights, evaluation of all N +
    T examples); `recording`, if a proxy is requested: added to a run that
    records.
  """
  recipe = recipes.parse(recipe_name, session.config.training)
  started = time.perf_counter()
  few = SMALL_BATCH * session.strategy.num_replicas_in_sync
  few = min(few, recipe.batch_size)
  trainer = session.trainer(model, dataclasses.replace(recipe, batch_size=few))
  # Layers of one's own may have nothing that is counted.
  work = float(max(1, cost.multiply_adds(trainer.model)))
  if trainer.teacher is not None:  # predicts only
    work += cost.multiply_adds(trainer.teacher) / expected.TRAINING_PASSES
  guess = expected.step_seconds(work, recipe, rate)
  tell(expected.cost_of_run(session, recipe, share, guess))
  if guess <= WHOLE_SECONDS or few == recipe.batch_size:
    trainer = session.trainer(model, recipe)
    return _timed_whole(session, trainer, recipe_name, share, started, guess)
  return _timed_in_part(session, trainer, recipe, share, started)


def _timed_whole(session, trainer, recipe_name, share, started, guess):
  """`measure` for a model whose steps are short."""
  recipe, data = trainer.recipe, session.data
  size = recipe.batch_size

  def begin():
    trainer.initialize(session.config.running.seed, "measure")

  begin()
  some, times = _some_images(
    session, guess / size / expected.training_passes(recipe), share
  )

  def predict():
    for images in some:
      trainer.predict(images)

  predict()
  _train(session, trainer, 1)
  traced = time.perf_counter()
  # As many steps per call as in an epoch, unless that takes too long.
  epoch = max(1, int(0.7 * len(data.train_labels)) // size)
  one = _seconds(lambda: _train(session, trainer, 1))
  steps = int(np.clip(SLICE_SECONDS / one, 1, epoch))
  times *= 1 + expected.scored_epochs(session.config, recipe)
  fixed = _median(begin) + times * _median(predict)
  found = {
    "step": _median(lambda: _train(session, trainer, steps)) / steps,
    "fixed": fixed,
  }
  outputs = run_outputs.outputs(session.config)
  if outputs:
    unit = work_units.WorkUnit(trainer.model.name, recipe_name, "measure", 0)
    recording = recording_lib.RunRecording(
      session, trainer, unit, np.arange(expected.subset_size(session)), outputs
    )
    number = int(np.clip(SLICE_SECONDS * size / guess, 32, RECORDED))
    found["recording"], tracing = recording_seconds(
      session, trainer, recording, number
    )
    found["recording"] += expected.second_training(
      session, recipe, found["step"]
    )
    traced += tracing
  return {"trace": traced - started, **found}


def _timed_in_part(session, trainer, recipe, share, started):
  """`measure` for a model whose steps are long, from a smaller batch."""
  trainer.initialize(session.config.running.seed, "measure")
  begun = time.perf_counter()
  _train(session, trainer, 1)
  traced = time.perf_counter()
  one = min(_seconds(lambda: _train(session, trainer, 1)) for _ in range(2))
  step = one * recipe.batch_size / trainer.recipe.batch_size
  found = expected.cost_of_run(session, recipe, share, step)
  # A step is in the trace, which a run's own steps count again.
  return {"trace": max(traced - begun - one, 0) + begun - started, **found}


def _some_images(session, forward: float, share: float):
  """Images to time predictions on, and how many times as many a run predicts.

  Args:
    session: with the data, or a sample of them.
    forward: expected seconds per image.
    share: fraction of the examples to predict that the session has.
  """
  both = [session.images, session.test_images]
  total = sum(map(len, both))
  size = inference.BATCH_SIZE
  number = max(1, int(SLICE_SECONDS / forward / size)) * size
  if not isinstance(session.images, tf.Tensor) or number >= total:
    return both, 1 / share
  some = session.images[:number]
  return [some], total / len(some) / share


def _train(session, trainer, steps: int) -> None:
  size, count = trainer.recipe.batch_size, len(session.data.train_labels)
  order = np.arange(steps * size, dtype=np.int32) % count
  order = np.reshape(order, (steps, size))
  rates = np.full(steps, 1e-6, np.float32)
  views = np.zeros((*order.shape, 3), np.int32)
  trainer.train_epoch(session.images, session.labels, order, rates, views)


def recording_seconds(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  recording: recording_lib.RunRecording,
  number: int = RECORDED,
) -> tuple[float, float]:
  """Estimates what recording adds to a run, by timing it on a few examples.

  The cost of nearest neighbours counts as quadratic in the examples, all other
  costs as linear; batch dynamics cost next to nothing. The steps of a second
  training are not included: the caller knows their time.

  Args:
    session: with the data.
    trainer: of the run's model and recipe.
    recording: of the run; its outputs and members count.
    number: of the examples that it is timed on.

  Returns:
    Seconds per run, and the seconds that tracing took.
  """
  total = tracing = 0.0
  for action, times in _recording_costs(session, trainer, recording, number):
    first, second = _seconds(action), _seconds(action)
    tracing += max(0.0, first - second)
    total += times * second
  return max(total, 0.0), tracing


def _recording_costs(
  session, trainer, recording, number
) -> list[tuple[Callable, float]]:
  """Actions on a few examples, and the multiple of each that a run costs."""
  settings, whole = session.config.proxies, len(session.data.train_labels)
  members = recording.members
  count = min(number, whole, len(members))
  images, labels = session.images[:count], session.labels[:count]
  indices, some = np.arange(count), members[:count]
  linear, in_subset = whole / count, len(members) / len(some)
  zeros = np.zeros((whole, 2), np.float32)
  epochs = trainer.recipe.epochs
  costs: list[tuple[Callable, float]] = []
  if "dynamics.npz" in recording.outputs:
    number = len(run_outputs.recorded_epochs(epochs, settings.record_epochs))
    costs.append((lambda: trainer.predict(images), linear * number))
  if recording.outputs & run_outputs.SECOND_TRAINING:
    costs.append((lambda: trainer.predict(images), in_subset * epochs))
  for output in sorted(recording.outputs):
    name = output.removesuffix(".npz")
    rows = linear * len(recording.checkpoint_epochs)
    if name == "vog":
      derive = traced.function(
        "input_gradients", trainer, session
      ).label_gradients
      costs.append((lambda d=derive: d(images, labels, indices), rows))
    elif name in run_outputs.CHECKPOINT_RECORDS:
      costs.append(
        (lambda n=name: recording.of_weights(n, images, labels, 0), rows)
      )
    elif name in proxies.PROXIES and len(some) > settings.probe_neighbours:
      layers = traced.Layers(
        traced.function("representations", trainer, session),
        session.images,
        some,
      )
      # Twice, as prediction depth asks for them; the rest is quadratic.
      costs.append(
        (lambda ls=layers: list(ls), 2 * in_subset - 2 * in_subset**2)
      )
      compute = functools.partial(
        recording.from_representations, name, zeros, some
      )
      costs.append((compute, in_subset**2))
  return costs


def _median(action) -> float:
  """Median seconds of an action, repeated for `TOTAL_SECONDS`."""
  times: list[float] = []
  started = time.perf_counter()
  while len(times) < 3 or time.perf_counter() - started < TOTAL_SECONDS:
    times.append(_seconds(action))
  return float(np.median(times))


def _seconds(action, *arguments) -> float:
  before = time.perf_counter()
  action(*arguments)
  return time.perf_counter() - before
