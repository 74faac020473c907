"""Builds people's own models from their sources.

A function is called once for every run, under the run's own seed: what it draws
(with Keras's initializers, NumPy or `random`) is drawn anew in each run, and
what it loads is the same in all of them. A model given as JSON is built anew
likewise. Its layers keep what they declare: which are trained, the momentum of
batch normalization, seeds of their own.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import random
import re
from typing import Any

import keras
import numpy as np

from memo_tf.experiment import model_names
from memo_tf.models import own_imports
from memo_tf.models import precision as precision_lib

# Layers and operations that say that a model scales its images itself.
_SCALING = ("Normalization", "Rescaling")
_ANSI = re.compile("\x1b\\[[0-9;]*m")  # colours in Keras's messages
_ARITHMETIC = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")


class OwnModels:
  """The own models of a study, by name.

  Args:
    sources: of the models, and of what is imported before them.
    inputs: `auto`, `normalized` or `raw`: the images that models get.
  """

  def __init__(
    self, sources: Iterable[own_imports.Source] = (), inputs: str = "auto"
  ):
    self._sources = {source.name: source for source in sources}
    self._inputs = inputs
    self._builders: dict[str, Callable[..., Any]] = {}
    self._is_imported = False

  def digest(self, name: str) -> str:
    """The digest of a model's source; empty for a built-in model."""
    source = self._sources.get(name)
    return source.reference.digest if source else ""

  def build(
    self,
    name: str,
    seed: int,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: np.ndarray,
    std: np.ndarray,
    precision: str = "float32",
  ) -> keras.Model:
    """Builds a model, its initial weights drawn under a seed.

    Args:
      name: of the model.
      seed: of everything that is drawn, 0 or more.
      image_shape: `(H, W, channels)`.
      num_classes: C.
      mean: float32 `[channels]`, of raw pixel values.
      std: float32 `[channels]`, their standard deviations.
      precision: the policy under which a function is called, as in
        `build_model`.

    Returns:
      A functional model from normalized images to logits `[B, C]`. A model
      that gets raw pixels, or is subclassed, is in one, which gives it what it
      takes.

    Raises:
      ValueError: if it cannot be imported or built, or does not take such
        images or give such logits.
    """
    if name not in self._sources:
      raise ValueError(f"An own model needs a source. Received: {name!r}")
    self._import(name)
    # Some layers draw only when they are first called: after the function.
    with _seeded(seed):
      made = self._call(name, precision, image_shape, num_classes)
      return self._fitted(
        name, made, precision, image_shape, num_classes, (mean, std)
      )

  def _fitted(
    self, name, made, precision, image_shape, num_classes, statistics
  ) -> keras.Model:
    """What a function returned, checked, as a model of normalized images."""
    if not isinstance(made, keras.Model):
      raise ValueError(
        f"{self.told(name)} must return a keras.Model. Received: "
        f"{type(made).__module__}.{type(made).__name__}"
      )
    self._check_inputs(name, made, image_shape)
    given = made
    with precision_lib.policy(precision), self._errors(name, "take images"):
      if isinstance(made, keras.Sequential) and not made.built:
        made.build((None, *image_shape))
      if isinstance(made, keras.Sequential) and made.built:
        # Its `output` is not that of its last layer.
        made = keras.Model(made.inputs[0], made.outputs[0], name=made.name)
      outputs = made(keras.Input(image_shape))
    self._check_shapes(name, made, outputs, num_classes)
    is_raw, inputs = self.takes_raw(made), getattr(made, "inputs", None)
    if is_raw or not inputs or inputs[0].shape != (None, *image_shape):
      with precision_lib.policy(precision), self._errors(name, "take images"):
        made = _within(made, name, image_shape, statistics if is_raw else None)
    if made is not given:
      _freeze_all_but(given.trainable_variables, made)
    return made

  def told(self, name: str) -> str:
    """The reference to a model, as messages name it."""
    return self._sources[name].reference.told

  def takes_raw(self, model: keras.Model) -> bool:
    """Whether a model gets raw pixels rather than normalized images."""
    if self._inputs != "auto":
      return self._inputs == "raw"
    return _scales_images(model)

  def _call(self, name, precision, image_shape, num_classes) -> Any:
    if precision != "float32" and self._sources[name].path.suffix == ".json":
      raise ValueError(
        f"{self.told(name)} states the precision of its layers: give a "
        f"function. Received: --precision={precision}"
      )
    with (
      precision_lib.policy(precision),
      self._errors(name, "be built"),
      own_imports.beside(self._sources[name]),
    ):
      return self._builders[name](tuple(image_shape), num_classes)

  def _import(self, name: str) -> None:
    """Imports a model's source, the first time, and what comes before it."""
    if not self._is_imported:
      for source in self._sources.values():
        if not model_names.is_own(source.name):
          with (
            self._errors(source.name, "be imported"),
            own_imports.beside(source),
          ):
            own_imports.import_source(source)
      self._is_imported = True
    if name not in self._builders:
      source = self._sources[name]
      with self._errors(name, "be imported"), own_imports.beside(source):
        self._builders[name] = own_imports.builder(source)

  @contextlib.contextmanager
  def _errors(self, name: str, what: str) -> Iterator[None]:
    """Turns any error of people's own code into one line that names it."""
    try:
      yield
    except (Exception, SystemExit) as error:
      text = " ".join(_ANSI.sub("", str(error)).split())[:400]
      line = ""
      trace = error.__traceback__
      while trace:
        if trace.tb_frame.f_code.co_filename == str(self._sources[name].path):
          line = f" in line {trace.tb_lineno}"
        trace = trace.tb_next
      raise ValueError(
        f"{self.told(name)} cannot {what}: {type(error).__name__}{line}: {text}"
      ) from error

  def _check_shapes(self, name, model, outputs, num_classes) -> None:
    told = self.told(name)
    shape = getattr(outputs, "shape", None)
    shapes = keras.tree.map_structure(_shape, outputs)
    if shape is None or len(getattr(model, "outputs", [outputs])) != 1:
      raise ValueError(
        f"{told} must have one output, logits [B, {num_classes}]. Received: a "
        f"{type(outputs).__name__} of {shapes}"
      )
    if tuple(shape) != (None, num_classes):
      raise ValueError(
        f"{told} must give logits [B, {num_classes}], one for each class of "
        f"any number of images. Received: an output of shape {tuple(shape)}"
      )

  def _check_inputs(self, name, model, image_shape) -> None:
    told = self.told(name)
    given = getattr(model, "inputs", None) or ()
    if len(given) > 1:
      raise ValueError(
        f"{told} must have one input, images. Received: {len(given)} inputs"
      )
    for tensor in given:
      taken = tuple(tensor.shape[1:])
      fits = len(taken) == len(image_shape) and all(
        a in (None, b) for a, b in zip(taken, image_shape)
      )
      if not fits:
        raise ValueError(
          f"{told} must take images of {tuple(image_shape)}, the function's "
          "first argument; a Resizing layer can change them. Received: an "
          f"input of {taken}"
        )
      if not str(tensor.dtype).startswith(("float", "bfloat")):
        raise ValueError(
          f"{told} must take float images, or what is between two whole "
          f"numbers would be lost. Received: keras.Input of {tensor.dtype}"
        )


