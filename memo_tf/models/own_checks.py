"""Checks an own model before anything is trained.

Each check is about something that would otherwise give wrong numbers without a
word: outputs that are probabilities and would be trained as logits, losses that
only `Model.fit` adds, draws that a resumed run would not repeat, weights that
no gradient reaches. Structure is looked at where Keras shows it, and what the
model computes is probed: with random images, and with random weights in place
of its own, under which logits take any value and probabilities still do not.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import xxhash

_NUM_IMAGES = 8
# Of a layer's activation, or of an operation.
_NOT_LOGITS = (
  "hard_sigmoid",
  "log_sigmoid",
  "log_softmax",
  "sigmoid",
  "softmax",
  "sparse_sigmoid",
  "sparsemax",
)
# Layers that only hand on what they get.
_TRANSPARENT = (
  keras.layers.Dropout,
  keras.layers.Flatten,
  keras.layers.Identity,
  keras.layers.Reshape,
)
# Operations of TensorFlow whose draws depend on how often they ran before.
_STATEFUL_DRAWS = (
  "Multinomial",
  "ParameterizedTruncatedNormal",
  "RandomCrop",
  "RandomGamma",
  "RandomPoisson",
  "RandomPoissonV2",
  "RandomShuffle",
  "RandomStandardNormal",
  "RandomUniform",
  "RandomUniformInt",
  "SampleDistortedBoundingBox",
  "SampleDistortedBoundingBoxV2",
  "TruncatedNormal",
)
_GIVE_LOGITS = (
  "Models must give logits, on which softmax and cross-entropy are computed: "
  "leave the last activation out (activation=None)."
)


def check(told: str, build: Callable[[int], keras.Model]) -> dict[str, Any]:
  """Builds a model three times, and refuses one that would train wrongly.

  Args:
    told: the model, as messages name it.
    build: builds it under a seed.

  Returns:
    `start`: a digest of the initial values that do not depend on the seed;
    `kept`: indices of their variables; `parameters`, `frozen`: how many are
    trained and how many are not; `drawn`: how many of those that are trained
    depend on the seed.

  Raises:
    ValueError: says what is wrong and what to do.
  """
  model, again, other = build(1), build(1), build(2)
  first, second, third = (values_of(m) for m in (model, again, other))
  if len(first) != len(third) or any(
    a.shape != b.shape for a, b in zip(first, third)
  ):
    raise ValueError(f"{told} has other variables each time that it is built.")
  if not all(map(_are_equal, first, second)):
    raise ValueError(
      f"{told} has other initial weights when it is built again under the same "
      "seed, so that no run could be repeated: draw them with Keras's "
      "initializers or NumPy's and Python's global generators, unseeded."
    )
  _check_is_new(told, model, other)
  _check_structure(told, model)
  shape = (_NUM_IMAGES, *model.input_shape[1:])
  images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  _check_training(told, model, images)
  _check_outputs(told, model, images)
  trained = {id(v) for v in model.trainable_variables}
  kept = [_are_equal(a, b) for a, b in zip(first, third)]
  drawn = sum(
    value.size
    for variable, value, is_kept in zip(model.variables, first, kept)
    if id(variable) in trained and not is_kept
  )
  parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
  return {
    "start": start_digest(first, [i for i, k in enumerate(kept) if k]),
    "kept": [i for i, is_kept in enumerate(kept) if is_kept],
    "parameters": parameters,
    "frozen": sum(int(np.prod(v.shape)) for v in model.weights) - parameters,
    "drawn": drawn,
  }


def start_digest(values: list[np.ndarray], kept: list[int]) -> str:
  """A digest of those initial values that every run of a model starts from.

  Args:
    values: of the model's variables, in order.
    kept: indices of those that do not depend on the seed.
  """
  hasher = xxhash.xxh3_128()
  for index in kept:
    hasher.update(f"{index}{values[index].shape}{values[index].dtype}".encode())
    hasher.update(np.ascontiguousarray(values[index]).tobytes())
  return hasher.hexdigest()


def values_of(model: keras.Model) -> list[np.ndarray]:
  """The values of a model's variables, seeds included, in order."""
  return [np.asarray(variable.numpy()) for variable in model.variables]


def _are_equal(one: np.ndarray, other: np.ndarray) -> bool:
  return one.tobytes() == other.tobytes()


def _check_is_new(told: str, model: keras.Model, other: keras.Model) -> None:
  """Refuses weights that a second run would find as the first has left them."""
  before = {id(variable) for variable in model.variables}
  for variable in other.trainable_variables:
    if id(variable) in before:
      raise ValueError(
        f"{told} returns the same trainable weights, {variable.path}, each "
        "time that it is called, so that a run would go on from another's: "
        "make layers and models inside the function, and cache none of them."
      )


def _check_structure(told: str, model: keras.Model) -> None:
  if not model.trainable_variables:
    raise ValueError(f"{told} has no trainable weights.")
  for name in _last_activations(model):
    if name in _NOT_LOGITS:
      raise ValueError(f"{told} ends with {name}. {_GIVE_LOGITS}")
  for variable in model.trainable_variables:
    if getattr(variable, "constraint", None) is not None:
      raise ValueError(
        f"{told} has a constraint on {variable.path}, which only Model.fit "
        "applies: leave it out."
      )
    if getattr(variable, "regularizer", None) is not None:
      raise ValueError(
        f"{told} has a regularizer on {variable.path}, whose loss only "
        "Model.fit adds: leave it out; --weight_decay sets weight decay."
      )


