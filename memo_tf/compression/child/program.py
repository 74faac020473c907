"""The child that rebuilds models in tf_keras and compresses them.

    python -m memo_tf.compression.child.program RESULT_FD PARENT_PID

It is started with TF_USE_LEGACY_KERAS=1, alone of all processes. Tasks come one
at a time; arrays travel in files of the folder that the first task names. What
was traced for a model is kept for the next model of the same graph.
"""

import collections
import json
import os
import pathlib
import sys
import traceback
from typing import Any

import numpy as np

from memo_tf.processes import answering

# Traced models that are kept; units come recipe by recipe.
MAX_MODELS = 2
PROBE_BATCH = 32


class Program:
  """Answers tasks: setup, rebuild, finetune and quantize."""

  def __init__(self, send):
    self._send = send
    self._folder = pathlib.Path()
    self._graph: dict[str, Any] = {}
    self._weights: dict[str, np.ndarray] = {}
    self._plain: tuple[str, Any] = ("", None)
    self._traced: collections.OrderedDict = collections.OrderedDict()

  def setup(self, task: dict) -> dict:
    import tensorflow as tf

    for kind in ("intra", "inter"):
      set_threads = getattr(
        tf.config.threading, f"set_{kind}_op_parallelism_threads"
      )
      set_threads(task["threads"])
    for gpu in tf.config.list_physical_devices("GPU"):
      tf.config.experimental.set_memory_growth(gpu, True)
    self._folder = pathlib.Path(task["folder"])
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
      raise RuntimeError("TF_USE_LEGACY_KERAS must be 1 in this process")
    return {}

  def rebuild(self, task: dict) -> dict:
    """Builds the model of `graph.json`; answers its logits of the probe."""
    from memo_tf.compression.child import rebuilding

    text = (self._folder / "graph.json").read_text()
    if self._plain[0] != text:
      self._plain = (text, rebuilding.build(json.loads(text)))
    self._graph = json.loads(text)
    found = _read(self._folder / "model.npz")
    probe = found.pop("probe")
    self._weights = found
    rebuilding.set_weights(self._plain[1], found)
    self._write_logits(self._plain[1], probe)
    return {}

  def finetune(self, task: dict) -> dict:
    """Prunes or clusters the model; answers its weights and the history."""
    from memo_tf.compression.child import clustering
    from memo_tf.compression.child import pruning
    from memo_tf.compression.child import rebuilding
    from memo_tf.compression.child import training

    method = {"prune": pruning, "cluster": clustering}[task["method"]]
    arrays = _read(self._folder / "batches.npz")
    batches = training.Batches(
      images=np.load(task["images"], mmap_mode="r"),
      labels=np.load(self._folder / "labels.npy"),
      views=arrays.pop("views", None),
      **arrays,
    )
    steps = batches.rates.size
    key = json.dumps([self._graph, task["method"], task["options"], steps])
    key += json.dumps(task["settings"])
    if key not in self._traced:
      while len(self._traced) >= MAX_MODELS:
        self._traced.popitem(last=False)
      model = method.build(self._graph, task["options"], steps)
      tuning = training.FineTuning(model, task["settings"])
      self._traced[key] = model, tuning
    self._traced.move_to_end(key)
    model, tuning = self._traced[key]
    rebuilding.set_weights(model, self._weights)
    method.reset(model)

    def on_epoch(epoch, epochs):
      self._send({"event": "epoch", "epoch": epoch, "epochs": epochs})

    history = tuning.run(batches, on_epoch)
    method.finish(model)
    compressed: dict[str, Any] = rebuilding.weights(model)
    np.savez(self._folder / "compressed.npz", **compressed)
    # In the model without wrappers: what strip_pruning would return.
    rebuilding.set_weights(self._plain[1], compressed)
    self._write_logits(
      self._plain[1], _read(self._folder / "model.npz")["probe"]
    )
    return {"history": history}

  def quantize(self, task: dict) -> dict:
    """Converts the model to 8-bit integers; answers a `.tflite` file."""
    from memo_tf.compression.child import quantization

    images = _read(self._folder / "representative.npz")["images"]
    content = quantization.convert(self._plain[1], images)
    (self._folder / "model.tflite").write_bytes(content)
    return {}

  def _write_logits(self, model, images: np.ndarray) -> None:
    import tensorflow as tf

    with tf.device("/CPU:0"):  # a GPU may round products to fewer bits
      logits = model(images, training=False).numpy()
    np.save(self._folder / "logits.npy", logits)


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(path, allow_pickle=False) as found:
    return dict(found)


def main() -> None:
  """Answers tasks until the parent ends."""
  tasks, send = answering.start()
  program = Program(send)
  while True:
    task = tasks.get()
    try:
      send({"event": "done", **getattr(program, task["task"])(task)})
    except Exception as error:  # reported to the parent
      print(traceback.format_exc(), file=sys.stderr, flush=True)
      message = " ".join(str(error).split())[:500]
      send({"event": "failed", "error": f"{type(error).__name__}: {message}"})


if __name__ == "__main__":
  main()
