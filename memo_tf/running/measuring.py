"""What a model costs here, in seconds: to plan with, before anything is run."""

import dataclasses
import tempfile
import time
from typing import Any

import numpy as np

from memo_tf.data import planted
from memo_tf.data import prepare
from memo_tf.data.sources import image_source
from memo_tf.data.stored import normalization
from memo_tf.data.stored import reader
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.experiment import storage as storage_lib
from memo_tf.running.unit import recording as recording_lib
from memo_tf.running.unit import run
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib

SLICE_SECONDS, TOTAL_SECONDS = 0.3, 1.5
RECORDED = 256  # examples of which what is recorded is timed
# Of each split of data that are streamed: enough to time decoding with.
SAMPLE_SIZE = 512


@dataclasses.dataclass(frozen=True)
class Sample:
  """What a model is timed on.

  Attributes:
    data: all of the study's data; of those that are streamed the first ones.
    num_train: N of the study.
    num_test: T of the study.
    share: which part of the study's N + T examples `data` has.
    folder: in which images lie that are not in memory; gone with this.
  """

  data: reader.ArrayDataset
  num_train: int
  num_test: int
  share: float
  folder: tempfile.TemporaryDirectory | None = None


def sample_data(config: config_lib.StudyConfig) -> Sample:
  """The data of a study that is not prepared yet, to time a model on.

  Raises:
    UsageError: if the data cannot be had.
  """
  data = prepare.source(config)
  if isinstance(data, image_source.ImageStream):
    return _stored_sample(data, config)
  train = planted.training_set(data, config)
  statistics = normalization.normalization(train.images)
  arrays = reader.ArrayDataset(
    train_images=train.images,
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
  data: image_source.ImageStream, config: config_lib.StudyConfig
) -> Sample:
  """The first images, written into a folder as they would be."""
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
  size = dataset_info.decoded_bytes(info) / share
  is_streamed = storage_lib.is_streamed(config.running, size)
  storage = "stream" if is_streamed else "memory"
  arrays = reader.read_dataset(
    directory, dataclasses.replace(config.running, storage=storage)
  )
  return Sample(arrays, count, len(data.test_labels), share, folder)


def measure(
  session: run.Session, model: str, recipe_name: str, share: float = 1.0
) -> dict[str, float]:
  """Seconds that a model costs here: to plan with; nothing is written.

  Args:
    session: with the data, or a sample of them.
    model: its name.
    recipe_name: how it is trained.
    share: of the examples to be predicted, those that the session has.

  Returns:
    `trace`: once a worker; `step`: each; `fixed`: what every run costs beside
    its steps (initial weights, evaluation of all N + T examples); `recording`,
    if a proxy is asked for: what a run that records costs more.
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
  # As many steps a call as in an epoch, where that does not take too long.
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
    recording = recording_lib.RunRecording(
      session, trainer, recipe, "measure", np.arange(subset), outputs
    )
    found["recording"], tracing = recording.estimated_seconds(RECORDED)
    if "second_split.npz" in outputs:  # the recipe once more, on the others
      steps = (len(data.train_labels) - subset) // size * recipe.epochs
      found["recording"] += steps * found["step"]
    traced += tracing
  return {"trace": traced - started, **found}


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
