"""Per-example predictions: one run as Parquet, the runs of a study as arrays.

`predictions.parquet` has a row for each of the N training examples in order
of id, then one for each of the T test examples:

    split         "train" or "test"
    example_id    0 … N - 1, 0 … T - 1
    in_subset     whether the run trained on it (False for test)
    label         the given label, which may be a planted wrong one
    predicted     argmax of the logits, the lowest class among equals
    label_prob    float32, softmax probability of the label
    margin        float32, logit of the label minus the largest other logit

Of runs that were made elsewhere (`memo_tf.score`), the last two may be unknown;
such a file has no column for them, and a `RunStack` has NaN.
"""

from collections.abc import Mapping
import dataclasses
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import arrays
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import sealed
from memo_tf.store import table_rules

COLUMNS = tuple(table_rules.PREDICTIONS)
# Columns of which a `RunStack` has those of all runs.
_STACKED = ("label_prob", "margin", "predicted")
# Columns that are unknown of a run that was made elsewhere, by what was given.
UNKNOWN: dict[str, tuple[str, ...]] = {
  "correctness": ("label_prob", "margin"),
  "margin": ("label_prob",),
  "logits": (),
}


def from_logits(
  train_logits: np.ndarray,
  test_logits: np.ndarray,
  train_labels: np.ndarray,
  test_labels: np.ndarray,
  in_subset: np.ndarray,
) -> pa.Table:
  """The prediction table of one run.

  Args:
    train_logits: `[N, C]` float32, C at least 2.
    test_logits: `[T, C]`.
    train_labels: `[N]` int, the given labels.
    test_labels: `[T]` int.
    in_subset: `[N]` bool.

  Returns:
    A table of N + T rows with `COLUMNS`.

  Raises:
    ValueError: if a logit is not finite.
  """
  logits = np.concatenate([train_logits, test_logits]).astype(np.float64)
  labels = np.concatenate([train_labels, test_labels]).astype(np.int32)
  if not np.isfinite(logits).all():
    raise ValueError("a logit is not finite")
  num_train = len(train_labels)
  rows = np.arange(len(labels))
  own = logits[rows, labels]
  others = logits.copy()
  others[rows, labels] = -np.inf
  shifted = logits - logits.max(axis=1, keepdims=True)
  log_prob = shifted[rows, labels] - np.log(np.exp(shifted).sum(axis=1))
  return table_of(
    labels,
    num_train,
    in_subset,
    {
      "predicted": logits.argmax(axis=1),
      "label_prob": np.exp(log_prob),
      "margin": own - others.max(axis=1),
    },
  )


def table_of(
  labels: np.ndarray,
  num_train: int,
  in_subset: np.ndarray,
  found: Mapping[str, np.ndarray],
) -> pa.Table:
  """The prediction table of one run.

  Args:
    labels: `[N + T]` int, the given labels.
    num_train: N.
    in_subset: `[N]` bool.
    found: `[N + T]` of `predicted` and, where known, `label_prob` and `margin`.
  """
  num_test = len(labels) - num_train
  columns = {
    "split": pa.DictionaryArray.from_arrays(
      np.repeat(np.array([0, 1], np.int8), [num_train, num_test]),
      ["train", "test"],
    ),
    "example_id": np.concatenate([np.arange(num_train), np.arange(num_test)]),
    "in_subset": np.concatenate([in_subset, np.zeros(num_test, bool)]),
    "label": labels.astype(np.int32),
    "predicted": found["predicted"].astype(np.int32),
  }
  for name in ("label_prob", "margin"):
    if name in found:
      columns[name] = found[name].astype(np.float32)
  return pa.table(columns)


def table_bytes(table: pa.Table) -> bytes:
  """A table as the bytes of a Parquet file."""
  sink = io.BytesIO()
  pq.write_table(table, sink)
  return sink.getvalue()


