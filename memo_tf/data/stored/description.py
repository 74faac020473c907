"""What `info.json` and `examples.parquet` say of a data set.

`examples.parquet` has a row for each of the N training examples, planted ones
last, then one for each test example: example_id, split, label, clean_label,
is_noisy, plant, origin_id (see `data/planted.py`), with `--num_examples`
or `--max_examples` source_index (the id that the example has without them; -1
of planted ones), source (what the data set itself calls it, if it has names),
file_name (the same, if the names are those of files) and, where they were
looked for, the columns of `data/duplicates.py`.
"""

import pathlib

import numpy as np
import pandas as pd

from memo_tf.data import planted
from memo_tf.data.sources import image_source
from memo_tf.experiment import config as config_lib
from memo_tf.store import dataset_info
from memo_tf.store import files as files_lib


def info(
  data: image_source.ImageSource,
  config: config_lib.StudyConfig,
  image_shape: tuple[int, int, int],
  train: planted.TrainingSet,
  notes: list[str],
) -> dict:
  """The part of info.json that does not depend on how images are stored.

  Args:
    data: the data set.
    config: of the study.
    image_shape: `(H, W, channels)`.
    train: the training examples, planted ones included.
    notes: what a user should know of the data, a line each.
  """
  return {
    "format_version": config_lib.FORMAT_VERSION,
    "made_from": dataset_info.made_from(config),
    "name": data.name,
    "version": data.version,
    "licence": data.licence,
    "citation": data.citation,
    "order": data.order,
    "num_train": len(train.labels),
    "num_test": len(data.test_labels),
    "num_classes": len(data.class_names),
    "class_names": list(data.class_names),
    "image_shape": list(image_shape),
    "max_pixel": data.max_pixel,
    "planted": _planted_counts(train),
    **({"notes": notes} if notes else {}),
    **({"skipped": list(data.skipped)} if data.skipped else {}),
  }


def file_entries(
  folder: pathlib.Path, files: list[pathlib.Path]
) -> dict[str, dict]:
  """Size and digest of each file, by its name in the folder."""
  return {
    str(path.relative_to(folder)): {
      "bytes": path.stat().st_size,
      "digest": files_lib.digest_file(path),
    }
    for path in files
  }


def examples_table(
  data: image_source.ImageSource, train: planted.TrainingSet
) -> pd.DataFrame:
  """The rows of examples.parquet, without the columns of duplicates.

  Args:
    data: the data set.
    train: the training examples, planted ones included.
  """
  num_train, num_test = len(train.labels), len(data.test_labels)
  num_planted = num_train - len(data.train_labels)
  sources: dict[str, np.ndarray] = {}
  own, tests = data.source_indices, data.test_source_indices
  if own is not None or tests is not None:
    own = np.arange(len(data.train_labels)) if own is None else own
    tests = np.arange(num_test) if tests is None else tests
    sources["source_index"] = np.concatenate(
      [own, np.full(num_planted, -1), tests]
    )
  if data.train_sources is not None and data.test_sources is not None:
    sources["source"] = np.concatenate(
      [data.train_sources, np.full(num_planted, ""), data.test_sources]
    )
    if data.sources_are_files:
      sources["file_name"] = sources["source"]
  return pd.DataFrame(
    {
      "example_id": np.concatenate([np.arange(num_train), np.arange(num_test)]),
      "split": pd.Categorical(["train"] * num_train + ["test"] * num_test),
      "label": np.concatenate([train.labels, data.test_labels]),
      "clean_label": np.concatenate([train.clean_labels, data.test_labels]),
      "is_noisy": np.concatenate([train.is_noisy, np.zeros(num_test, bool)]),
      "plant": np.concatenate([train.plant, np.full(num_test, "")]),
      "origin_id": np.concatenate([train.origin_ids, np.arange(num_test)]),
      **sources,
    }
  )


def _planted_counts(train: planted.TrainingSet) -> dict[str, int]:
  """How many training examples are of each planted kind."""
  kinds, counts = np.unique(train.plant, return_counts=True)
  return {str(k): int(n) for k, n in zip(kinds, counts) if k}
