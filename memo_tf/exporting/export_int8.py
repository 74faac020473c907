"""A run in 8-bit integers, with its normalization stated beside it."""

import json
import pathlib

import numpy as np

from memo_tf.compression import litert
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.exporting import saved_model
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions


def export_int8(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  unit: work_units.WorkUnit,
  output_dir: pathlib.Path,
  about: dict,
  info: dict,
) -> dict[str, float]:
  """Writes `model.tflite` and `about.json` of a run that keeps the former.

  Args:
    directory: of the study.
    config: of the study.
    unit: whose run.
    output_dir: where to write it; must be new or empty.
    about: what `about.json` says of the run.
    info: the content of `dataset/info.json`.

  Returns:
    The largest absolute difference from the stored margins.

  Raises:
    StudyError: if the file, read back, has other predictions than the run.
      Nothing is left behind then.
    OSError: if `output_dir` was filled meanwhile, or cannot be written.
  """
  content = (directory.run_dir(unit) / plan_lib.TFLITE).read_bytes()
  with files.private_folder(output_dir) as private:
    (private / plan_lib.TFLITE).write_bytes(content)
    text = json.dumps(about | _description(info), indent=2) + "\n"
    (private / "about.json").write_text(text)
    written = (private / plan_lib.TFLITE).read_bytes()
    difference = _compare(directory, config, unit, written)
    saved_model.put_in_place(private, output_dir)
  return {"margin": difference}


def _description(info: dict) -> dict:
  """Inputs, outputs and normalization, for `about.json`."""
  return {
    "input": {
      "shape": ["B", *info["image_shape"]],
      "dtype": "int8",
      "values": "normalized images, divided by the input's scale, rounded, "
      "plus its zero point",
    },
    "outputs": {
      "logits": ["B", info["num_classes"]],
      "dtype": "int8",
      "values": "less the output's zero point, times its scale",
    },
    "normalization": {
      "formula": "(images - mean) / std, done by the caller",
      "mean": info["normalization"]["mean"],
      "std": info["normalization"]["std"],
    },
    "class_names": list(info["class_names"]),
  }


def _compare(directory, config, unit, content: bytes) -> float:
  """The largest difference between a file's margins and those of a run.

  Raises:
    StudyError: if there is any: integers repeat on every machine, except that
      an image exactly between two values may be rounded either way.
  """
  data = reader.read_dataset(directory, config.running)
  model = litert.Int8Model(content, config.running.threads_per_unit)
  logits = model.of_raw(data.mean, data.std)
  stored = predictions.read_run(directory, unit)
  found = predictions.from_logits(
    logits(data.train_images),
    logits(data.test_images),
    data.train_labels,
    data.test_labels,
    stored["in_subset"].to_numpy()[: len(data.train_labels)],
  )
  old, new = (table["margin"].to_numpy() for table in (stored, found))
  worst = float(np.max(np.abs(new - old)))
  if worst:
    raise errors.StudyError(
      f"the export of {unit.name} differs by {worst:.2g} from its stored "
      "margins: they were computed with another version of ai-edge-litert, or "
      "on another kind of machine. Nothing was written."
    )
  return worst
