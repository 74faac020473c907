"""Trains the runs of a study, scores them, and makes a page to look at.

    python -m memo_tf.launch --flagfile=digits.flags --experiment_dir=DIR

The same command given again goes on where it stopped. Other flags:
"""

import platform
import signal
import time

from absl import app
from absl import flags

from memo_tf.cli import flags as flags_lib
from memo_tf.cli import program
from memo_tf.experiment import errors
from memo_tf.experiment import work_units
from memo_tf.running import conductor
from memo_tf.running import planning
from memo_tf.store import directory as directory_lib


def main(unused_argv) -> int:
  values = flags.FLAGS
  started = time.monotonic()
  signal.signal(signal.SIGINT, program.on_signal)
  signal.signal(signal.SIGTERM, program.on_signal)
  try:
    if not values.experiment_dir and not values.dry_run:
      raise errors.UsageError(
        "--experiment_dir must name the study's folder. Received none"
      )
    try:
      config = flags_lib.study_config(values)
      only = [work_units.parse_unit(name) for name in values.work_units]
    except ValueError as error:
      raise errors.UsageError(str(error)) from error
    directory = directory_lib.StudyDirectory(values.experiment_dir or "")
    if values.dry_run:
      has_directory = bool(values.experiment_dir)
      planning.dry_run(config, directory if has_directory else None, only)
      return 0
    code = conductor.launch(config, directory, only or None)
    program.say(f"Took {time.monotonic() - started:.0f} s.")
    return code
  except errors.UsageError as error:
    program.say(f"memo_tf.launch: {error}")
    return program.WRONG_USE
  except errors.StudyError as error:
    program.say(f"memo_tf.launch: {error}")
    return program.FAILED
  except OSError as error:
    text = errors.describe_os_error(error, values.experiment_dir or "")
    program.say(f"memo_tf.launch: {text}")
    return program.FAILED
  except program.Signalled as signalled:
    program.say(
      "memo_tf.launch: interrupted. What is finished is kept; the same command "
      "goes on."
    )
    interrupted = signalled.number == signal.SIGINT
    return program.INTERRUPTED if interrupted else program.TERMINATED


if __name__ == "__main__":
  if platform.python_version_tuple()[:2] not in (("3", "11"), ("3", "12")):
    program.say(
      "memo_tf is tested on Python 3.11 and 3.12; this is "
      f"{platform.python_version()}."
    )
  app.run(
    main,
    flags_parser=flags_lib.flag_parser(
      "memo_tf.launch", flags_lib.define_flags
    ),
  )
