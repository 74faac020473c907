"""A finished run on its way to the disk: record, outputs, and publication.

The run appears whole, by one rename, with `run.json` inside. A unit that is
repeated because one more output is wanted must first give the predictions that
it gave before, to the bit.
"""

import importlib.metadata
import io
import json
import pathlib
import platform
import shutil
import tempfile

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions


def machine() -> dict[str, str]:
  """The kind of machine, as far as results depend on it."""
  gpus = tf.config.list_physical_devices("GPU")
  details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
  return {
    "host": platform.node(),
    "cpu": _cpu_name(),
    "gpu": ", ".join(d.get("device_name", "GPU") for d in details),
    "platform": platform.platform(),
  }


def versions() -> dict[str, str]:
  """The versions that results depend on."""
  packages = ("tensorflow", "keras", "numpy", "scipy", "pyarrow")
  found = {name: importlib.metadata.version(name) for name in packages}
  return {"python": platform.python_version(), **found}


def _cpu_name() -> str:
  try:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
      if line.startswith("model name"):
        return line.split(":", 1)[1].strip()
  except OSError:
    pass
  return platform.processor() or platform.machine()


def accuracies(table: pa.Table, mask: np.ndarray) -> dict[str, float]:
  """Accuracy against the given labels, on the subset, held out, and test."""
  correct = table["predicted"].to_numpy() == table["label"].to_numpy()
  train, test = correct[: len(mask)], correct[len(mask) :]

  def mean(values):
    return float(values.mean()) if len(values) else None

  return {
    "in_accuracy": mean(train[mask]),
    "out_accuracy": mean(train[~mask]),
    "test_accuracy": mean(test),
  }


def output_bytes(
  name: str,
  table: pa.Table,
  history: list[dict],
  logits: np.ndarray,
  model: keras.Model,
) -> bytes:
  """The content of one of a run's output files.

  Args:
    name: of the file.
    table: `predictions.from_logits`.
    history: a dictionary an epoch.
    logits: float32 `[N + T, C]`.
    model: as trained.
  """
  if name == "predictions.parquet":
    return predictions.table_bytes(table)
  if name == "history.jsonl":
    return "".join(json.dumps(line) + "\n" for line in history).encode()
  if name == "logits.npy":
    sink = io.BytesIO()
    np.save(sink, logits.astype(np.float16), allow_pickle=False)
    return sink.getvalue()
  if name == "weights.weights.h5":
    with tempfile.TemporaryDirectory() as folder:  # Keras writes to a path
      path = pathlib.Path(folder) / name
      model.save_weights(path)
      return path.read_bytes()
  raise ValueError(f"Unknown output. Received: {name!r}")


def publish(
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
  record: dict,
  outputs: dict[str, bytes],
  table: pa.Table,
) -> None:
  """Writes a run to a private folder and renames it into place.

  Args:
    directory: of the study.
    unit: whose run.
    record: for `run.json`; its `outputs` are filled in here.
    outputs: content by file name.
    table: the predictions, to compare with an earlier run of the unit.

  Raises:
    UnitError: if an earlier run predicted something else.
    OSError: if it cannot be written; nothing is left behind then.
  """
  target = directory.run_dir(unit)
  state = directory.run_state(unit, check_digests=True)
  finished = state.record
  if state.problem:  # it was damaged while this one ran
    directory.move_aside(unit)
  if finished:
    _check_reproduced(directory, unit, finished, record, table)
    if set(outputs) <= set(finished["outputs"]):
      return  # another worker was faster
  private = files.private_name(target)
  private.mkdir(parents=True)
  try:
    for name, content in sorted(outputs.items()):
      files.write_atomic(private / name, content)
      record["outputs"][name] = files.file_entry(private / name, content)
    if finished:
      record["outputs"] |= finished["outputs"]
      files.extend(private, target, record)
    else:
      files.write_atomic(
        private / "run.json", json.dumps(record, indent=2) + "\n"
      )
      files.publish(private, target)
  except BaseException:
    shutil.rmtree(private, ignore_errors=True)
    raise


def _check_reproduced(directory, unit, finished, record, table) -> None:
  """A repeated unit must give the predictions that it gave before."""
  before = predictions.read_run(directory, unit)
  if predictions.same_predictions(before, table):
    return

  def kind(about):
    hardware = about["machine"]["gpu"] or about["machine"]["cpu"]
    tensorflow = about["versions"]["tensorflow"]
    return f"{about['machine']['host']} ({hardware}, TensorFlow {tensorflow})"

  raise errors.UnitError(
    f"{unit.name} was repeated for one more output and does not reproduce its "
    f"predictions: first on {kind(finished)}, now on {kind(record)}. Repeat it "
    "on a machine of the first kind, or move the run away to have it anew."
  )
