"""Scores predictions of runs that were trained elsewhere, or a study again.

    python -m memo_tf.score --predictions=FILE.npz --experiment_dir=DIR
    python -m memo_tf.score --experiment_dir=DIR --min_memorization=0.1

The first makes a study of predictions from PyTorch, JAX or anything else:
logits [M, N, C], margin [M, N] or correct [M, N], with in_mask [M, N] and
labels [N]; optional are the same of test examples (test_logits, test_labels),
images, class_names and file_names. One file per model size, smallest first:
--predictions=small.npz,large.npz. The second scores the finished runs of any
study again, without training anything. TensorFlow is not needed. Flags:
"""

import dataclasses
import pathlib
import typing

from absl import flags

from memo_tf.cli import flags as flags_lib
from memo_tf.cli import program
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.running.elsewhere import npz
from memo_tf.running.elsewhere import study
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening

PROGRAM = "memo_tf.score"
# Of the outputs, those that say what a run keeps.
_OF_RUNS = (
  "keep_logits",
  "keep_weights",
  "materialize_subsets",
  "score_epochs",
)


def define_flags(values: flags.FlagValues, program_name: str) -> None:
  """Defines the program's flags."""
  flags.DEFINE_list(
    "predictions",
    [],
    "The .npz file of predictions; several files are model sizes, smallest "
    "first, named after their files. Empty: score the study of "
    "--experiment_dir again.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "experiment_dir",
    None,
    "Folder of the study; default: studies/<name of the first file>.",
    flag_values=values,
  )
  skip = set(_OF_RUNS)
  flags_lib.define_group(
    values, settings_lib.OutputsConfig, program_name, program_name, skip
  )


def score(values: flags.FlagValues) -> int:
  """Makes or scores the study that parsed flags name; returns the exit code.

  Raises:
    UsageError: if flags, predictions and study do not fit together.
    StudyError, OSError: if the study's folder cannot be used.
  """
  paths = values["predictions"].value
  if not paths and not values["experiment_dir"].value:
    raise errors.UsageError(
      "--predictions must name the file of predictions, or --experiment_dir a "
      "study to score again. Received: neither"
    )
  if values["experiment_dir"].value is None:
    name = pathlib.Path(paths[0]).stem
    values.set_default("experiment_dir", f"{flags_lib.STUDIES}/{name}")
  directory = directory_lib.StudyDirectory(values["experiment_dir"].value)
  given = _given(values)
  if paths:
    name = "-".join(pathlib.Path(path).stem for path in paths)
    study.make(directory, npz.read(paths), given, name)
  else:
    study.score(directory, _changed(directory, given))
  return 0


def _given(values: flags.FlagValues) -> dict[str, typing.Any]:
  """The settings that the command line has, by field."""
  kinds = typing.get_type_hints(settings_lib.OutputsConfig)
  return {
    field.name: flags_lib.value_of(values, field.name, kinds[field.name])
    for field in dataclasses.fields(settings_lib.OutputsConfig)
    if field.name not in _OF_RUNS and values[field.name].present
  }


def _changed(
  directory: directory_lib.StudyDirectory, given: dict[str, typing.Any]
) -> config_lib.StudyConfig:
  """The recorded config with other settings of what is scored and shown."""
  config = opening.recorded_config(directory)
  outputs = dataclasses.replace(config.outputs, **given)
  try:
    return config_rules.validated(dataclasses.replace(config, outputs=outputs))
  except ValueError as error:
    raise errors.UsageError(str(error)) from error


def main() -> None:
  """The program."""
  program.run_program(PROGRAM, define_flags, score)


if __name__ == "__main__":
  main()
