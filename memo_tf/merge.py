"""Puts the runs of a study that were made in several folders into one.

    python -m memo_tf.merge --experiment_dir=INTO --sources=A,B

Refuses folders that are not of one study, before anything is copied. Given
again it goes on where it stopped; the launch command then scores. Flags:
"""

import sys

from absl import app
from absl import flags

from memo_tf.cli import flags as flags_lib
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import merging


def main(unused_argv) -> int:
  values = flags.FLAGS
  try:
    if not values.experiment_dir:
      raise errors.UsageError(
        "--experiment_dir must name the folder that all go into. Received none"
      )
    if not values.sources:
      raise errors.UsageError(
        "--sources must name the folders to merge. Received none"
      )
    merged = merging.merge(
      directory_lib.StudyDirectory(values.experiment_dir),
      [directory_lib.StudyDirectory(path) for path in values.sources],
      lambda line: print(line, file=sys.stderr, flush=True),
    )
  except errors.UsageError as error:
    print(f"memo_tf.merge: {error}", file=sys.stderr)
    return 2
  except errors.StudyError as error:
    print(f"memo_tf.merge: {error}", file=sys.stderr)
    return 1
  except OSError as error:
    text = errors.describe_os_error(error, values.experiment_dir)
    print(f"memo_tf.merge: {text}", file=sys.stderr)
    return 1
  print(
    f"{merged.num_copied} runs copied, {merged.num_there} were there already. "
    f"The launch command with --experiment_dir={values.experiment_dir} goes on "
    "from here, and scores."
  )
  for place, problem in merged.damaged.items():
    print(f"damaged, not used: {place}: {problem}", file=sys.stderr)
  return 1 if merged.damaged else 0


def _define(values: flags.FlagValues, program: str) -> None:
  del program
  flags.DEFINE_string(
    "experiment_dir",
    None,
    "Folder that all go into: new, empty, or of the same study.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "sources", [], "Folders to merge, comma-separated.", flag_values=values
  )


if __name__ == "__main__":
  app.run(main, flags_parser=flags_lib.flag_parser("memo_tf.merge", _define))
