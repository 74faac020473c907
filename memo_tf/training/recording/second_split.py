"""What a model forgets, or predicts otherwise, when trained on other examples.

The finished model is trained again by its whole recipe (momenta 0, the learning
rate from its beginning), now on the examples that were not in its subset; after
each epoch the subset is evaluated (Maini, Garg, Lipton & Kolter, 2022,
arXiv:2210.15031, and their code, with halves), and compared with how the
finished model predicted it (Carlini, Erlingsson & Papernot, 2019,
arXiv:1910.13427). Afterwards the model's state is restored.
"""

from collections.abc import Iterator
import contextlib

from absl import logging
import numpy as np
import tensorflow as tf

from memo_tf.proxies import second_split
from memo_tf.training import epochs
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib


def second_training(
  trainer: trainer_lib.Trainer,
  images: tf.Tensor,
  labels: tf.Tensor,
  members: np.ndarray,
  *,
  seed: int,
  family: str,
  index: int,
) -> dict[str, np.ndarray]:
  """Trains a finished model on what its subset holds out.

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
    float32 `[E, N]` after each further epoch, NaN for examples that are not in
    the subset; all NaN if the second training diverges. `second_correct`: 1 or
    0, whether the label is predicted. `second_divergence`: how far the
    prediction is from that of the finished model, in nats.
  """
  recipe, count = trainer.recipe, len(labels)
  others = np.setdiff1d(np.arange(count), members).astype(np.int32)
  rates = schedule.learning_rates(recipe, len(others) // recipe.batch_size)
  own_images, own_labels = tf.gather(images, members), labels.numpy()[members]
  names = ("second_correct", "second_divergence")
  shape = (recipe.epochs, count)
  found = {name: np.full(shape, np.nan, np.float32) for name in names}
  before = trainer.predict(own_images)
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
        return {name: np.full(shape, np.nan, np.float32) for name in names}
      after = trainer.predict(own_images)
      found["second_correct"][epoch, members] = after.argmax(1) == own_labels
      found["second_divergence"][epoch, members] = (
        second_split.symmetric_divergence(before, after)
      )
  return found


@contextlib.contextmanager
def _kept(trainer: trainer_lib.Trainer) -> Iterator[None]:
  """Restores the trainer's state at the end of the block."""
  state = trainer.state()
  try:
    yield
  finally:
    trainer.set_state(state)
