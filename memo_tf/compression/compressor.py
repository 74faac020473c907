"""Compresses Keras 3 models in a child process that lives as long as this.

Before anything is compressed, the child's model must give the parent's logits
of some probe images to `TOLERANCE`; the compressed weights are checked in the
same way when they have come back.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib
import selectors
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from memo_tf.compression import graph as graph_lib
from memo_tf.processes import child as child_lib
from memo_tf.processes import environment as environment_lib

PROGRAM = "memo_tf.compression.child.program"
# Of the largest logit.
TOLERANCE = 1e-5
PROBE_SIZE = 32
COPIED = 1024  # images copied at a time
_SETTINGS = (
  "momentum",
  "nesterov",
  "weight_decay",
  "weight_decay_convention",
  "weight_decay_coverage",
)


class CompressionError(RuntimeError):
  """The child failed, or computes something else than the parent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning:
  """What a model is fine-tuned on, and how.

  Attributes:
    images: `[N, H, W, channels]`, raw, an array or what can be indexed like
      one; or the path of a `.npy` file that has them first.
    labels: int32 `[N]`.
    mean, std: float32 `[channels]`, the normalization of the images.
    order: int32 `[epochs, steps, B]`, indices in the images.
    rates: float32 `[epochs, steps]`, learning rates.
    views: int32 `[epochs, steps, B, 3]`, as `data.augmentation.views`; None
      without augmentation.
    momentum, nesterov, weight_decay, weight_decay_convention,
      weight_decay_coverage: as in recipes.
  """

  images: Any
  labels: np.ndarray
  mean: np.ndarray
  std: np.ndarray
  order: np.ndarray
  rates: np.ndarray
  views: np.ndarray | None = None
  momentum: float = 0.9
  nesterov: bool = True
  weight_decay: float = 0.0
  weight_decay_convention: str = "gradient"
  weight_decay_coverage: str = "kernels"


