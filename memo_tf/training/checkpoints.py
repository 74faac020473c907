"""The state of an unfinished run, to go on inside it after a crash.

One npz file, written whole or not at all. It carries a key of everything that
the run depends on: a checkpoint of other settings, data or subset is never
used. A damaged one is not used either (zip checks every array's CRC).
"""

import io
import json
import pathlib
import zipfile
import zlib

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
  """Saves the state after `epoch` finished epochs."""
  sink = io.BytesIO()
  about = json.dumps({"key": key, "epoch": epoch, "history": history})
  np.savez(sink, about=np.array(about), **state)
  files.write_atomic(path, sink.getvalue())


def load(
  path: pathlib.Path, key: str
) -> tuple[int, list[dict], dict[str, np.ndarray]] | None:
  """The finished epochs, history and state, or None to start anew."""
  if not path.exists():
    return None
  try:
    with np.load(path, allow_pickle=False) as content:
      state = {name: content[name] for name in content.files}
    about = json.loads(str(state.pop("about")))
    if about["key"] != key:
      logging.warning("%s is of other settings: the run starts anew", path)
      return None
    return about["epoch"], about["history"], state
  except (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
  ) as error:
    logging.warning("%s is damaged (%s): the run starts anew", path, error)
    return None
