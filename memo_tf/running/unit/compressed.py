"""Makes a compressed unit's model from the weights of its source.

The source is the one_hot run of the same model, subset family and index, whose
weights `teachers.prepare` has loaded. Batches of the fine-tuning are those that
the source's training began with. Nothing is kept of a fine-tuning that was
killed: it starts over.
"""

from collections.abc import Callable
import dataclasses
import time

import numpy as np

from memo_tf.compression import compressor as compressor_lib
from memo_tf.compression import counted
from memo_tf.compression import litert
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import recipes
from memo_tf.experiment import work_units
from memo_tf.running.unit import session as session_lib
from memo_tf.training import epochs
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressedModel:
  """The result of compressing a unit's model.

  Attributes:
    predict: float32 logits `[n, C]` of images as the session has them.
    history: one dictionary per epoch of the fine-tuning.
    facts: what was counted in the result, and in the source as `source`.
    outputs: output files that only this kind of run has.
    seconds: that it took.
  """

  predict: Callable[..., np.ndarray]
  history: list[dict]
  facts: dict
  outputs: dict[str, bytes]
  seconds: float


def compress(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  unit: work_units.WorkUnit,
  members: np.ndarray,
  on_epoch: Callable[[int, int], None],
) -> CompressedModel:
  """Compresses the trainer's model, which has the weights of its source.

  Args:
    session: of this process.
    trainer: of the unit's model and recipe. Has the compressed weights
      afterwards, except with int8.
    unit: to make.
    members: int `[n]`, the ids of its subset, ascending.
    on_epoch: called with (finished epochs, all epochs).

  Raises:
    UnitError: if the rebuilt or the compressed model computes something else,
      or the process that compresses died.
  """
  started = time.perf_counter()
  recipe, model = trainer.recipe, trainer.model
  if not isinstance(recipe, recipes.CompressedRecipe):
    raise ValueError(f"A recipe must be compressed. Received: {recipe.name}")
  compressor = session.compressor
  before = counted.of_model(model)
  normalized = _normalized(session, members[: compressor_lib.PROBE_SIZE])
  history: list[dict] = []
  facts: dict
  outputs: dict[str, bytes] = {}
  predict = trainer.predict
  try:
    compressor.load(model, normalized)
    if recipe.method == "quantize":
      some = _representative(session, recipe, unit, members)
      content = compressor.quantize(_normalized(session, some))
      facts, outputs = counted.of_int8(content), {plan_lib.TFLITE: content}
      int8 = litert.Int8Model(content, session.config.running.threads_per_unit)
      predict = int8.of_raw(session.data.mean, session.data.std)
    else:
      history = compressor.fine_tune(
        recipe.method,
        {"sparsity": recipe.sparsity, "clusters": recipe.clusters},
        _tuning(session, recipe, unit, members),
        on_epoch,
      )
      facts = counted.of_model(model)
  except compressor_lib.CompressionError as error:
    raise errors.UnitError(f"{unit.name}: {error}") from error
  return CompressedModel(
    predict=predict,
    history=history,
    facts={**facts, "source": before},
    outputs=outputs,
    seconds=time.perf_counter() - started,
  )


def _tuning(
  session, recipe: recipes.CompressedRecipe, unit, members
) -> compressor_lib.FineTuning:
  """What a unit's model is fine-tuned on: its own subset alone."""
  data = session.data
  found = [
    _batches(session, recipe, unit, members, epoch)
    for epoch in range(recipe.epochs)
  ]
  return compressor_lib.FineTuning(
    images=_images(session),
    labels=np.asarray(data.train_labels, np.int32),
    mean=np.asarray(data.mean, np.float32),
    std=np.asarray(data.std, np.float32),
    order=members[np.stack([order for order, _ in found])].astype(np.int32),
    rates=schedule.learning_rates(recipe, len(members) // recipe.batch_size),
    views=(
      None
      if recipe.augmentation == "none"
      else np.stack([views for _, views in found])
    ),
    momentum=recipe.momentum,
    nesterov=recipe.nesterov,
    weight_decay=recipe.weight_decay,
    weight_decay_convention=recipe.weight_decay_convention,
    weight_decay_coverage=recipe.weight_decay_coverage,
  )


def _batches(session, recipe, unit, members, epoch):
  """As the training of the unit's source had them."""
  return epochs.batches(
    recipe,
    members,
    len(session.data.train_labels),
    seed=session.config.running.seed,
    family=unit.subsets,
    index=unit.index,
    epoch=epoch,
  )


def _representative(session, recipe, unit, members) -> np.ndarray:
  """Ids of the images that give ranges: the first that were trained on."""
  order, _ = _batches(session, recipe, unit, members, 0)
  return np.sort(members[order.ravel()[: recipe.representative]])


def _images(session):
  """The raw training images, or the path of a file that begins with them."""
  path = session.directory.dataset_dir / "images.npy"
  return path if path.exists() else session.data.train_images


def _normalized(session, ids: np.ndarray) -> np.ndarray:
  """float32 images as the model gets them."""
  data = session.data
  return litert.normalized(data.train_images[ids], data.mean, data.std)
