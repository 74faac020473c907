"""What a model costs here, in seconds: to plan with, before anything is run."""

import time

import numpy as np

from memo_tf.experiment import recipes
from memo_tf.experiment import records
from memo_tf.running import recording as recording_lib
from memo_tf.running import run

SLICE_SECONDS, TOTAL_SECONDS = 0.3, 1.5
RECORDED = 256  # examples of which what is recorded is timed


def measure(
  session: run.Session, model: str, recipe_name: str
) -> dict[str, float]:
  """Seconds that a model costs here: to plan with; nothing is written.

  Returns:
    `trace`: once a worker; `step`: each; `fixed`: what every run costs beside
    its steps (initial weights, evaluation of all N + T examples); `recording`,
    if a proxy is asked for: what a run that records costs more.
  """
  recipe = recipes.parse(recipe_name, session.config.recipe)
  data, size = session.data, recipe.batch_size
  started = time.perf_counter()
  trainer = session.trainer(model, recipe)

  def train(steps: int):
    order = np.arange(steps * size, dtype=np.int32) % len(data.train_labels)
    rates = np.full(steps, 1e-6, np.float32)
    order = order.reshape(steps, size)
    views = np.zeros((*order.shape, 3), np.int32)
    trainer.train_epoch(session.images, session.labels, order, rates, views)

  def begin_and_end():
    trainer.initialize(session.config.running.seed, "measure")
    trainer.predict(session.images)
    trainer.predict(session.test_images)

  begin_and_end()
  train(1)
  traced = time.perf_counter()
  # As many steps a call as in an epoch, where that does not take too long.
  epoch = max(1, int(0.7 * len(data.train_labels)) // size)
  steps = int(np.clip(SLICE_SECONDS / _seconds(train, 1), 1, epoch))
  found = {
    "step": _median(lambda: train(steps)) / steps,
    "fixed": _median(begin_and_end),
  }
  outputs = records.outputs(session.config)
  if outputs:
    subset = int(session.config.subsets.subset_ratio * len(data.train_labels))
    recording = recording_lib.RunRecording(
      session, trainer, recipe, "measure", np.arange(subset), outputs
    )
    found["recording"], tracing = recording.estimated_seconds(RECORDED)
    traced += tracing
  return {"trace": traced - started, **found}


def _median(action) -> float:
  """Median seconds of an action, repeated for `TOTAL_SECONDS`."""
  times, started = [], time.perf_counter()
  while len(times) < 3 or time.perf_counter() - started < TOTAL_SECONDS:
    times.append(_seconds(action))
  return float(np.median(times))


def _seconds(action, *arguments) -> float:
  before = time.perf_counter()
  action(*arguments)
  return time.perf_counter() - before
