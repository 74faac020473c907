"""What the columns of a study's Parquet files may hold, checked before use.

Like `record_rules`, for tables: right digests do not make a table right.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc


def _is_text(kind: pa.DataType) -> bool:
  if pa.types.is_dictionary(kind):
    kind = kind.value_type
  return pa.types.is_string(kind) or pa.types.is_large_string(kind)


Kind = tuple[Callable[[pa.DataType], bool], str]
_TEXT: Kind = (_is_text, "text")
_WHOLE: Kind = (pa.types.is_integer, "whole numbers")
_REAL: Kind = (pa.types.is_floating, "floating-point numbers")
_BOOL: Kind = (pa.types.is_boolean, "booleans")
# The columns of a run's predictions; see `predictions`.
PREDICTIONS: Mapping[str, Kind] = {
  "split": _TEXT,
  "example_id": _WHOLE,
  "in_subset": _BOOL,
  "label": _WHOLE,
  "predicted": _WHOLE,
  "label_prob": _REAL,
  "margin": _REAL,
}
# Those that every examples.parquet has.
EXAMPLES: Mapping[str, Kind] = {
  "example_id": _WHOLE,
  "split": _TEXT,
  "label": _WHOLE,
  "clean_label": _WHOLE,
  "is_noisy": _BOOL,
}
# Smallest and largest values; of floats also finite.
_RANGES = {
  "example_id": (0, 2**31),
  "label": (0, 2**31 - 1),
  "clean_label": (0, 2**31 - 1),
  "predicted": (0, 2**31 - 1),
  "label_prob": (0.0, 1.0),
  "margin": (-3.5e38, 3.5e38),
}


def check_predictions(table: pa.Table, without: Collection[str] = ()) -> None:
  """Checks the columns of a `predictions.parquet`.

  Args:
    table: of the file.
    without: columns that it does not have: they are unknown of some runs that
      were made elsewhere.

  Raises:
    ValueError: that names the first column that is missing or breaks its rule.
  """
  _check(table, {n: k for n, k in PREDICTIONS.items() if n not in without})


def check_examples(table: pa.Table) -> None:
  """Checks the columns of `dataset/examples.parquet` that are always there.

  Raises:
    ValueError: as `check_predictions`.
  """
  _check(table, EXAMPLES)


def _check(table: pa.Table, columns: Mapping[str, Kind]) -> None:
  names = table.column_names
  if not set(columns) <= set(names) or len(set(names)) < len(names):
    raise ValueError(f"it lacks a column of {', '.join(columns)}, or has two")
  if not table.num_rows:
    raise ValueError("it has no rows")
  for name, (is_kind, text) in columns.items():
    column = table.column(name)
    if not is_kind(column.type) or column.null_count:
      raise ValueError(
        f"its column {name} must be {text} without gaps, not {column.type} "
        f"with {column.null_count} gaps"
      )
    if name in _RANGES:
      _check_range(name, column)


def _check_range(name: str, column: pa.ChunkedArray) -> None:
  low, high = _RANGES[name]
  found = pc.min_max(column).as_py()
  # Arrow leaves NaN out of a minimum.
  is_finite = pc.all(pc.is_finite(column)).as_py()
  if not is_finite or found["min"] < low or found["max"] > high:
    raise ValueError(f"its column {name} has a value outside [{low}, {high}]")
