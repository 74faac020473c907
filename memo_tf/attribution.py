"""Judges an attribution to training examples by the runs of a study.

    python -m memo_tf.attribution --experiment_dir=DIR
        --attribution=FILE.npy --orientation=train_by_test
    python -m memo_tf.attribution --experiment_dir=DIR --truth=FILE.npz

The first prints and writes the linear datamodeling score and recall@k of the
matrix in FILE.npy; the second writes the runs as the truth that dattri and
quanda take. The attribution must come from other models than these runs.
Nothing is trained, and TensorFlow is not needed. Flags:
"""

import pathlib
import time

from absl import flags

from memo_tf.cli import program
from memo_tf.experiment import errors
from memo_tf.findings import attribution as attribution_lib
from memo_tf.interchange import attribution as files_lib
from memo_tf.interchange import files as interchange_files
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections

PROGRAM = "memo_tf.attribution"
_LINE_EVERY_SECONDS = 10.0


def define_flags(values: flags.FlagValues, unused_program: str) -> None:
  """Defines the program's flags."""
  flags.DEFINE_string(
    "experiment_dir", None, "Folder of the study.", flag_values=values
  )
  flags.DEFINE_string(
    "attribution",
    None,
    "The .npy file of the attribution: larger if training on the training "
    "example makes the prediction of the test example better.",
    flag_values=values,
  )
  flags.DEFINE_enum(
    "orientation",
    None,
    files_lib.ORIENTATIONS,
    "Rows by columns of the file; must be given, since nothing else tells.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "group",
    "",
    "The runs that judge: MODEL, MODEL/RECIPE or MODEL/RECIPE/SUBSETS. Empty: "
    "the only ones of the study.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "outcome",
    "",
    "What runs put out for a test example: margin, label_probability or "
    "correctness. Empty: the margin, where it is known.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "top_k",
    10,
    "k of the recall: how many training examples are looked for.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "test_ids",
    None,
    "An .npy file of ids, where the attribution covers a part of the test set.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "truth",
    None,
    "An .npz file to write: outputs and subsets of the runs, for other tools.",
    flag_values=values,
  )


def judge(values: flags.FlagValues) -> int:
  """Judges the attribution that parsed flags name; returns the exit code.

  Raises:
    UsageError: if flags, attribution and study do not fit together.
    StudyError, OSError: if the study's folder cannot be used.
  """
  if not values.experiment_dir:
    raise errors.UsageError("--experiment_dir must be given. Received none")
  if not values.attribution and not values.truth:
    raise errors.UsageError(
      "--attribution or --truth must name a file. Received: neither"
    )
  if values.attribution and not values.orientation:
    raise errors.UsageError(
      "--orientation must say what the rows and columns of --attribution are: "
      f"{' or '.join(files_lib.ORIENTATIONS)}. Received none"
    )
  name = pathlib.Path(values.attribution or "").stem
  if values.attribution:  # before hours of judging
    attribution_lib.check_name(name)
  directory = directory_lib.StudyDirectory(values.experiment_dir)
  config = opening.recorded_config(directory)
  ids = None
  if values.test_ids:
    try:
      ids = interchange_files.load_npy(values.test_ids)
    except interchange_files.InterchangeError as error:
      raise errors.UsageError(f"--test_ids: {error}") from error
  program.say("Reading runs …")
  judges = attribution_lib.judges_of_study(
    directory,
    selections.plan(directory, config),
    group=values.group,
    outcome=values.outcome,
    test_ids=ids,
  )
  num_runs, num_train = judges.runs.in_mask.shape
  program.say(
    f"{judges.group.name}: {num_runs} runs, {num_train} training and "
    f"{len(judges.test_ids)} test examples; outputs: {judges.outcome}"
  )
  if values.truth:
    judges.write_truth(values.truth)
    print(f"Truth: {values.truth}")
  if not values.attribution:
    return 0
  if not 1 <= values.top_k < num_train:
    raise errors.UsageError(
      f"--top_k must be from 1 to {num_train - 1}. Received: {values.top_k}"
    )
  matrix = judges.read_attribution(values.attribution, values.orientation)
  table = judges.judge(matrix, top_k=values.top_k, progress=_Progress())
  shown = ["judged_by", "method", "measure", "value", "ci_low", "ci_high"]
  print(table[shown].to_string(index=False, float_format="{:.4f}".format))
  for sentence in attribution_lib.sentences(table):
    print(sentence, flush=True)
  # Last: what was found is shown even where it cannot be written.
  path = attribution_lib.write(directory, judges.group, name, table)
  print(f"Table: {path}")
  return 0


class _Progress:
  """Says how far it is, every ten seconds."""

  def __init__(self):
    self._next = time.monotonic() + _LINE_EVERY_SECONDS

  def __call__(self, done: int, total: int) -> None:
    if time.monotonic() >= self._next:
      self._next = time.monotonic() + _LINE_EVERY_SECONDS
      program.say(f"{done} of {total} test examples")


def main() -> None:
  """The program."""
  program.run_program(PROGRAM, define_flags, judge)


if __name__ == "__main__":
  main()
