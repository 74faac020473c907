"""Names of image files in tables of examples, where the data set has them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions

# Columns of ids: the split, and the column that gets the names.
_COLUMNS = {
  "example_id": ("train", "file_name"),
  "train_id": ("train", "train_file_name"),
  "test_id": ("test", "test_file_name"),
}


def read(
  directory: directory_lib.StudyDirectory,
) -> dict[str, np.ndarray] | None:
  """The names of a study's files, text `[N]` and `[T]` by split.

  Returns:
    None if its examples are not recorded or have no file names.

  Raises:
    StudyError: if `dataset/examples.parquet` cannot be read.
  """
  path = directory.dataset_dir / "examples.parquet"
  if not path.exists():
    return None
  try:
    if "file_name" not in pq.read_schema(path).names:
      return None
  except (OSError, pa.ArrowException) as error:
    raise errors.StudyError(
      f"{path} cannot be read ({errors.brief(error)})"
    ) from error
  examples = predictions.read_examples(directory)
  return {
    split: examples["file_name"][examples["split"] == split].to_numpy()
    for split in ("train", "test")
  }


def add(frame: pd.DataFrame, names: dict[str, np.ndarray] | None) -> None:
  """Inserts the names of files behind each column of ids.

  Args:
    frame: with ids of training examples in `example_id` or `train_id`, and of
      test examples in `test_id`; changed in place.
    names: `read`; None changes nothing.
  """
  for column, (split, title) in _COLUMNS.items():
    if names is not None and column in frame and title not in frame:
      index = list(frame.columns).index(column) + 1
      frame.insert(index, title, names[split][frame[column].to_numpy()])
