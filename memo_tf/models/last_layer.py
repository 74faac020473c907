"""The last layer of a model, where that alone is trained (recipe `frozen`).

The last layer that has weights must be the classifier: dense, with a unit for
each class, and the only way from the images to the logits. Of one's own models
the second is probed, since a graph of layers need not show it.
"""

from collections.abc import Iterator

import keras
import numpy as np

_NUM_IMAGES = 8


def find(model: keras.Model, num_classes: int) -> keras.layers.Dense:
  """The classifier of a model.

  Args:
    model: images `[B, H, W, channels]` to logits `[B, C]`, built.
    num_classes: C.

  Raises:
    ValueError: says what the last layer with weights is, if it is no classifier
      or is not trained.
  """
  *_, last = _with_weights(model)
  is_classifier = isinstance(last, keras.layers.Dense) and (
    last.units == num_classes
  )
  if not is_classifier or len(last.trainable_weights) != len(last.weights):
    units = getattr(last, "units", None)
    raise ValueError(
      "its last layer with weights must be a trainable keras.layers.Dense of "
      f"{num_classes} units, one for each class. Received: "
      f"{type(last).__name__} {last.name!r}"
      + (f" of {units} units" if units is not None else "")
      + ("" if last.trainable_weights else ", which is not trained")
    )
  return last


def freeze_others(model: keras.Model, num_classes: int) -> keras.layers.Dense:
  """Leaves only the classifier's variables trainable, and returns it.

  Raises:
    ValueError: as `find`.
  """
  last = find(model, num_classes)
  trained = {id(variable) for variable in last.trainable_variables}
  for variable in model.trainable_variables:
    if id(variable) not in trained:
      variable.trainable = False
  return last


def check(model: keras.Model, num_classes: int) -> None:
  """Checks that all that the logits know of an image passes the classifier.

  Its kernel is 0 meanwhile, so that all images must get the same logits.

  Args:
    model: as for `find`; its weights are as before afterwards.
    num_classes: C.

  Raises:
    ValueError: as `find`, or that says that logits depend on more.
  """
  last = find(model, num_classes)
  before = last.kernel.numpy()
  shape = (_NUM_IMAGES, *model.input_shape[1:])
  images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  last.kernel.assign(np.zeros_like(before))
  try:
    logits = np.asarray(
      keras.ops.cast(model(images, training=False), "float32")
    )
  finally:
    last.kernel.assign(before)
  if not (logits == logits[:1]).all():
    raise ValueError(
      f"its logits depend on more than its last layer with weights, "
      f"{last.name!r}: another way from the images leads past it"
    )


def _with_weights(layer: keras.Layer) -> Iterator[keras.Layer]:
  """The innermost layers that have weights, in their order."""
  inner = [sub for sub in layer._layers if sub.weights]
  if not inner:
    yield layer
  for sub in inner:
    yield from _with_weights(sub)
