"""A study on disk: its directory, its runs, and how much of a plan is done.

Reading predictions takes pandas and pyarrow; `store.predictions`, which does
it, is imported where it is used.
"""

from memo_tf.store.directory import RunState
from memo_tf.store.directory import StudyDirectory
from memo_tf.store.opening import open_directory
from memo_tf.store.opening import recorded_config
from memo_tf.store.survey import FinishedRun
from memo_tf.store.survey import Survey

__all__ = [
  "FinishedRun",
  "RunState",
  "StudyDirectory",
  "Survey",
  "open_directory",
  "recorded_config",
]
