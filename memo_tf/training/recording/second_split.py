"""Which examples a model forgets when trained on the held-out examples.

The finished model is trained again by its whole recipe (momenta 0, the learning
rate from its beginning), now on the examples that were not in its subset; after
each epoch the subset is evaluated (Maini, Garg, Lipton & Kolter, 2022,
arXiv:2210.15031, and their code, with halves). Afterwards the model's state is
restored.
"""

from collections.abc import Iterator
import contextlib

from absl import logging
import numpy as np
import tensorflow as tf

from memo_tf.training import epochs
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib


def second_correct(
  trainer: trainer_lib.Trainer,
  images: tf.Tensor,
  labels: tf.Tensor,
  members: np.ndarray,
  *,
  seed: int,
  family: str,
  index: int,
) -> np.ndarray:
  """Whether the model is right about each example after each further epoch.

  Args:
    trainer: with the finished model, whose state is restored at the end.
    images: `[N, H, W, channels]`, all training images.
    labels: int32 `[N]`.
    members: int `[n]`, the ids of the run's subset.
    seed: of the study.
    family: subset family of the run; batches and augmentation of the second
      training come from their own random streams.
    index: of the run's subset.

  Returns:
    float32 `[E, N]`: 1 or 0, NaN for examples that are not in the subset; all
    NaN if the second training diverges.
  """
  recipe, count = trainer.recipe, len(labels)
  others = np.setdiff1d(np.arange(count), members).astype(np.int32)
  rates = schedule.learning_rates(recipe, len(others) // recipe.batch_size)
  own_images, own_labels = tf.gather(images, members), labels.numpy()[members]
  found = np.full((recipe.epochs, count), np.nan, np.float32)
  with _kept(trainer):
    trainer.optimizer.reset()
    for epoch in range(recipe.epochs):
      order, views = epochs.batches(
        recipe,
        others,
        count,
        seed=seed,
        family=f"{family}/second_split",
        index=index,
        epoch=epoch,
      )
      result = trainer.train_epoch(
        images, labels, others[order], rates[epoch], views
      )
      if not np.isfinite(result.loss):
        logging.warning("the second training diverged in epoch %d", epoch + 1)
        return np.full_like(found, np.nan)
      predicted = trainer.predict(own_images).argmax(axis=1)
      found[epoch, members] = predicted == own_labels
  return found


@contextlib.contextmanager
def _kept(trainer: trainer_lib.Trainer) -> Iterator[None]:
  """Restores the trainer's state at the end of the block."""
  state = trainer.state()
  try:
    yield
  finally:
    trainer.set_state(state)
