"""A run as a SavedModel, compared with the run's stored predictions."""

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import recipes
from memo_tf.experiment import work_units
from memo_tf.exporting import saved_model
from memo_tf.models import own
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import own_sources
from memo_tf.store import predictions
from memo_tf.training import inference
from memo_tf.training import kept_weights

# Absolute for probabilities and small margins; relative for margins above 1.
TOLERANCE = 1e-5


def export_run(
  directory: directory_lib.StudyDirectory,
  config: config_lib.StudyConfig,
  unit: work_units.WorkUnit,
  output_dir: pathlib.Path,
  about: dict,
  info: dict,
) -> dict[str, float]:
  """Writes the SavedModel of a run whose weights are kept.

  Args:
    directory: of the study.
    config: of the study.
    unit: whose run.
    output_dir: where to write it; must be new or empty.
    about: what `about.json` says of the run.
    info: the content of `dataset/info.json`.

  Returns:
    The largest difference from the stored predictions: `label_prob` absolute,
    `margin` relative where it is above 1.

  Raises:
    StudyError: if the SavedModel, read back, has other predictions than the
      run, or cannot be written. Nothing is left behind then.
    OSError: if `output_dir` was filled meanwhile, or cannot be written.
  """
  model = _build(directory, config, unit, info)
  kept_weights.load_weights(model, directory, unit)
  normalization = info["normalization"]
  try:
    with files.private_folder(output_dir) as private:
      saved_model.export_saved_model(
        model,
        private,
        mean=np.array(normalization["mean"], np.float32),
        std=np.array(normalization["std"], np.float32),
        class_names=tuple(info["class_names"]),
        about=about,
        image_type=info.get("image_type", "uint8"),
      )
      differences = _compare(directory, config, unit, private)
      saved_model.put_in_place(private, output_dir)
  except tf.errors.OpError as error:  # how TensorFlow reports a full disk
    raise errors.StudyError(
      f"{output_dir} cannot be written: {' '.join(error.message.split())}"
    ) from error
  return differences


def _build(directory, config, unit, info) -> keras.Model:
  """The model of a run, with any weights."""
  recipe = recipes.parse(unit.recipe, config.training)
  shape: dict[str, Any] = {
    "image_shape": tuple(info["image_shape"]),
    "num_classes": info["num_classes"],
    "precision": recipe.precision,
  }
  if not model_names.is_own(unit.model):
    return models.build_model(
      unit.model, batch_norm_momentum=recipe.batch_norm_momentum, **shape
    )
  sources = own_sources.read(directory, config)
  statistics: dict[str, Any] = {
    name: np.array(info["normalization"][name], np.float32)
    for name in ("mean", "std")
  }
  try:
    return own.OwnModels(sources, config.models.own_inputs).build(
      unit.model, 0, **shape, **statistics
    )
  except ValueError as error:
    raise errors.StudyError(str(error)) from error


def _compare(directory, config, unit, folder: pathlib.Path) -> dict[str, float]:
  """The largest differences between a SavedModel and a run's predictions.

  Raises:
    StudyError: if they are above `TOLERANCE`.
  """
  data = reader.read_dataset(directory, config.running)
  serve = tf.saved_model.load(str(folder)).signatures["logits"]

  def logits(images):
    parts = [
      serve(images=tf.constant(images[i : i + inference.BATCH_SIZE]))["logits"]
      for i in range(0, len(images), inference.BATCH_SIZE)
    ]
    return np.concatenate(parts)

  stored = predictions.read_run(directory, unit)
  found = predictions.from_logits(
    logits(data.train_images),
    logits(data.test_images),
    data.train_labels,
    data.test_labels,
    stored["in_subset"].to_numpy()[: len(data.train_labels)],
  )
  differences = {}
  for name in ("label_prob", "margin"):
    old, new = (table[name].to_numpy() for table in (stored, found))
    scale = np.maximum(1.0, np.abs(old)) if name == "margin" else 1.0
    differences[name] = float(np.max(np.abs(new - old) / scale))
  worst = max(differences.values())
  if not worst <= TOLERANCE:
    raise errors.StudyError(
      f"the export of {unit.name} differs by {worst:.2g} from its stored "
      f"predictions, more than {TOLERANCE:g}: they were computed on another "
      "kind of machine, or in bfloat16. Nothing was written."
    )
  return differences
