"""What a model costs here, in seconds: to plan with, before anything is run."""

import time

import numpy as np

from memo_tf.experiment import recipes
from memo_tf.running import run


def measure(
  session: run.Session, model: str, recipe_name: str
) -> dict[str, float]:
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
  for name, action, share in (
    ("step", train, steps),
    ("evaluation", evaluate, 1),
  ):
    times = []
    for _ in range(3):
      before = time.perf_counter()
      action()
      times.append((time.perf_counter() - before) / share)
    seconds[name] = float(np.median(times))
  return seconds
