"""The batches of an epoch: which examples, and which view of each."""

import numpy as np

from memo_tf.data import augmentation
from memo_tf.data import pipeline
from memo_tf.experiment import recipes


def batches(
  recipe: recipes.Recipe,
  ids: np.ndarray,
  num_examples: int,
  *,
  seed: int,
  family: str,
  index: int,
  epoch: int,
) -> tuple[np.ndarray, np.ndarray | None]:
  """The batches of one epoch, a function of its arguments alone.

  Args:
    recipe: with the batch size B and the augmentation.
    ids: int `[n]`, the examples that are trained on, ascending.
    num_examples: N. An example's view does not depend on the subset.
    seed: of the study.
    family: of the subset.
    index: of the subset.
    epoch: from 0.

  Returns:
    int32 `[steps, B]` indices in `ids`; and int32 `[steps, B, 3]`, the views
    as `augmentation.views` gives them, or None if the recipe does not augment.
  """
  order = pipeline.epoch_order(
    len(ids),
    recipe.batch_size,
    seed=seed,
    family=family,
    index=index,
    epoch=epoch,
  )
  if recipe.augmentation == "none":
    return order, None
  views = augmentation.views(
    num_examples, seed=seed, family=family, index=index, epoch=epoch
  )
  return order, views[ids[order]]
