"""Merges the runs of one study that were made in several folders.

    python -m memo_tf.merge --experiment_dir=INTO --sources=A,B

Refuses folders of different studies before it copies anything. Rerun the same
command to resume; the launch command then scores the merged study. Flags:
"""

from absl import flags

from memo_tf.cli import program
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from memo_tf.store import merging

PROGRAM = "memo_tf.merge"


def merge(values: flags.FlagValues) -> int:
  """Merges the folders of parsed flags; returns 1 if a run is damaged.

  Raises:
    UsageError: if flags are missing or the folders do not belong together.
    StudyError, OSError: if a folder cannot be used.
  """
  if not values.experiment_dir:
    raise errors.UsageError(
      "--experiment_dir must name the folder to merge into. Received none"
    )
  if not values.sources:
    raise errors.UsageError(
      "--sources must name the folders to merge. Received none"
    )
  merged = merging.merge(
    directory_lib.StudyDirectory(values.experiment_dir),
    [directory_lib.StudyDirectory(path) for path in values.sources],
    program.say,
  )
  print(
    f"{merged.num_copied} runs copied, {merged.num_there} were already there. "
    "To score the study, rerun its launch command with "
    f"--experiment_dir={values.experiment_dir}."
  )
  for path, problem in merged.damaged.items():
    program.say(f"damaged, not used: {path}: {problem}")
  return program.FAILED if merged.damaged else 0


def define_flags(values: flags.FlagValues, unused_program: str) -> None:
  """Defines the program's flags."""
  flags.DEFINE_string(
    "experiment_dir",
    None,
    "Folder to merge into: new, empty, or of the same study.",
    flag_values=values,
  )
  flags.DEFINE_list(
    "sources", [], "Folders to merge, comma-separated.", flag_values=values
  )


def main() -> None:
  """The program."""
  program.run_program(PROGRAM, define_flags, merge)


if __name__ == "__main__":
  main()
