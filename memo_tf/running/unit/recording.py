"""The recorders of one run, and the files that they write.

They record for proxies, and what `--score_epochs` asks for. Without either
there is no `RunRecording`, and recording does not change a run. The training
loop tells a `RunRecording` of every epoch; what is computed from weights is
computed at the end, when the run's predictions are made.
"""

import dataclasses
import functools
import io
import time
from typing import Any

import numpy as np
import tensorflow as tf

from memo_tf import proxies
from memo_tf.experiment import random_streams
from memo_tf.experiment import run_outputs
from memo_tf.experiment import score_epochs
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.running.unit import session as session_lib
from memo_tf.running.unit import traced
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib
from memo_tf.training.recording import correctness
from memo_tf.training.recording import dynamics
from memo_tf.training.recording import input_gradients
from memo_tf.training.recording import second_split
from memo_tf.training.recording import snapshots

_CLEAN, _BATCH = "dynamics.npz", "batch_dynamics.npz"


class RunRecording:
  """The recorders of one run.

  Args:
    session: of this process.
    trainer: of the run's model and recipe.
    unit: of the run.
    members: int `[n]`, the ids of its subset, ascending.
    outputs: the output files that the run must have. Those that are not
      recorded (`is_recorded`) are ignored.

  Attributes:
    outputs: the output files that are recorded.
    members: as given.
    checkpoint_epochs: the epochs, from 1, whose weights are kept.
    seconds: time that recording for proxies has taken so far.
    scoring_seconds: time that predictions for `--score_epochs` have taken.
  """

  def __init__(
    self,
    session: session_lib.Session,
    trainer: trainer_lib.Trainer,
    unit: work_units.WorkUnit,
    members: np.ndarray,
    outputs: frozenset[str],
  ):
    self._session, self._trainer, self._unit = session, trainer, unit
    self.members = members
    self._config: settings_lib.ProxiesConfig = session.config.proxies
    self.outputs = frozenset(filter(is_recorded, outputs))
    self.seconds = self.scoring_seconds = 0.0
    labels = session.data.train_labels
    num_epochs = trainer.recipe.epochs
    epochs = run_outputs.recorded_epochs(num_epochs, self._config.record_epochs)
    self.checkpoint_epochs = run_outputs.checkpoint_epochs(
      num_epochs, self._config.record_checkpoints
    )
    self._recorders: dict[str, Any] = {}  # each a `recording.Recorder`
    if _CLEAN in self.outputs:
      self._recorders[_CLEAN] = dynamics.CleanDynamics(
        lambda: trainer.predict(session.images), labels, epochs
      )
    if _BATCH in self.outputs:
      self._recorders[_BATCH] = dynamics.BatchDynamics(labels, epochs)
    if any(self._is_of_weights(output) for output in self.outputs):
      self._recorders["snapshots"] = snapshots.Snapshots(
        trainer.model, self.checkpoint_epochs
      )
    scored = filter(None, map(score_epochs.epoch_of, sorted(self.outputs)))
    self._scored = correctness.Correctness(
      self._predicted,
      np.concatenate([labels, session.data.test_labels]),
      tuple(sorted(scored)),
    )

  def _predicted(self) -> np.ndarray:
    """`[N + T]`, the classes that the model predicts as it is now."""
    images = self._session.images, self._session.test_images
    return np.concatenate(
      [self._trainer.predict(part).argmax(axis=1) for part in images]
    )

  def key(self) -> str:
    """The settings that `state()` depends on, besides the run itself."""
    settings = [
      f"{field.name}={getattr(self._config, field.name)}"
      for field in dataclasses.fields(self._config)
      if field.metadata["policy"] == "fixed"
    ]
    return "/".join([*sorted(self.outputs), *settings])

  def wants_batches(self, epoch: int) -> bool:
    """Whether the logits of this epoch's batches are recorded."""
    batch = self._recorders.get(_BATCH)
    return batch is not None and batch.records(epoch)

  def presented(
    self, epoch: int, order: np.ndarray, logits: np.ndarray
  ) -> None:
    """Records the logits of an epoch's batches.

    Args:
      epoch: from 1.
      order: int `[steps, B]`, indices in the subset.
      logits: `[steps, B, C]`.
    """
    with _Timer(self):
      ids = self.members[order].ravel()
      flat = logits.reshape(-1, logits.shape[-1])
      self._recorders[_BATCH].presented(epoch, ids, flat)

  def after_epoch(self, epoch: int) -> None:
    """Records what the recorders need after `epoch` finished epochs."""
    with _Timer(self):
      for recorder in self._recorders.values():
        recorder.after_epoch(epoch)
    started = time.perf_counter()
    self._scored.after_epoch(epoch)
    self.scoring_seconds += time.perf_counter() - started

  def state(self) -> dict[str, np.ndarray]:
    """What has been recorded so far, by name."""
    return {
      f"{owner}:{name}": array
      for owner, recorder in self._all()
      for name, array in recorder.state().items()
    }

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    """Restores a `state()`; other names in it are ignored."""
    for owner, recorder in self._all():
      own = f"{owner}:"
      recorder.set_state(
        {
          name.removeprefix(own): array
          for name, array in state.items()
          if name.startswith(own)
        }
      )

  def _all(self) -> list[tuple[str, Any]]:
    """Every recorder, a `recording.Recorder`, by the name of its state."""
    return [*self._recorders.items(), ("scored", self._scored)]

  def finish(self, logits: np.ndarray) -> dict[str, bytes]:
    """Computes what is left, and returns every output file's content.

    Args:
      logits: `[N, C]` of the finished model.
    """
    with _Timer(self):
      recipe = self._trainer.recipe
      rates = schedule.learning_rates(
        recipe, len(self.members) // recipe.batch_size
      )
      about = {
        "checkpoint_epochs": np.array(self.checkpoint_epochs, np.int32),
        "learning_rate": rates[np.array(self.checkpoint_epochs) - 1, -1],
      }
      return {
        output: npz_bytes(self._arrays(output, about, logits))
        for output in sorted(self.outputs)
      }

  def _arrays(self, output, about, logits) -> dict[str, np.ndarray]:
    name, session = output.removesuffix(".npz"), self._session
    if epoch := score_epochs.epoch_of(output):
      return self._scored.arrays(epoch)
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
      rows = [
        self.of_weights(name, session.images, session.labels, k)
        for k in self._recorders["snapshots"].restored()
      ]
      return {name: np.stack(rows).astype(np.float32), **about}
    if output in run_outputs.SECOND_TRAINING:
      return {
        record: values
        for record, values in self._second_training.items()
        if run_outputs.OUTPUTS[record] == output
      }
    return {name: self.from_representations(name, logits, self.members)}

  @functools.cached_property
  def _second_training(self) -> dict[str, np.ndarray]:
    """What the second training says: once, for all outputs that need it."""
    unit, session = self._unit, self._session
    return second_split.second_training(
      self._trainer,
      session.images,
      session.labels,
      self.members,
      seed=session.config.running.seed,
      family=unit.subsets,
      index=unit.index,
    )

  def of_weights(
    self, name: str, images: tf.Tensor, labels: tf.Tensor, checkpoint: int
  ) -> np.ndarray:
    """A run output `[n]` of images `[n, …]`, with the model's current weights.

    Args:
      name: one of `run_outputs.CHECKPOINT_RECORDS`.
      images: `[n, H, W, channels]`.
      labels: int32 `[n]`.
      checkpoint: index of the weights in `checkpoint_epochs`.
    """
    if name == "grand":
      return self._traced("gradients").grand(images, labels)
    if name == "grand_last":
      return self._traced("last_gradients").grand_last(images, labels)
    if name == "loss_sensitivity":
      return self._traced("input_gradients").loss_sensitivity(images, labels)
    epoch = self.checkpoint_epochs[checkpoint]
    seed = random_streams.stream_seed(
      self._session.config.running.seed, "curvature", self._unit.name, epoch
    )
    return self._traced("input_gradients").curvature(images, labels, seed)

  def from_representations(
    self, name: str, logits: np.ndarray, members: np.ndarray
  ) -> np.ndarray:
    """A proxy of some examples, computed from these examples alone.

    Args:
      name: of the proxy.
      logits: `[N, C]` of the finished model.
      members: int `[n]`, ids.

    Returns:
      float32 `[N]`, NaN for all other examples.
    """
    session = self._session
    proxy = proxies.PROXIES[name]
    given = {
      "representations": traced.Layers(
        self._traced("representations"), session.images, members
      ),
      "labels": session.data.train_labels[members],
      "predicted": logits[members].argmax(axis=1),
    }
    settings: dict[str, Any] = {"num_neighbours": self._config.probe_neighbours}
    if name == "prediction_depth":
      settings["reference"] = self._config.depth_reference
    values, _ = proxies.evaluate(proxy, given, **settings)
    found = np.full(len(session.data.train_labels), np.nan, np.float32)
    found[members] = values
    return found

  def _traced(self, kind: str):
    return traced.function(kind, self._trainer, self._session)

  def _is_of_weights(self, output: str) -> bool:
    name = output.removesuffix(".npz")
    return name in ("vog", *run_outputs.CHECKPOINT_RECORDS)


def of_run(
  session: session_lib.Session,
  trainer: trainer_lib.Trainer,
  unit: work_units.WorkUnit,
  members: np.ndarray,
  outputs: frozenset[str],
) -> RunRecording | None:
  """The recording of a run, or None if none of its outputs is recorded."""
  if not any(map(is_recorded, outputs)):
    return None
  return RunRecording(session, trainer, unit, members, outputs)


def is_recorded(output: str) -> bool:
  """Whether an output file is recorded while a run is trained."""
  of_epoch = score_epochs.epoch_of(output) is not None
  return of_epoch or run_outputs.is_recorded(output)


class _Timer:
  """Adds the time that a block takes to a recording's seconds."""

  def __init__(self, owner: RunRecording):
    self._owner = owner

  def __enter__(self):
    self._started = time.perf_counter()

  def __exit__(self, *unused):
    self._owner.seconds += time.perf_counter() - self._started


def npz_bytes(arrays: dict[str, Any]) -> bytes:
  """Arrays, by name, as the bytes of an npz file."""
  sink = io.BytesIO()
  np.savez(sink, **arrays)
  return sink.getvalue()
