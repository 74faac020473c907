"""Scalars for TensorBoard: `--log_to=tensorboard`, off by default.

    logs/runs/<unit>/    loss, accuracy and learning rate of each epoch; at the
                         last, the accuracies of the finished run
    logs/study/<group>/  the figures of a group, by its number of runs

The files are written here, record by record, without TensorFlow: what is logged
was computed anyway, and no result depends on it. Needs the package tensorboard,
which nothing else imports.
"""

import math
import os
import pathlib
import shutil
import time
from typing import Any

from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import work_units
from memo_tf.store import directory as directory_lib

FOLDER = "logs"
# Of a group: figures that scoring computes.
_FIGURES = (
  "in_accuracy",
  "out_accuracy",
  "test_accuracy",
  "mean_memorization",
  "mean_interval_width",
)


def check(config: settings_lib.RunningConfig) -> None:
  """Checks that what `--log_to` needs is installed.

  Raises:
    UsageError: if it is not.
  """
  if config.log_to == "none":
    return
  try:
    _protocol()
  except ImportError as error:
    raise errors.UsageError(
      "--log_to=tensorboard needs the package tensorboard: pip install "
      f"tensorboard ({error}). Received: --log_to={config.log_to}"
    ) from error


class RunLog:
  """The log of one run, written while it trains.

  Args:
    folder: of the log. What an earlier attempt wrote there is removed: a run
      that resumes hands its whole history over.
  """

  def __init__(self, folder: pathlib.Path):
    shutil.rmtree(folder, ignore_errors=True)
    self._file = _EventFile(folder, f"{int(time.time()):010d}.{os.getpid()}")
    self._num_epochs = 0

  def write(self, history: list[dict]) -> None:
    """Adds the epochs that are not there yet; a dictionary each."""
    for line in history[self._num_epochs :]:
      scalars = {k: v for k, v in line.items() if k != "epoch"}
      self._file.add(line["epoch"], scalars)
    self._num_epochs = len(history)

  def finish(self, record: dict) -> None:
    """Adds the accuracies of a finished run, and closes the file.

    Args:
      record: the content of its `run.json`.
    """
    names = ("in_accuracy", "out_accuracy", "test_accuracy")
    self._file.add(self._num_epochs, {name: record[name] for name in names})
    self._file.close()


def of_run(
  config: settings_lib.RunningConfig,
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
) -> RunLog | None:
  """The log of a run; None if nothing is logged.

  Raises:
    UsageError: as `check`.
  """
  check(config)
  if config.log_to == "none":
    return None
  return RunLog(directory.root / FOLDER / "runs" / unit.name)


def write_study(
  config: settings_lib.RunningConfig,
  directory: directory_lib.StudyDirectory,
  figures: dict[work_units.Group, dict[str, float]],
) -> None:
  """Writes the figures of every group, if anything is logged.

  Args:
    config: says what is logged.
    directory: of the study.
    figures: `GroupScores.summary` of each group.

  Raises:
    UsageError: as `check`.
  """
  check(config)
  if config.log_to == "none":
    return
  for group, summary in figures.items():
    folder = directory.root / FOLDER / "study" / group.name
    # Scoring the same runs again replaces the file.
    count = int(summary["num_runs"])
    file = _EventFile(folder, f"{count:010d}.study")
    file.add(count, {name: summary[name] for name in _FIGURES})
    file.close()


class _EventFile:
  """A file of events, as TensorBoard reads it."""

  def __init__(self, folder: pathlib.Path, name: str):
    self._event_pb2, self._summary_pb2, record_writer = _protocol()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.{name}"
    self._records = record_writer.RecordWriter(open(path, "wb"))
    self._write(file_version="brain.Event:2")

  def add(self, step: int, scalars: dict[str, float | None]) -> None:
    """Adds scalars of a step; leaves out what is unknown."""
    values = [
      self._summary_pb2.Summary.Value(tag=tag, simple_value=value)
      for tag, value in scalars.items()
      if value is not None and not math.isnan(value)
    ]
    self._write(step=step, summary=self._summary_pb2.Summary(value=values))

  def close(self) -> None:
    self._records.close()

  def _write(self, **fields: Any) -> None:
    event = self._event_pb2.Event(wall_time=time.time(), **fields)
    self._records.write(event.SerializeToString())
    self._records.flush()


def _protocol() -> tuple[Any, Any, Any]:
  """TensorBoard's messages and its writer of records.

  Raises:
    ImportError: if it is not installed.
  """
  from tensorboard.compat.proto import event_pb2
  from tensorboard.compat.proto import summary_pb2
  from tensorboard.summary.writer import record_writer

  return event_pb2, summary_pb2, record_writer
