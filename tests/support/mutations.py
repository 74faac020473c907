"""Ways to change a file, as hypothesis strategies: bytes, JSON, tables."""

from collections.abc import Callable
import copy
import io
import json
from typing import Any

from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

# In place of a value: of every type, too large, too deep, or leading elsewhere.
VALUES: tuple[Any, ...] = (
  None,
  True,
  [],
  {},
  [[]],
  "",
  "\0",
  "two\nlines",
  "../../outside",
  "/etc/passwd",
  "x" * 10_000,
  "\ud800",
  "0",
  -1,
  0,
  1,
  3,
  10**18,
  10**400,
  -0.0,
  0.5,
  1e300,
  float("inf"),
  float("-inf"),
  float("nan"),
  {"bytes": 1, "digest": "0" * 32},
  ["a", 1, None],
)


@st.composite
def of_bytes(draw, content: bytes) -> bytes:
  """A content that was damaged: by a disk, a crash, an editor or a hand."""
  size = len(content)
  start = draw(st.integers(0, max(size - 1, 0)))
  length = draw(st.integers(1, 40))
  kind = draw(st.integers(0, 6))
  part, rest = content[start : start + length], content[start + length :]
  if kind == 0:  # a bit
    part = bytes([content[start] ^ 1 << draw(st.integers(0, 7))])
    return content[:start] + part + content[start + 1 :]
  if kind == 1:
    return content[:start]
  if kind == 2:
    return content[:start] + rest
  if kind == 3:
    return content[:start] + draw(st.binary(max_size=40)) + rest
  if kind == 4:
    return content[:start] + part + part + rest
  if kind == 5:
    return content[:start] + bytes(len(part)) + rest
  return draw(st.binary(max_size=200))


@st.composite
def of_json(draw, content: Any) -> Any:
  """A JSON value of which one to three parts are other ones, or gone."""
  content = copy.deepcopy(content)
  for _ in range(draw(st.integers(1, 3))):
    places = list(_places(content))
    if not places:
      break
    parent, key = places[draw(st.integers(0, len(places) - 1))]
    kind = draw(st.integers(0, 9))
    if kind == 0:
      del parent[key]
    elif kind == 1 and isinstance(parent, dict):
      parent["further" if draw(st.booleans()) else "../x"] = parent[key]
    elif kind == 2 and isinstance(parent[key], (int, float)):
      parent[key] += draw(st.sampled_from((1, -1, 0.5, 1e-9)))
    else:
      parent[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
  return content


@st.composite
def of_table(draw, content: bytes) -> bytes:
  """A Parquet file of which one column is another, or gone, or longer."""
  table = pq.read_table(io.BytesIO(content))
  names = table.column_names
  index = draw(st.integers(0, len(names) - 1))
  name, rows = names[index], table.num_rows
  change = draw(st.sampled_from(_COLUMNS))
  column = change(table.column(name), rows)
  if column is None:
    table = table.drop_columns([name])
  elif len(column) != rows:
    table = pa.concat_tables([table, table])
  else:
    table = table.set_column(index, name, column)
  sink = io.BytesIO()
  pq.write_table(table, sink)
  return sink.getvalue()


def dumps(content: Any) -> str:
  """JSON of any value, a lone surrogate among them."""
  return json.dumps(content, indent=2)


def _places(content: Any):
  """Every (container, key) of a JSON value."""
  if isinstance(content, dict):
    keys: Any = list(content)
  elif isinstance(content, list):
    keys = range(len(content))
  else:
    return
  for key in keys:
    yield content, key
    yield from _places(content[key])


_COLUMNS: tuple[Callable, ...] = (
  lambda column, rows: None,
  lambda column, rows: np.zeros(2 * rows),  # every row twice
  lambda column, rows: pa.nulls(rows),
  lambda column, rows: pa.array(["x"] * rows),
  lambda column, rows: pa.array([b"\xff"] * rows),
  lambda column, rows: pa.array(np.full(rows, np.nan)),
  lambda column, rows: pa.array(np.full(rows, 10**18)),
  lambda column, rows: pa.array(np.full(rows, -1)),
  lambda column, rows: pa.array([[1]] * rows),
  lambda column, rows: pa.array([True] * rows),
  lambda column, rows: pa.array([None, *range(rows - 1)]),
  lambda column, rows: pa.array(pd.date_range("2020", periods=rows)),
  lambda column, rows: column.take(pa.array(np.arange(rows)[::-1])),
)
