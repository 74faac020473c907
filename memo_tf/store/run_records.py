"""Reads what finished runs recorded for proxies."""

import io

import numpy as np

from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib
from memo_tf.store import files


def read_records(
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
  outputs: frozenset[str],
) -> dict[str, np.ndarray]:
  """The arrays of those of a run's output files that exist.

  Raises:
    StudyError: if one is damaged; the message says what to do.
  """
  state = directory.run_state(unit, check_digests=False)
  named = state.record["outputs"] if state.record else {}
  found: dict[str, np.ndarray] = {}
  for output in sorted(outputs & set(named)):
    path = directory.run_dir(unit) / output
    content = path.read_bytes()
    if files.digest_bytes(content) != named[output]["digest"]:
      raise errors.StudyError(
        f"{path} is damaged: it differs from its recorded digest; rerun the "
        "launch command: it moves the run aside and repeats it."
      )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
      found |= {name: arrays[name] for name in arrays.files}
  return found
