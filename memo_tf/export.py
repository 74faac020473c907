"""Exports one trained run as a TensorFlow SavedModel.

    python -m memo_tf.export --experiment_dir=DIR \\
        --unit=cifar_resnet-20/one_hot/r0.70/00007 --output_dir=OUT

OUT becomes the SavedModel, with `model.keras` beside it;
memo_tf/exporting/saved_model.py says what they contain. Of a run in 8-bit
integers, `model.tflite` and `about.json` are written instead. A run whose
weights were not kept is trained again first and must reproduce its stored
predictions to the bit. Flags:
"""

import json
import os
import pathlib

from absl import flags
from absl import logging

from memo_tf.cli import program
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.running import planning
from memo_tf.running import worker_pool
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import opening
from memo_tf.store import selections

PROGRAM = "memo_tf.export"
_RECORDED = (
  "unit",
  "recipe",
  "in_accuracy",
  "out_accuracy",
  "test_accuracy",
  "parameters",
  "subset_size",
  "subset_digest",
  "dataset_digest",
  "seed",
  "teacher",
  "source",
  "compressed",
  "versions",
)


def export(
  directory: directory_lib.StudyDirectory,
  unit: work_units.WorkUnit,
  output_dir: pathlib.Path,
) -> None:
  """Exports a finished run of a study.

  Args:
    directory: of the study.
    unit: which run.
    output_dir: new or empty.

  Raises:
    UsageError: if the study does not plan the unit, or the folder holds
      something.
    StudyError: if the run is unfinished or damaged or does not reproduce its
      predictions, or if the export does not.
    OSError: if something cannot be written.
  """
  config = opening.recorded_config(directory)
  if config.is_made_elsewhere:
    raise errors.UsageError(
      "--experiment_dir must be of a study that memo_tf trained. Received: "
      f"{directory.root}, of predictions alone: there is no model to export"
    )
  plan = selections.plan(directory, config)
  if unit not in plan.wanted:
    raise errors.UsageError(
      "--unit must name a run of this study: one of its models, recipes and "
      "subset families, and an index below --num_subsets. Received: "
      f"--unit={unit.name}"
    )
  if output_dir.exists() and (
    not output_dir.is_dir() or any(output_dir.iterdir())
  ):
    raise errors.UsageError(
      "--output_dir must name a new or empty folder. Received: "
      f"--output_dir={output_dir}"
    )
  wanted = plan_lib.weights_file(plan.recipes[unit.recipe])
  record, has_weights = _finished(directory, unit, wanted)
  if not has_weights:
    print(f"The weights of {unit.name} were not kept: training it again.")
    _train_again(directory, plan, unit)
    record, _ = _finished(directory, unit, wanted)
  # Only now, so that --help and wrong use are answered at once.
  from memo_tf.exporting import export_int8
  from memo_tf.exporting import export_run

  info = dataset_info.read_info(directory)
  about = {
    "dataset": {name: info[name] for name in ("name", "version", "max_pixel")},
    **{name: record[name] for name in _RECORDED if name in record},
  }
  is_int8 = wanted == plan_lib.TFLITE
  write = export_int8.export_int8 if is_int8 else export_run.export_run
  differences = write(directory, config, unit, output_dir, about, info)
  print(
    f"Exported {unit.name} to {output_dir}; largest difference from its stored "
    f"predictions: {json.dumps(differences)}"
  )


def _finished(directory, unit, weights: str) -> tuple[dict, bool]:
  """The content of the run's run.json, and whether it has its weights.

  Raises:
    StudyError: if the run is damaged or unfinished.
  """
  state = directory.run_state(unit, check_digests=True)
  if state.record is None:
    reason = (
      f"is damaged: {state.problem}" if state.problem else "is unfinished"
    )
    raise errors.StudyError(
      f"{unit.name} {reason}. Rerun the study's launch command first."
    )
  return state.record, state.has(frozenset({weights}))


def _train_again(directory, plan, unit) -> None:
  """Has a worker repeat the run, and what it requires, to keep the weights."""
  missing = [unit]
  for needed in plan.requires(unit):
    if not directory.run_state(needed, check_digests=True).has(
      frozenset({plan_lib.WEIGHTS})
    ):
      missing.append(needed)
  opening.check_extensible(directory, missing)
  planning.check_requirements(directory, plan, missing)
  config = plan.config
  setup = {"config": config.to_json(), "experiment_dir": str(directory.root)}
  with worker_pool.WorkerPool(
    1,
    setup,
    threads=config.running.threads_per_unit,
    log_path=directory.root / "work" / "workers.log",
  ) as pool:
    for wave in plan.waves(missing):
      tasks = [
        {
          "task": "run",
          "unit": each.name,
          "outputs": sorted(
            {
              "predictions.parquet",
              "history.jsonl",
              plan_lib.weights_file(plan.recipes[each.recipe]),
            }
          ),
          "log": str(directory.work_dir(each) / "log.txt"),
        }
        for each in wave
      ]
      for event in pool.run(tasks):
        if event.kind == "failed":
          task, content = event.task or {}, event.content or {}
          raise errors.StudyError(
            f"{task.get('unit')} could not be trained again: "
            f"{content.get('error')}"
          )


def main() -> None:
  """The program."""
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  os.environ["KERAS_BACKEND"] = "tensorflow"
  program.run_program(PROGRAM, define_flags, _export, output="output_dir")


def define_flags(values: flags.FlagValues, unused_program: str) -> None:
  """Defines the program's flags."""
  flags.DEFINE_string(
    "experiment_dir", None, "Folder of the study.", flag_values=values
  )
  flags.DEFINE_string(
    "unit",
    None,
    "The run to export: MODEL/RECIPE/SUBSETS/INDEX, as in "
    "cifar_resnet-20/one_hot/r0.70/00007.",
    flag_values=values,
  )
  flags.DEFINE_string(
    "output_dir",
    None,
    "Folder to export to; new or empty.",
    flag_values=values,
  )


def _export(values: flags.FlagValues) -> int:
  for name in ("experiment_dir", "unit", "output_dir"):
    if not values[name].value:
      raise errors.UsageError(f"--{name} must be given. Received none")
  try:
    unit = work_units.parse_unit(values.unit)
  except ValueError as error:
    raise errors.UsageError(f"--unit: {error}") from error
  logging.set_verbosity(logging.WARNING)
  export(
    directory_lib.StudyDirectory(values.experiment_dir),
    unit,
    pathlib.Path(values.output_dir).absolute(),
  )
  return 0


if __name__ == "__main__":
  main()
