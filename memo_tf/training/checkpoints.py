"""The state of an unfinished run, from which it is resumed after a crash.

One npz file, written whole or not at all. It carries a key of everything that
the run depends on: a checkpoint of other settings, data or subset is never
used. A damaged one is not used either (zip checks every array's CRC).
"""

import io
import json
import pathlib
from typing import Any

from absl import logging
import numpy as np

from memo_tf.store import files


def save(
  path: pathlib.Path,
  key: str,
  epoch: int,
  history: list[dict],
  state: dict[str, np.ndarray],
) -> None:
  """Saves the state of a run.

  Args:
    path: of the file; its folder need not exist.
    key: what the run depends on.
    epoch: the number of finished epochs.
    history: one dictionary per finished epoch.
    state: arrays by name.

  Raises:
    OSError: if it cannot be written; an earlier file is left as it was.
  """
  sink = io.BytesIO()
  about = json.dumps({"key": key, "epoch": epoch, "history": history})
  arrays: dict[str, Any] = {"about": np.array(about), **state}
  np.savez(sink, **arrays)
  files.write_atomic(path, sink.getvalue())


def load(
  path: pathlib.Path, key: str
) -> tuple[int, list[dict], dict[str, np.ndarray]] | None:
  """The finished epochs, history and state that `save` was given.

  Returns:
    None, with a warning in the log, if the file is damaged or has another key;
    None if there is no file.
  """
  if not path.exists():
    return None
  try:
    with np.load(path, allow_pickle=False) as content:
      state = {name: content[name] for name in content.files}
    about = json.loads(str(state.pop("about")))
    if about["key"] != key:
      logging.warning(
        "%s is of other settings: the run starts from the beginning", path
      )
      return None
    return int(about["epoch"]), list(about["history"]), state
  # A flipped bit shows in any of the kinds that zip, its codecs, NumPy and JSON
  # raise, and none of them is worth more than a run from the beginning.
  except Exception as error:
    logging.warning(
      "%s is damaged (%s): the run starts from the beginning", path, error
    )
    return None
