"""The processes that train one run together (`--strategy=multi_worker`).

Each is started by the same command with its own TF_CONFIG, on a shared file
system. They go through the same units in the same order; the first one writes
the results, the others only compute. No TensorFlow here.
"""

import json
import os
import time

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening


def is_first() -> bool:
  """Whether this process writes: the chief, or worker 0 without a chief.

  Raises:
    UsageError: if TF_CONFIG does not say which process this is.
  """
  text = os.environ.get("TF_CONFIG", "")
  try:
    content = json.loads(text)
    cluster, task = content["cluster"], content["task"]
    kind, index = task["type"], int(task["index"])
    known = 0 <= index < len(cluster[kind])
  except (ValueError, KeyError, TypeError) as error:
    raise errors.UsageError(
      "--strategy=multi_worker needs TF_CONFIG in the environment, such as "
      '{"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": '
      f'"worker", "index": 0}}}}. Received: TF_CONFIG={text!r}'
    ) from error
  if not known or kind not in ("chief", "worker"):
    raise errors.UsageError(
      "TF_CONFIG must name a task of its cluster, chief or worker. Received: "
      f"TF_CONFIG={text!r}"
    )
  if "chief" in cluster:
    return kind == "chief"
  return index == 0


def wait_for_first(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  on_wait,
) -> None:
  """Waits until the first process has prepared the directory for this config.

  Args:
    directory: of the study.
    config: of this process.
    on_wait: called about once per second with the seconds waited so far.
  """
  started = time.monotonic()
  while True:
    if opening.is_recorded(directory, config):
      return
    time.sleep(0.2)
    on_wait(time.monotonic() - started)