class Compressor:
  """Compresses models, one after the other; use as a context manager.

  Args:
    threads: of the child.
    log_path: file that the child's output is appended to; None discards it.
  """

  def __init__(
    self, threads: int = 1, log_path: str | os.PathLike | None = None
  ):
    self._threads = threads
    self._log_path = pathlib.Path(log_path) if log_path else None
    self._child: child_lib.Child | None = None
    self._shared: tuple[Any, pathlib.Path] | None = None
    self._temporary = tempfile.TemporaryDirectory()
    self._folder = pathlib.Path(self._temporary.name)
    self._probe = np.empty(0)
    self._model: keras.Model | None = None

  def __enter__(self) -> "Compressor":
    return self

  def __exit__(self, *unused) -> None:
    self.close()

  def close(self) -> None:
    """Ends the child now, and deletes what was passed to it."""
    if self._child:
      self._child.close()
      self._child = None
    self._temporary.cleanup()

  def load(self, model: keras.Model, probe: np.ndarray) -> None:
    """Rebuilds a model in the child, and compares their logits.

    Args:
      model: as `graph.describe` takes it. It is not changed until its
        compressed weights are back.
      probe: float32 `[n, H, W, channels]`, images as the model gets them.

    Raises:
      ValueError: that names a layer which cannot be compressed.
      CompressionError: if the logits differ, or the child died.
    """
    text = json.dumps(graph_lib.describe(model))
    (self._folder / "graph.json").write_text(text)
    self._model, self._probe = model, np.asarray(probe, np.float32)
    arrays: dict[str, Any] = {"probe": self._probe, **graph_lib.weights(model)}
    np.savez(self._folder / "model.npz", **arrays)
    self._ask({"task": "rebuild"})
    self._compare("rebuilt in tf_keras")

  def fine_tune(
    self,
    method: str,
    options: Mapping[str, float],
    tuning: FineTuning,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
  ) -> list[dict]:
    """Prunes or clusters the loaded model, and sets its weights.

    Args:
      method: `prune`, with `sparsity` in (0, 1) among the options, or
        `cluster`, with `clusters` of at least 2.
      options: of the method.
      tuning: what on and how.
      on_epoch: called with (finished epochs, all epochs).

    Returns:
      One dictionary per epoch: epoch, learning rate, loss, accuracy.

    Raises:
      CompressionError: if the child died, or the weights give other logits
        here than there.
    """
    arrays: dict[str, Any] = {
      n: getattr(tuning, n) for n in ("mean", "std", "order", "rates")
    }
    if tuning.views is not None:
      arrays["views"] = tuning.views
    np.savez(self._folder / "batches.npz", **arrays)
    np.save(self._folder / "labels.npy", tuning.labels)
    found = self._ask(
      {
        "task": "finetune",
        "method": method,
        "options": dict(options),
        "images": str(self._share(tuning.images)),
        "settings": {name: getattr(tuning, name) for name in _SETTINGS},
      },
      on_epoch,
    )
    with np.load(self._folder / "compressed.npz", allow_pickle=False) as values:
      graph_lib.set_weights(self._loaded, dict(values))
    if not all(np.isfinite(w).all() for w in self._loaded.get_weights()):
      raise CompressionError(
        "after fine-tuning a weight is not finite; a smaller learning rate "
        "may help"
      )
    self._compare("compressed")
    return found["history"]

  def quantize(self, images: np.ndarray) -> bytes:
    """The loaded model in 8-bit integers, as a `.tflite` file.

    Args:
      images: float32 `[n, H, W, channels]`, as the model gets them: their
        activations give the ranges.

    Raises:
      CompressionError: if the converter fails, or the child died.
    """
    np.savez(
      self._folder / "representative.npz", images=np.asarray(images, np.float32)
    )
    self._ask({"task": "quantize"})
    return (self._folder / "model.tflite").read_bytes()

  @property
  def _loaded(self) -> keras.Model:
    if self._model is None:
      raise ValueError("`load` a model first. Received: no model")
    return self._model

  def _share(self, images: Any) -> pathlib.Path:
    """The path of a file with the images, written once for many models."""
    if isinstance(images, pathlib.Path):
      return images.absolute()
    if self._shared is None or self._shared[0] is not images:
      path = self._folder / "images.npy"
      path.unlink(missing_ok=True)  # the child may still have it mapped
      copy = np.lib.format.open_memmap(
        path, "w+", dtype=images.dtype, shape=images.shape
      )
      for start in range(0, len(images), COPIED):
        copy[start : start + COPIED] = images[start : start + COPIED]
      copy.flush()
      self._shared = images, path
    return self._shared[1]

  def _compare(self, what: str) -> None:
    """Compares the model's logits of the probe with those of the child."""
    with tf.device("/CPU:0"):  # as the child does
      here = self._loaded(self._probe, training=False)
    here = np.asarray(here)
    there = np.load(self._folder / "logits.npy", allow_pickle=False)
    scale = max(float(np.abs(here).max(initial=0.0)), 1e-6)
    worst = float(np.abs(here - there).max(initial=0.0)) / scale
    if not worst <= TOLERANCE:
      raise CompressionError(
        f"{self._loaded.name!r} {what} gives other logits: they differ by "
        f"{worst:.2g} of the largest, more than {TOLERANCE:g}"
      )

  def _ask(
    self,
    task: dict,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
  ) -> dict:
    """Gives the child a task and waits for its answer.

    A child that was left without having answered is ended: what it would still
    say is no answer to the next task.
    """
    child = self._child or self._started()
    child.give(task)
    try:
      message = _answer(child, on_epoch)
    except BaseException:
      self._child = None
      child.close()
      raise
    if message["event"] == "failed":
      raise CompressionError(f"compression failed: {message['error']}")
    return message

  def _started(self) -> child_lib.Child:
    variables = environment_lib.environment(self._threads)
    variables["TF_USE_LEGACY_KERAS"] = "1"  # in the child alone
    setup = {
      "task": "setup",
      "folder": str(self._folder),
      "threads": self._threads,
    }
    self._child = child_lib.Child(PROGRAM, setup, variables, self._log_path)
    return self._child


def _answer(
  child: child_lib.Child, on_epoch: Callable[[int, int], None]
) -> dict:
  """Waits for a child's answer to its task: `done` or `failed`.

  Raises:
    CompressionError: if it died, or could not be set up.
  """
  with selectors.DefaultSelector() as selector:
    selector.register(child.results, selectors.EVENT_READ)
    while not child.ended:
      selector.select()
      for message in child.read():
        if message["event"] == "epoch":
          on_epoch(message["epoch"], message["epochs"])
        elif not child.setting_up:
          return message
        elif message["event"] == "failed":
          raise CompressionError(f"compression failed: {message['error']}")
        else:
          child.setting_up = False
  raise CompressionError(
    f"compression failed: {child_lib.death(child.process.wait())}"
  )
