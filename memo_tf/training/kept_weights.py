"""Weights that a finished run kept, read into a Keras model."""

import pathlib
import tempfile

from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib

WEIGHTS = "weights.weights.h5"


def load_weights(
  model,
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
) -> None:
  """Reads the weights of a finished run into a model of its kind."""
  content = (directory.run_dir(unit) / WEIGHTS).read_bytes()
  with tempfile.TemporaryDirectory() as folder:
    # Keras opens for reading and writing what another process may be reading.
    path = pathlib.Path(folder) / WEIGHTS
    path.write_bytes(content)
    model.load_weights(path)
