"""Traced functions of a trainer's model that compute what a run records."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
import weakref

import numpy as np
import tensorflow as tf

from memo_tf.running.unit import session as session_lib
from memo_tf.training import trainer as trainer_lib
from memo_tf.training.recording import gradients
from memo_tf.training.recording import input_gradients
from memo_tf.training.recording import representations

# By kind; kept as long as the trainer of their model.
_CACHE: weakref.WeakKeyDictionary[trainer_lib.Trainer, dict[str, Any]] = (
  weakref.WeakKeyDictionary()
)


def function(
  kind: str, trainer: trainer_lib.Trainer, session: session_lib.Session
):
  """The function that computes a kind of output, traced once per trainer.

  Args:
    kind: `gradients`, `last_gradients`, `input_gradients` or
      `representations`.
    trainer: whose model, as trained when the function is called.
    session: with the settings and the data set's normalization.

  Returns:
    A `GradientNorms`, `LastLayerNorms`, `InputGradients` or `Representations`.
  """
  cache = _CACHE.setdefault(trainer, {})
  if kind not in cache:
    cache[kind] = _make(kind, trainer, session)
  return cache[kind]


def _make(
  kind: str, trainer: trainer_lib.Trainer, session: session_lib.Session
):
  settings, data = session.config.proxies, session.data
  jit_compile = session.jit_compile
  model = (trainer.model, data.mean, data.std)
  makers: dict[str, Callable] = {
    "gradients": lambda: gradients.GradientNorms(*model, jit_compile),
    "last_gradients": lambda: gradients.LastLayerNorms(*model, jit_compile),
    "input_gradients": lambda: input_gradients.InputGradients(
      *model,
      jit_compile=jit_compile,
      norm=settings.sensitivity_norm,
      step=settings.curvature_step,
      draws=settings.curvature_draws,
      output=settings.vog_output,
    ),
    "representations": lambda: representations.Representations(
      *model,
      max_dimensions=settings.probe_dimensions,
      jit_compile=jit_compile,
    ),
  }
  return makers[kind]()


class Layers(Sequence[np.ndarray]):
  """The representations of some examples, each layer computed on access.

  Args:
    traced: of the model.
    images: `[N, H, W, channels]`.
    indices: int `[n]`, of the examples.
  """

  def __init__(
    self,
    traced: representations.Representations,
    images: tf.Tensor,
    indices: np.ndarray,
  ):
    self._traced, self._images, self._indices = traced, images, indices

  def __len__(self) -> int:
    return len(self._traced)

  def __getitem__(self, number):
    name = self._traced.names[number]
    return self._traced.layer(name, self._images, self._indices)