def same_predictions(a: pa.Table, b: pa.Table) -> bool:
  """Whether two runs have the same predictions, to the bit."""
  return a.num_rows == b.num_rows and all(
    np.array_equal(_column(a, c), _column(b, c)) for c in COLUMNS
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStack:
  """The predictions of M runs of one model, recipe and subset family.

  Attributes:
    units: the M units, in order of index.
    in_mask: bool `[M, N]`.
    correct: bool `[M, N]`, whether the given label was predicted.
    label_prob: float32 `[M, N]`; NaN where it is unknown.
    margin: float32 `[M, N]`; NaN where it is unknown.
    predicted: int32 `[M, N]`.
    labels: int32 `[N]`, the given labels.
    test_predicted, test_labels, test_label_prob, test_margin: the same on the
      test examples, `[M, T]` and `[T]`.
  """

  units: tuple[work_units.WorkUnit, ...]
  in_mask: np.ndarray
  label_prob: np.ndarray
  margin: np.ndarray
  predicted: np.ndarray
  labels: np.ndarray
  test_predicted: np.ndarray
  test_labels: np.ndarray
  test_label_prob: np.ndarray
  test_margin: np.ndarray

  @property
  def correct(self) -> np.ndarray:
    return self.predicted == self.labels

  @property
  def test_correct(self) -> np.ndarray:
    return self.test_predicted == self.test_labels

  def outcome(self, name: str) -> np.ndarray:
    """`[M, N]`: what the runs achieved on the training examples.

    Args:
      name: `correctness` (bool), `label_probability` (float32 in [0, 1]) or
        `margin` (float32).

    Raises:
      ValueError: for another name.
    """
    if name == "correctness":
      return self.correct
    if name == "label_probability":
      return self.label_prob
    if name == "margin":
      return self.margin
    raise ValueError(
      "An outcome must be correctness, label_probability or margin. Received: "
      f"{name!r}"
    )


def read_run(
  directory: directory_lib.StudyDirectory, unit: work_units.WorkUnit
) -> pa.Table:
  """Reads one run's predictions, after checking them against their digest.

  Raises:
    DamagedRunError: if they are missing or damaged; says what to do.
  """
  path = directory.run_dir(unit) / directory_lib.PREDICTIONS
  try:
    record = sealed.loads((path.parent / "run.json").read_bytes())
    digest = record["outputs"][directory_lib.PREDICTIONS]["digest"]
    without = UNKNOWN[record.get("made_elsewhere", "logits")]
    content = path.read_bytes()
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise errors.DamagedRunError(
      unit, f"{path.name} cannot be read ({errors.brief(error)})"
    ) from error
  if files.digest_bytes(content) != digest:
    raise errors.DamagedRunError(
      unit, f"{path.name} differs from its recorded digest"
    )
  try:
    table = pq.read_table(pa.BufferReader(content))
    table_rules.check_predictions(table, without)
  except (pa.ArrowException, ValueError, OSError) as error:
    raise errors.DamagedRunError(
      unit, f"{path.name} cannot be read ({errors.brief(error)})"
    ) from error
  return table


def stack_runs(
  directory: directory_lib.StudyDirectory,
  units: list[work_units.WorkUnit],
) -> RunStack:
  """Reads the predictions of the runs of one group into arrays.

  Raises:
    StudyError: if a run is damaged, if its examples or labels differ from the
      first run's, or if its subset is not that of its family.
  """
  path = directory.in_mask_path(units[0].subsets)
  try:
    masks = arrays.load(path, mmap_mode="r")
    masks[max(unit.index for unit in units)]
  except (OSError, ValueError, EOFError, IndexError) as error:
    raise errors.StudyError(
      f"{path} does not hold the subsets of these runs ({error}); move it away "
      "and rerun the launch command, which draws them again from the seed."
    ) from error
  first = read_run(directory, units[0])
  is_test, labels = _is_test(first), _column(first, "label")
  num_train = int((~is_test).sum())
  splits = {"": slice(num_train), "test_": slice(num_train, None)}
  known = [name for name in _STACKED if name in first.column_names]
  columns = _empty_columns(first, len(units), splits)
  in_mask = np.empty((len(units), num_train), bool)
  for m, unit in enumerate(units):
    table = first if m == 0 else read_run(directory, unit)
    _check_same_examples(table, unit, is_test, labels, units[0])
    if table.column_names != first.column_names:
      raise errors.StudyError(
        f"the run {unit.name} has other columns than {units[0].name}"
      )
    in_mask[m] = _column(table, "in_subset")[:num_train]
    if not np.array_equal(in_mask[m], masks[unit.index]):
      raise errors.StudyError(
        f"the run {unit.name} was not trained on subset {unit.index} of "
        f"{unit.subsets}: its recorded mask differs."
      )
    for name in known:
      column = _column(table, name)
      for prefix, rows in splits.items():
        columns[prefix + name][m] = column[rows]
  return RunStack(
    units=tuple(units),
    in_mask=in_mask,
    labels=labels[:num_train],
    test_labels=labels[num_train:],
    **columns,
  )


def _check_same_examples(table, unit, is_test, labels, first) -> None:
  """Compares a run's examples with those of the `first` of its group."""
  num_train = int((~is_test).sum())
  ids = np.concatenate(
    [np.arange(num_train), np.arange(len(is_test) - num_train)]
  )
  if not (
    np.array_equal(labels, _column(table, "label"))
    and np.array_equal(is_test, _is_test(table))
    and np.array_equal(ids, _column(table, "example_id"))
  ):
    raise errors.StudyError(
      f"the run {unit.name} has other examples or labels than {first.name}"
    )


def read_examples(
  directory: directory_lib.StudyDirectory,
) -> pd.DataFrame:
  """`dataset/examples.parquet`: example_id, split, label, clean_label, …"""
  path = directory.dataset_dir / "examples.parquet"
  try:
    content = path.read_bytes()
    table_rules.check_examples(pq.read_table(pa.BufferReader(content)))
    frame = pd.read_parquet(io.BytesIO(content))
    is_test = (frame["split"] == "test").to_numpy()
    ids = [np.arange((~is_test).sum()), np.arange(is_test.sum())]
    if not np.array_equal(frame["example_id"], np.concatenate(ids)):
      raise ValueError("it does not have every example once, in order of ids")
  except (OSError, ValueError, pa.ArrowException) as error:
    raise errors.StudyError(
      f"{path} cannot be read ({errors.brief(error)}); move "
      f"{path.parent} away and give the launch command again: it is written "
      "anew."
    ) from error
  return frame


def _column(table: pa.Table, name: str) -> np.ndarray:
  """A column as an array; dictionary-encoded strings are decoded."""
  column = table.column(name)
  if pa.types.is_dictionary(column.type):
    column = column.cast(pa.string())
  return column.to_numpy(zero_copy_only=False)


def _empty_columns(
  first: pa.Table, num_runs: int, splits: dict[str, slice]
) -> dict[str, np.ndarray]:
  """Arrays `[M, …]` for the columns of a stack: to be filled, or all NaN."""
  columns = {}
  for name in _STACKED:
    is_known = name in first.column_names
    for prefix, rows in splits.items():
      shape = (num_runs, len(range(first.num_rows)[rows]))
      # One NaN, seen as an array: nothing is known of any run.
      columns[prefix + name] = (
        np.empty(shape, _column(first, name).dtype)
        if is_known
        else np.broadcast_to(np.float32("nan"), shape)
      )
  return columns


def _is_test(table: pa.Table) -> np.ndarray:
  """bool `[rows]`, compared by Arrow: Python strings would take longer than
  reading the file."""
  is_test = pc.equal(table.column("split"), "test")
  return is_test.to_numpy(zero_copy_only=False)
