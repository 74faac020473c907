"""Writes the tables of a finding, each as Parquet and as CSV."""

from collections.abc import Iterable
from collections.abc import Mapping

import pandas as pd

from memo_tf.scoring import file_names
from memo_tf.store import directory as directory_lib
from memo_tf.store import files


def write(
  directory: directory_lib.StudyDirectory,
  place: tuple[str, ...],
  tables: Mapping[str, pd.DataFrame],
) -> None:
  """Writes tables into one folder of a study.

  Args:
    directory: of the study.
    place: names of the folder, from the study's.
    tables: by file name; ids get the names of files beside them, where the
      data set has them (`file_names.add`, which changes the tables).

  Raises:
    StudyError: if `dataset/examples.parquet` cannot be read.
    OSError: if a file cannot be written.
  """
  folder = directory.root.joinpath(*place)
  names = file_names.read(directory)
  for name, table in tables.items():
    file_names.add(table, names)
    files.write_atomic(
      folder / f"{name}.parquet", table.to_parquet(index=False)
    )
    files.write_atomic(folder / f"{name}.csv", table.to_csv(index=False))


def said(sentences: Iterable[str], notes: Iterable[str]) -> pd.DataFrame:
  """Sentences, and notes on what could not be compared, as one table."""
  lines = [("finding", s) for s in sentences]
  lines += [("note", s) for s in notes]
  return pd.DataFrame(lines, columns=["kind", "sentence"])
