"""What one run records for proxies: which recorders, and their files.

Without a proxy there is no `RunRecording`, and the run is what it always was.
With one, the training loop tells it of every epoch; what is computed from
weights is computed at the end, when the run's predictions are made.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import io
import time
import weakref

import numpy as np
import tensorflow as tf

from memo_tf import proxies
from memo_tf.experiment import random_streams
from memo_tf.experiment import recipes
from memo_tf.experiment import run_outputs
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.training import distribution
from memo_tf.training import recording
from memo_tf.training import trainer as trainer_lib
from memo_tf.training.recording import dynamics
from memo_tf.training.recording import gradients
from memo_tf.training.recording import input_gradients
from memo_tf.training.recording import representations
from memo_tf.training.recording import second_split
from memo_tf.training.recording import snapshots

# Traced functions, kept as long as the trainer of their model.
_TRACED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_CLEAN, _BATCH = "dynamics.npz", "batch_dynamics.npz"


class RunRecording:
  """The recorders of one run.

  Args:
    session: of this process.
    trainer: of the run's model and recipe.
    recipe: of the run.
    unit_name: of the run.
    members: int `[n]`, the ids of its subset, ascending.
    outputs: the output files wanted of it; only `records.is_recorded` ones.
  """

  def __init__(
    self,
    session,
    trainer: trainer_lib.Trainer,
    recipe: recipes.Recipe,
    unit_name: str,
    members: np.ndarray,
    outputs: frozenset[str],
  ):
    self._session, self._trainer = session, trainer
    self._members, self._unit_name = members, unit_name
    self._config: settings_lib.ProxiesConfig = session.config.proxies
    self.outputs = frozenset(filter(run_outputs.is_recorded, outputs))
    self.seconds = 0.0
    labels = session.data.train_labels
    epochs = run_outputs.recorded_epochs(
      recipe.epochs, self._config.record_epochs
    )
    self._checkpoints = run_outputs.checkpoint_epochs(
      recipe.epochs, self._config.record_checkpoints
    )
    self._recorders: dict[str, recording.Recorder] = {}
    if _CLEAN in self.outputs:
      self._recorders[_CLEAN] = dynamics.CleanDynamics(
        lambda: trainer.predict(session.images), labels, epochs
      )
    if _BATCH in self.outputs:
      self._recorders[_BATCH] = dynamics.BatchDynamics(labels, epochs)
    if any(self._is_of_weights(output) for output in self.outputs):
      self._recorders["snapshots"] = snapshots.Snapshots(
        trainer.model, self._checkpoints
      )

  def key(self) -> str:
    """What the state depends on beside the run itself."""
    settings = [
      f"{field.name}={getattr(self._config, field.name)}"
      for field in dataclasses.fields(self._config)
      if field.metadata["policy"] == "fixed"
    ]
    return "/".join([*sorted(self.outputs), *settings])

  def wants_batches(self, epoch: int) -> bool:
    """Whether the logits of this epoch's batches are to be kept."""
    batch = self._recorders.get(_BATCH)
    return batch is not None and batch.records(epoch)

  def presented(self, epoch: int, order: np.ndarray, logits: np.ndarray):
    """Takes the logits `[steps, B, C]` of places `[steps, B]` in the subset."""
    with _Timer(self):
      ids = self._members[order].ravel()
      flat = logits.reshape(-1, logits.shape[-1])
      self._recorders[_BATCH].presented(epoch, ids, flat)

  def after_epoch(self, epoch: int) -> None:
    with _Timer(self):
      for recorder in self._recorders.values():
        recorder.after_epoch(epoch)

  def state(self) -> dict[str, np.ndarray]:
    return {
      f"{owner}:{name}": array
      for owner, recorder in self._recorders.items()
      for name, array in recorder.state().items()
    }

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    for owner, recorder in self._recorders.items():
      own = f"{owner}:"
      recorder.set_state(
        {
          name.removeprefix(own): array
          for name, array in state.items()
          if name.startswith(own)
        }
      )

  def finish(self, rates: np.ndarray, logits: np.ndarray) -> dict[str, bytes]:
    """The content of every output file.

    Args:
      rates: float32 `[epochs, steps]`, learning rates of the run.
      logits: `[N, C]` of the finished model.
    """
    with _Timer(self):
      about = {
        "checkpoint_epochs": np.array(self._checkpoints, np.int32),
        "learning_rate": rates[np.array(self._checkpoints) - 1, -1],
      }
      return {
        output: npz_bytes(self._arrays(output, about, logits))
        for output in sorted(self.outputs)
      }

  def _arrays(self, output, about, logits) -> dict[str, np.ndarray]:
    name, session = output.removesuffix(".npz"), self._session
    if output in (_CLEAN, _BATCH):
      return self._recorders[output].arrays()
    if name == "probabilities":
      shifted = logits - logits.max(axis=1, keepdims=True)
      weights = np.exp(shifted.astype(np.float64))
      probabilities = weights / weights.sum(axis=1, keepdims=True)
      return {name: probabilities.astype(np.float32)}
    if name == "vog":
      values = input_gradients.variance_of_gradients(
        self._traced("input_gradients"),
        self._recorders["snapshots"],
        session.images,
        session.labels,
      )
      return {name: values, **about}
    if self._is_of_weights(output):
      values = [
        self.of_weights(name, session.images, session.labels, k)
        for k in self._recorders["snapshots"].restored()
      ]
      return {name: np.stack(values).astype(np.float32), **about}
    if name == "second_split":
      return {"second_correct": self._second_correct()}
    return {name: self._from_representations(name, logits)}

  def _second_correct(self) -> np.ndarray:
    unit, session = work_units.parse_unit(self._unit_name), self._session
    return second_split.second_correct(
      self._trainer,
      session.images,
      session.labels,
      self._members,
      seed=session.config.running.seed,
      family=unit.subsets,
      index=unit.index,
    )

  def of_weights(
    self, name: str, images: tf.Tensor, labels: tf.Tensor, checkpoint: int
  ) -> np.ndarray:
    """A record `[n]` of images `[n, …]` by the weights as they are now."""
    if name == "grand":
      return self._traced("gradients").grand(images, labels)
    if name == "grand_last":
      return self._traced("last_gradients").grand_last(images, labels)
    if name == "loss_sensitivity":
      return self._traced("input_gradients").loss_sensitivity(images, labels)
    epoch = self._checkpoints[checkpoint]
    seed = random_streams.stream_seed(
      self._session.config.running.seed, "curvature", self._unit_name, epoch
    )
    return self._traced("input_gradients").curvature(images, labels, seed)

  def estimated_seconds(self, count: int) -> tuple[float, float]:
    """What recording costs a run, from timing it on a few examples.

    Nearest neighbours are taken to cost the square of the examples, all else
    is linear in them; batch dynamics cost next to nothing. Not the steps of a
    second training, whose time the caller knows.

    Args:
      count: how many examples.

    Returns:
      Seconds a run, and the seconds that tracing took.
    """
    session, whole = self._session, len(self._session.data.train_labels)
    count = min(count, whole, len(self._members))
    images, labels = session.images[:count], session.labels[:count]
    places, some = np.arange(count), self._members[:count]
    linear = whole / count
    own = len(self._members) / len(some)
    zeros = np.zeros((whole, 2), np.float32)
    # What is done, and how many times it is done in a run.
    costs: list[tuple[Callable, float]] = []
    if _CLEAN in self.outputs:
      number = len(self._recorders[_CLEAN].epochs)
      costs.append((lambda: self._trainer.predict(images), linear * number))
    if "second_split.npz" in self.outputs:
      epochs = self._trainer.recipe.epochs
      costs.append((lambda: self._trainer.predict(images), own * epochs))
    for output in sorted(self.outputs):
      name = output.removesuffix(".npz")
      rows = linear * len(self._checkpoints)
      if name == "vog":
        derive = self._traced("input_gradients").label_gradients
        costs.append((lambda d=derive: d(images, labels, places), rows))
      elif name in run_outputs.CHECKPOINT_RECORDS:
        costs.append(
          (lambda n=name: self.of_weights(n, images, labels, 0), rows)
        )
      elif (
        name in proxies.PROXIES and len(some) > self._config.probe_neighbours
      ):
        layers = Layers(self._traced("representations"), session.images, some)
        # Twice, as prediction depth asks for them; the rest is quadratic.
        costs.append((lambda ls=layers: list(ls), 2 * own - 2 * own**2))
        costs.append(
          (
            lambda n=name: self._from_representations(n, zeros, some),
            own**2,
          )
        )
    total = tracing = 0.0
    for action, times in costs:
      first, second = _seconds(action), _seconds(action)
      tracing += max(0.0, first - second)
      total += times * second
    return max(total, 0.0), tracing

  def _from_representations(self, name, logits, members=None) -> np.ndarray:
    """A proxy of the run's own examples among themselves, NaN elsewhere."""
    session = self._session
    members = self._members if members is None else members
    proxy = proxies.PROXIES[name]
    given = {
      "representations": Layers(
        self._traced("representations"), session.images, members
      ),
      "labels": session.data.train_labels[members],
      "predicted": logits[members].argmax(axis=1),
    }
    settings = {"num_neighbours": self._config.probe_neighbours}
    if name == "prediction_depth":
      settings["reference"] = self._config.depth_reference
    values, _ = proxies.evaluate(proxy, given, **settings)
    found = np.full(len(session.data.train_labels), np.nan, np.float32)
    found[members] = values
    return found

  def _is_of_weights(self, output: str) -> bool:
    name = output.removesuffix(".npz")
    return name in ("vog", *run_outputs.CHECKPOINT_RECORDS)

  def _traced(self, kind: str):
    """The functions of a kind on this trainer's model, traced once."""
    cache = _TRACED.setdefault(self._trainer, {})
    if kind not in cache:
      cache[kind] = _make(kind, self._trainer, self._session)
    return cache[kind]


class Layers(Sequence):
  """The representations of some examples, each layer computed when asked for."""

  def __init__(self, traced: representations.Representations, images, places):
    self._traced, self._images, self._places = traced, images, places

  def __len__(self) -> int:
    return len(self._traced)

  def __getitem__(self, number: int) -> np.ndarray:
    name = self._traced.names[number]
    return self._traced.layer(name, self._images, self._places)


def _make(kind: str, trainer: trainer_lib.Trainer, session):
  settings, data = session.config.proxies, session.data
  jit_compile = distribution.jit_compile(
    session.config.running.jit_compile, session.strategy
  )
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


def _seconds(action: Callable) -> float:
  before = time.perf_counter()
  action()
  return time.perf_counter() - before


class _Timer:
  """Adds what passes to a recording's seconds."""

  def __init__(self, owner: RunRecording):
    self._owner = owner

  def __enter__(self):
    self._started = time.perf_counter()

  def __exit__(self, *unused):
    self._owner.seconds += time.perf_counter() - self._started


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
  """Arrays as the bytes of an npz file."""
  sink = io.BytesIO()
  np.savez(sink, **arrays)
  return sink.getvalue()
