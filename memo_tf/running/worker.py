"""The child process that runs units, one at a time, for `worker_pool`.

It reads tasks as JSON lines from standard input and answers with JSON lines on
a pipe of its own. It exits as soon as standard input ends, whatever it is
doing, and so dies with its parent, however the parent dies. Everything that it
or TensorFlow prints goes to the log of the current unit.

    python -m memo_tf.running.worker RESULT_FD PARENT_PID
"""

import errno
import os
import pathlib
import sys
import time
import traceback

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import run_outputs
from memo_tf.experiment import work_units
from memo_tf.processes import answering
from memo_tf.store import directory as directory_lib

_BORN = time.monotonic()
# These errors affect every unit: the whole study must stop.
_STORAGE_ERRNO = {
  errno.ENOSPC,
  errno.EROFS,
  errno.EACCES,
  errno.EPERM,
  errno.EFBIG,
  errno.EDQUOT,
  errno.EIO,
}


class Worker:
  """Answers tasks: setup, join, prepare, and those of the other methods."""

  def __init__(self, send):
    self._send = send
    self._session = self._sample = None
    self._config = self._directory = None
    self._start_up = self._rate = 0.0

  def setup(self, task: dict) -> dict:
    from absl import logging
    import tensorflow as tf

    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.set_stderrthreshold("info")
    self._config = config_lib.from_json(task["config"])
    self._directory = directory_lib.StudyDirectory(task["experiment_dir"])
    threads = self._config.running.threads_per_unit
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    for gpu in tf.config.list_physical_devices("GPU"):
      tf.config.experimental.set_memory_growth(gpu, True)
    import keras

    from memo_tf.training import distribution

    distribution.divide_cpu(self._config.running.cpu_devices)
    if self._config.running.strategy == "multi_worker":
      # Before TensorFlow computes anything; waits for the other processes.
      distribution.make_strategy("multi_worker")
    if keras.backend.backend() != "tensorflow":
      raise RuntimeError("Keras runs on another backend: unset KERAS_BACKEND")
    return {}

  def join(self, task: dict) -> dict:
    """Does nothing: `setup` has already connected to the other processes."""
    return {}

  def prepare(self, task: dict) -> dict:
    """Writes `dataset/` if it is missing."""
    from memo_tf.data import prepare as prepare_lib

    prepare_lib.write_dataset(self._config, self._directory)
    return {}

  def check_own_models(self, task: dict) -> dict:
    """Builds and checks own models."""
    from memo_tf.running import unit as unit_lib
    from memo_tf.running.unit import own_models

    if self._session is None:
      self._session = unit_lib.Session(self._config, self._directory)
    found = own_models.check(self._session, task["models"], task["outputs"])
    self._session.own_checked.update(found)
    return {"found": found}

  def materialize(self, task: dict) -> dict:
    """Writes those subset shards of one family that are missing."""
    from memo_tf.data.stored import reader
    from memo_tf.data.stored import subsets as subset_shards
    from memo_tf.store import arrays

    data = reader.read_dataset(self._directory, self._config.running)
    path = self._directory.in_mask_path(task["family"])
    masks = arrays.load(path)
    for index in task["indices"]:
      subset_shards.materialize(
        data, masks[index], self._directory, task["family"], index
      )
    return {}

  def run(self, task: dict) -> dict:
    """Trains one unit."""
    from memo_tf.running import unit as unit_lib

    unit = work_units.parse_unit(task["unit"])
    if self._session is None:
      self._session = unit_lib.Session(self._config, self._directory)
    told = [0.0]

    def on_epoch(epoch, epochs):
      if time.monotonic() - told[0] > 0.2:
        told[0] = time.monotonic()
        self._send({"event": "epoch", "epoch": epoch, "epochs": epochs})

    record = unit_lib.run_unit(
      self._session, unit, frozenset(task["outputs"]), on_epoch
    )
    return {"seconds": record["seconds"]}

  def measure(self, task: dict) -> dict:
    """Times a model here, without writing anything."""
    from memo_tf.running import expected as expected_lib
    from memo_tf.running import measuring
    from memo_tf.running import unit as unit_lib

    if self._session is None:
      sample = measuring.sample_data(self._config)
      self._session = unit_lib.Session(
        self._config, self._directory, sample.data
      )
      self._sample = sample
      self._rate = expected_lib.machine_rate()
      self._start_up = time.monotonic() - _BORN
    if model_names.is_own(task["model"]):
      from memo_tf.running.unit import own_models

      outputs = run_outputs.outputs(self._config)
      own_models.check(self._session, [task["model"]], outputs)

    sizes = {
      "num_train": self._sample.num_train,
      "num_test": self._sample.num_test,
      "num_classes": self._sample.data.num_classes,
    }

    def tell(expected):
      self._send({"event": "expected", **expected, **sizes})

    seconds = measuring.measure(
      self._session,
      task["model"],
      task["recipe"],
      self._sample.share,
      self._rate,
      tell,
    )
    return {
      **seconds,
      "session": self._start_up,
      **sizes,
    }


def main() -> None:
  tasks, send = answering.start()
  worker = Worker(send)
  while True:
    task = tasks.get()
    if task.get("log"):
      _log_to(pathlib.Path(task["log"]))
    try:
      send({"event": "done", **getattr(worker, task["task"])(task)})
    except Exception as error:  # reported to the parent, which decides
      text = traceback.format_exc()
      print(text, file=sys.stderr, flush=True)
      send({"event": "failed", "traceback": text, **_describe(error)})


def _describe(error: Exception) -> dict:
  """One line of what went wrong, and whether the whole study must stop."""
  message = " ".join(str(error).split()) or type(error).__name__
  if isinstance(error, OSError):
    fatal = error.errno in _STORAGE_ERRNO
    if fatal:
      message = errors.describe_os_error(error)
  else:
    # A damaged data set affects every unit, a damaged run does not.
    is_known = isinstance(error, errors.StudyError)
    fatal = is_known and not isinstance(error, errors.UnitError)
    if not is_known and type(error).__name__ not in (
      "ValueError",
      "UsageError",
      "DivergedError",
    ):
      # TensorFlow's messages run to pages; the traceback has all of them.
      message = f"{type(error).__name__}: {message}"[:500]
  usage = isinstance(error, errors.UsageError)
  told = {"error": message, "fatal": fatal, "usage": usage}
  # After these the state of TensorFlow or of the memory is unknown.
  made_by = type(error).__module__.partition(".")[0]
  told["restart"] = isinstance(error, MemoryError) or made_by == "tensorflow"
  if isinstance(error, errors.DamagedRunError):
    told["damaged"] = [error.unit.name, error.problem]
  return told


def _log_to(path: pathlib.Path) -> None:
  """Sends this process's standard output and error to a file."""
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
  except OSError:
    return  # the task itself will meet the same problem and report it
  os.dup2(file, 1)
  os.dup2(file, 2)
  os.close(file)


if __name__ == "__main__":
  main()
