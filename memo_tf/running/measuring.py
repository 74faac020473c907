"""Measures what a model costs on this machine, to plan a study."""

from collections.abc import Callable
import dataclasses
import functools
import tempfile
import time
from typing import Any

import numpy as np

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
from memo_tf.running.unit import recording as recording_lib
from memo_tf.running.unit import session as session_lib
from memo_tf.running.unit import traced
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.training import trainer as trainer_lib

SLICE_SECONDS, TOTAL_SECONDS = 0.3, 1.5
RECORDED = 256  # examples with which recording is timed
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
  session: session_lib.Session, model: str, recipe_name: str, share: float = 1.0
) -> dict[str, float]:
  """Times a model on this machine, without writing anything.

  Args:
    session: with the data, or a sample of them.
    model: its name.
    recipe_name: how it is trained.
    share: fraction of the examples to predict that the session has, in (0, 1].

  Returns:
    Seconds by name. `trace`: once per worker; `step`: per training step;
    `fixed`: per run besides its steps (initial weights, evaluation of all N +
    T examples); `recording`, if a proxy is requested: added to a run that
    records.
  """
  recipe = recipes.parse(recipe_name, session.config.training)
  data, size = session.data, recipe.batch_size
  started = time.perf_counter()
  trainer = session.trainer(model, recipe)

  def train(steps: int):
    order = np.arange(steps * size, dtype=np.int32) % len(data.train_labels)
    order = np.reshape(order, (steps, size))
    rates = np.full(steps, 1e-6, np.float32)
    views = np.zeros((*order.shape, 3), np.int32)
    trainer.train_epoch(session.images, session.labels, order, rates, views)

  def begin():
    trainer.initialize(session.config.running.seed, "measure")

  def begin_and_end():
    begin()
    trainer.predict(session.images)
    trainer.predict(session.test_images)

  begin_and_end()
  train(1)
  traced = time.perf_counter()
  # As many steps per call as in an epoch, unless that takes too long.
  epoch = max(1, int(0.7 * len(data.train_labels)) // size)
  steps = int(np.clip(SLICE_SECONDS / _seconds(train, 1), 1, epoch))
  fixed = _median(begin_and_end)
  if share < 1:
    beginning = _median(begin)
    fixed = beginning + (fixed - beginning) / share
  found = {
    "step": _median(lambda: train(steps)) / steps,
    "fixed": fixed,
  }
  outputs = run_outputs.outputs(session.config)
  if outputs:
    subset = int(session.config.subsets.subset_ratio * len(data.train_labels))
    unit = work_units.WorkUnit(model, recipe_name, "measure", 0)
    recording = recording_lib.RunRecording(
      session, trainer, unit, np.arange(subset), outputs
    )
    found["recording"], tracing = recording_seconds(session, trainer, recording)
    if "second_split.npz" in outputs:  # the recipe again, on the other examples
      steps = (len(data.train_labels) - subset) // size * recipe.epochs
      found["recording"] += steps * found["step"]
    traced += tracing
  return {"trace": traced - started, **found}


def recording_seconds(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  recording: recording_lib.RunRecording,
) -> tuple[float, float]:
  """Estimates what recording adds to a run, by timing it on a few examples.

  The cost of nearest neighbours counts as quadratic in the examples, all other
  costs as linear; batch dynamics cost next to nothing. The steps of a second
  training are not included: the caller knows their time.

  Args:
    session: with the data.
    trainer: of the run's model and recipe.
    recording: of the run; its outputs and members count.

  Returns:
    Seconds per run, and the seconds that tracing took.
  """
  total = tracing = 0.0
  for action, times in _recording_costs(session, trainer, recording):
    first, second = _seconds(action), _seconds(action)
    tracing += max(0.0, first - second)
    total += times * second
  return max(total, 0.0), tracing


def _recording_costs(
  session, trainer, recording
) -> list[tuple[Callable, float]]:
  """Actions on a few examples, and the multiple of each that a run costs."""
  settings, whole = session.config.proxies, len(session.data.train_labels)
  members = recording.members
  count = min(RECORDED, whole, len(members))
  images, labels = session.images[:count], session.labels[:count]
  indices, some = np.arange(count), members[:count]
  linear, in_subset = whole / count, len(members) / len(some)
  zeros = np.zeros((whole, 2), np.float32)
  epochs = trainer.recipe.epochs
  costs: list[tuple[Callable, float]] = []
  if "dynamics.npz" in recording.outputs:
    number = len(run_outputs.recorded_epochs(epochs, settings.record_epochs))
    costs.append((lambda: trainer.predict(images), linear * number))
  if "second_split.npz" in recording.outputs:
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