def copy_values(
  source: keras.Model, target: keras.Model, part: keras.Layer | None = None
) -> None:
  """Sets every variable of a model, seeds included, to that of its sibling.

  Args:
    source: the sibling.
    target: the model.
    part: the layer of `target`, or all of it, whose variables are set; None:
      all.

  Raises:
    ValueError: if they have other variables.
  """
  given, own = source.variables, target.variables
  if [v.shape for v in given] != [v.shape for v in own]:
    raise ValueError(
      "an own model must have the same variables whenever it is built. "
      f"Received: {len(given)} variables after {len(own)}, or other shapes"
    )
  changed = target if part is None else part
  chosen = {id(variable) for variable in changed.variables}
  for variable, value in zip(own, given):
    if id(variable) in chosen:
      variable.assign(value.numpy())


def random_states(model: keras.Model) -> list:
  """The variables of a model that are no weights: the states of its seeds."""
  weights = {id(variable) for variable in model.weights}
  return [v for v in model.variables if id(v) not in weights]


def _freeze_all_but(trained: list, model: keras.Model) -> None:
  """Makes a model around another one train what that one trains."""
  chosen = {id(variable) for variable in trained}
  for variable in model.trainable_variables:
    if id(variable) not in chosen:
      variable.trainable = False


def _within(model, name, image_shape, statistics) -> keras.Model:
  """A functional model from normalized images around another one."""
  images = keras.Input(image_shape, name="images")
  x = images
  if statistics:
    mean, std = (np.asarray(values, np.float64) for values in statistics)
    x = keras.layers.Rescaling(
      std.tolist(), mean.tolist(), name="raw_pixels", dtype=images.dtype
    )(x)
  return keras.Model(images, model(x), name=name)


def _scales_images(model: keras.Model) -> bool:
  """Whether a model has a layer that scales, or begins with arithmetic."""
  for layer in model._flatten_layers():
    if type(layer).__name__ in _SCALING:
      return True
  for operation in getattr(model, "operations", ()):
    if getattr(operation, "weights", None):
      return False
    if not isinstance(operation, keras.Layer):
      if type(operation).__name__ in _ARITHMETIC:
        return True
  return False


def _shape(tensor) -> Any:
  return tuple(getattr(tensor, "shape", ()))


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
  """Seeds Keras, TensorFlow, NumPy and `random` for the block."""
  before = random.getstate(), np.random.get_state()
  keras.utils.set_random_seed(seed % 2**32)
  try:
    yield
  finally:
    random.setstate(before[0])
    np.random.set_state(before[1])
