"""Writing a finished run: its `run.json`, its outputs, and their publication.

The run appears whole, by one rename, with `run.json` inside. A unit that is
repeated because one more output is wanted must first reproduce its earlier
predictions, to the bit.
"""

from collections.abc import Collection
import io
import json
import pathlib
import tempfile

import keras
import numpy as np
import pyarrow as pa

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions
from memo_tf.store import sealed


def accuracies(table: pa.Table, mask: np.ndarray) -> dict[str, float | None]:
  """Accuracies against the given labels: in the subset, held out, and test.

  Args:
    table: `predictions.from_logits`.
    mask: bool `[N]`, the subset.

  Returns:
    `in_accuracy`, `out_accuracy`, `test_accuracy`, each in [0, 1], or None
    where there is no example.
  """
  correct = table["predicted"].to_numpy() == table["label"].to_numpy()
  train, test = correct[: len(mask)], correct[len(mask) :]

  def mean(values):
    return float(values.mean()) if len(values) else None

  return {
    "in_accuracy": mean(train[mask]),
    "out_accuracy": mean(train[~mask]),
    "test_accuracy": mean(test),
  }


def output_contents(
  names: Collection[str],
  table: pa.Table,
  history: list[dict],
  logits: np.ndarray,
  model: keras.Model,
) -> dict[str, bytes]:
  """The contents of a run's output files, except those recorded for proxies.

  Args:
    names: of the files.
    table: `predictions.from_logits`.
    history: one dictionary per epoch.
    logits: float32 `[N + T, C]`.
    model: as trained.

  Returns:
    The contents by name of the file.

  Raises:
    ValueError: for an unknown name.
  """
  return {
    name: _output_bytes(name, table, history, logits, model) for name in names
  }


def _output_bytes(name, table, history, logits, model) -> bytes:
  if name == "predictions.parquet":
    return predictions.table_bytes(table)
  if name == "history.jsonl":
    return "".join(json.dumps(line) + "\n" for line in history).encode()
  if name == "logits.npy":
    return _logits_bytes(logits)
  if name == "weights.weights.h5":
    with tempfile.TemporaryDirectory() as folder:  # Keras writes to a path
      path = pathlib.Path(folder) / name
      model.save_weights(path)
      return path.read_bytes()
  raise ValueError(f"Unknown output. Received: {name!r}")


def _logits_bytes(logits: np.ndarray) -> bytes:
  """Logits as float16, or as float32 if one is beyond float16."""
  is_in_range = np.abs(logits).max(initial=0.0) <= np.finfo(np.float16).max
  sink = io.BytesIO()
  stored = logits.astype(np.float16 if is_in_range else np.float32)
  np.save(sink, stored, allow_pickle=False)
  return sink.getvalue()


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
    unit: of the run.
    record: for `run.json`; its `outputs` are filled in here.
    outputs: contents by file name.
    table: the predictions, to compare with an earlier run of the unit.

  Raises:
    UnitError: if an earlier run of the unit has other predictions.
    OSError: if the run cannot be written; nothing is left behind then.
  """
  target = directory.run_dir(unit)
  state = directory.run_state(unit, check_digests=True)
  finished = state.record
  if state.problem:  # it was damaged while this unit ran
    directory.move_aside(unit)
  if finished:
    _check_reproduced(directory, unit, finished, record, table)
    if set(outputs) <= set(finished["outputs"]):
      return  # another worker has finished the same
  if finished:
    with files.private_folder(target) as private:
      record["outputs"] = _write(private, outputs) | finished["outputs"]
      files.extend(private, target, finished["outputs"], sealed.dumps(record))
    return
  with files.published(target) as private:
    record["outputs"] = _write(private, outputs)
    files.write_atomic(private / "run.json", sealed.dumps(record))


def _write(folder: pathlib.Path, outputs: dict[str, bytes]) -> dict[str, dict]:
  """Writes output files; returns their entries for `run.json`."""
  entries = {}
  for name, content in sorted(outputs.items()):
    files.write_atomic(folder / name, content)
    entries[name] = files.file_entry(folder / name, content)
  return entries


def _check_reproduced(directory, unit, finished, record, table) -> None:
  """Raises a `UnitError` if a repeated unit has other predictions."""
  before = predictions.read_run(directory, unit)
  if predictions.same_predictions(before, table):
    return

  def kind(about):
    hardware = about["machine"]["gpu"] or about["machine"]["cpu"]
    tensorflow = about["versions"]["tensorflow"]
    return f"{about['machine']['host']} ({hardware}, TensorFlow {tensorflow})"

  raise errors.UnitError(
    f"{unit.name} was repeated for one more output and does not reproduce its "
    f"predictions: first on {kind(finished)}, now on {kind(record)}. Rerun the "
    "same command on a machine of the first kind, or move the run's folder "
    "away to train it again."
  )