def _last_activations(model: keras.Model) -> Iterator[str]:
  """Names of what computes a model's outputs, as far as Keras shows it."""
  steps = getattr(model, "operations", None) or model.layers
  for operation in reversed(steps):
    if isinstance(operation, keras.Model):
      yield from _last_activations(operation)
      return
    yield _snake_case(type(operation).__name__)
    activation = getattr(operation, "activation", None)
    yield getattr(activation, "__name__", "")
    is_linear = isinstance(operation, keras.layers.Activation) and (
      getattr(activation, "__name__", "") == "linear"
    )
    if not isinstance(operation, _TRANSPARENT) and not is_linear:
      return


def _snake_case(name: str) -> str:
  parts = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
  return parts.lstrip("_")


def _check_training(told: str, model: keras.Model, images: np.ndarray) -> None:
  """Looks at a step of training, as a graph, without making it."""
  graph_of = tf.function(lambda x: model(x, training=True))
  try:
    concrete = graph_of.get_concrete_function(
      tf.TensorSpec(images.shape, tf.float32)
    )
  except Exception as error:  # of people's own code
    text = " ".join(str(error).split())[:400]
    raise ValueError(
      f"{told} cannot be called with training=True in a tf.function: "
      f"{type(error).__name__}: {text}"
    ) from error
  if model.losses:
    raise ValueError(
      f"{told} adds losses of its own (add_loss or an activity regularizer), "
      "which only Model.fit adds: leave them out."
    )
  known = {id(v.value) for v in model.variables}
  foreign = [v.name for v in concrete.graph.variables if id(v) not in known]
  if foreign:
    raise ValueError(
      f"{told} uses a variable that is not its own, {foreign[0]}, which is "
      "neither saved nor drawn anew in each run: make variables with "
      "add_weight, and give keras.random a keras.random.SeedGenerator that is "
      "an attribute of the layer."
    )
  for name in _operations(concrete.graph):
    if name in _STATEFUL_DRAWS:
      raise ValueError(
        f"{told} draws with TensorFlow's {name}, which a resumed run would not "
        "repeat: draw with keras.random and a keras.random.SeedGenerator that "
        "is an attribute of the layer, as keras.layers.Dropout does."
      )
  _check_gradients(told, model, images)


def _operations(graph) -> Iterator[str]:
  definition = graph.as_graph_def()
  for node in definition.node:
    yield node.op
  for function in definition.library.function:
    for node in function.node_def:
      yield node.op


def _check_gradients(told: str, model: keras.Model, images: np.ndarray) -> None:
  with tf.GradientTape() as tape:
    total = tf.reduce_sum(tf.cast(model(images, training=False), tf.float32))
  weights = [v.value for v in model.trainable_variables]
  gradients = tape.gradient(total, weights)
  for variable, gradient in zip(model.trainable_variables, gradients):
    if gradient is None:
      raise ValueError(
        f"{told} has trainable weights, {variable.path}, that do not reach its "
        "output: freeze them (trainable=False) or leave them out."
      )
    if not isinstance(gradient, tf.Tensor):
      raise ValueError(
        f"{told} has a sparse gradient at {variable.path}, as of an embedding, "
        "which the optimizer does not take."
      )


def _check_outputs(told: str, model: keras.Model, images: np.ndarray) -> None:
  """Probes the outputs with the model's weights and with random ones."""
  before = values_of(model)
  outputs = _outputs(model, images)
  if not np.isfinite(outputs).all():
    raise ValueError(
      f"{told} gives values that are not finite for random images, before "
      "any training."
    )
  findings = [_kind_of_outputs(outputs)]
  try:
    # Of many layers, large weights overflow, which would tell nothing.
    for is_large in (True, False):
      _draw(model, is_large)
      outputs = _outputs(model, images)
      if np.isfinite(outputs).all():
        break
    findings.append(_kind_of_outputs(outputs))
  finally:
    for variable, value in zip(model.variables, before):
      variable.assign(value)
  if findings[0] and findings[0] == findings[1]:
    raise ValueError(f"{told} gives {findings[0]}. {_GIVE_LOGITS}")


def _outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
  return np.asarray(keras.ops.cast(model(images, training=False), "float32"))


def _draw(model: keras.Model, is_large: bool) -> None:
  """Sets what is trained to random values: of 1, or to keep a layer's scale."""
  rng = np.random.default_rng(0)
  for variable in model.trainable_variables:
    noise = rng.normal(size=variable.shape)
    if not is_large:
      noise /= np.sqrt(max(np.prod(variable.shape[:-1]), 1))
    variable.assign(noise.astype(np.float32))


def _kind_of_outputs(outputs: np.ndarray) -> str | None:
  """What `[B, C]` outputs are if they are no logits; None if they may be."""
  if not np.isfinite(outputs).all():
    return None
  outputs = outputs.astype(np.float64)
  with np.errstate(over="ignore"):
    sums, odds = outputs.sum(axis=1), np.exp(outputs).sum(axis=1)
  is_share = bool((outputs >= 0).all() and (outputs <= 1).all())
  if is_share and np.allclose(sums, 1, atol=1e-3):
    return "probabilities, outputs from 0 to 1 that sum to 1"
  if (outputs <= 0).all() and np.allclose(odds, 1, atol=1e-3):
    return "logarithms of probabilities"
  if is_share and outputs.any():
    return "outputs from 0 to 1, as of a sigmoid"
  return None
