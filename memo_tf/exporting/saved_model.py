"""A trained model as a SavedModel that needs neither memo_tf nor Keras.

It takes raw images and normalizes them itself. The signatures:

    serving_default   uint8 images -> logits, probabilities, features
    logits            uint8 images -> logits
    probabilities     uint8 images -> probabilities
    features          uint8 images -> features (what the last layer sees);
                      not of a model that is not functional, or whose last
                      layer has several inputs
    serving_float     float32 images of the same raw values -> all three

Images are `[B, H, W, channels]` with the data set's raw pixel values (0 to 255,
or the range that `about.json` states); for a data set of 16-bit images, uint16
takes the place of uint8. Assets: `about.json` and `class_names.txt`, one class
per line. The folder also holds `model.keras`: the same model for Keras, from
raw float images to logits (unless a layer has no config: `about.json` says so).
"""

import errno
import json
import os
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.store import files

KERAS_NAME = "model.keras"


def export_saved_model(
  model: keras.Model,
  directory: str | os.PathLike,
  *,
  mean: np.ndarray,
  std: np.ndarray,
  class_names: tuple[str, ...],
  about: dict,
  image_type: str = "uint8",
) -> None:
  """Writes a model as a SavedModel, whole or not at all.

  Args:
    model: functional, from normalized images `[B, H, W, channels]` to logits
      `[B, C]`; its last layer computes logits from features, or is a model
      itself, which has no features.
    directory: where to write it; must be new or empty.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, above 0, standard deviations of raw pixel values.
    class_names: C names.
    about: goes into `about.json`, beside inputs, outputs and normalization.
    image_type: of the raw pixels, `uint8` or `uint16`.

  Raises:
    ValueError: if there are not C names, or `directory` is not empty.
    OSError: if it cannot be written.
  """
  target = pathlib.Path(directory)
  if target.exists() and (not target.is_dir() or any(target.iterdir())):
    raise ValueError(
      "`directory` must name a new or empty folder. Received: "
      f"directory={str(target)!r}"
    )
  if len(class_names) != model.output_shape[-1]:
    raise ValueError(
      f"`class_names` must be {model.output_shape[-1]} names, one per class. "
      f"Received: {len(class_names)}"
    )
  mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
  content = about | _description(model, mean, std, class_names, image_type)
  with (
    files.private_folder(target) as private,
    tempfile.TemporaryDirectory() as assets,
  ):
    texts = {
      "about.json": json.dumps(content, indent=2) + "\n",
      "class_names.txt": "".join(f"{name}\n" for name in class_names),
    }
    for name, text in texts.items():
      pathlib.Path(assets, name).write_text(text)
    module = _Module(model, mean, std, pathlib.Path(assets), image_type)
    tf.saved_model.save(module, str(private), signatures=module.signatures())
    if problem := _save_for_keras(keras_model(model, mean, std), private):
      content[KERAS_NAME] = f"not written: {problem}"
      about_path = private / "assets" / "about.json"
      about_path.write_text(json.dumps(content, indent=2) + "\n")
    put_in_place(private, target)


def _save_for_keras(model: keras.Model, folder: pathlib.Path) -> str | None:
  """Writes `model.keras`; why it cannot be, if a layer has no config."""
  path = folder / KERAS_NAME
  try:
    model.save(path)
  except (NotImplementedError, TypeError) as error:
    path.unlink(missing_ok=True)
    return " ".join(str(error).split())[:300]
  return None


def put_in_place(private: pathlib.Path, target: pathlib.Path) -> None:
  """Renames a finished folder to `target`, which must be new or empty.

  Raises:
    FileExistsError: if something was written to `target` meanwhile.
  """
  if not files.publish(private, target):
    raise FileExistsError(
      errno.EEXIST, "was filled while the export was made", str(target)
    )


def _description(model, mean, std, class_names, image_type) -> dict:
  """Inputs, outputs and normalization, for `about.json`."""
  features = features_of(model)
  shown = {}
  if features is not None:
    shown = {"features": ["B", *features.shape[1:]]}
  return {
    "input": {
      "name": "images",
      "shape": ["B", *model.input_shape[1:]],
      "values": "raw pixel values, not normalized",
      "dtype": {
        "serving_float": "float32",
        "every other signature": image_type,
      },
    },
    "outputs": {
      "logits": ["B", len(class_names)],
      "probabilities": ["B", len(class_names)],
      **shown,
    },
    "normalization": {
      "formula": "(images - mean) / std, done inside",
      "mean": mean.tolist(),
      "std": std.tolist(),
    },
    "class_names": list(class_names),
  }


def features_of(model: keras.Model) -> keras.KerasTensor | None:
  """The symbolic input `[B, …]` of a functional model's last layer.

  None if that is a model itself, as around a subclassed one, or has several
  inputs.
  """
  last = model.layers[-1]
  if isinstance(last, keras.Model) or isinstance(last.input, list):
    return None
  return last.input


def keras_model(
  model: keras.Model, mean: np.ndarray, std: np.ndarray
) -> keras.Model:
  """The model with its normalization: raw float images to logits.

  Args:
    model: from normalized images `[B, H, W, channels]` to logits `[B, C]`.
    mean: float32 `[channels]`, of raw pixel values.
    std: float32 `[channels]`, their standard deviations.
  """
  images = keras.Input(model.input_shape[1:], name="images", dtype="float32")
  normalization = keras.layers.Normalization(
    mean=mean.tolist(),
    variance=np.square(np.asarray(std, np.float64)).tolist(),
    dtype="float32",
    name="normalization",
  )
  outputs = model(normalization(images))
  return keras.Model(images, outputs, name=f"{model.name}_raw")


class _Module(tf.Module):
  """The model's variables and functions, without tracking Keras objects."""

  def __init__(self, model, mean, std, assets: pathlib.Path, image_type: str):
    super().__init__()
    # Variables that the functions capture must be tracked to be saved.
    self.model_variables = [v.value for v in model.variables]
    self.about = tf.saved_model.Asset(str(assets / "about.json"))
    self.class_names = tf.saved_model.Asset(str(assets / "class_names.txt"))
    features = features_of(model)
    names = ["logits", *(["features"] if features is not None else [])]
    tensors = [model.output, features][: len(names)]
    parts = keras.Model(model.inputs, dict(zip(names, tensors)))
    shape = [None, *model.input_shape[1:]]

    def outputs(images):
      inputs = pipeline.normalize(images, tf.constant(mean), tf.constant(std))
      found = {
        name: tf.cast(tensor, tf.float32)
        for name, tensor in parts(inputs, training=False).items()
      }
      return {**found, "probabilities": tf.nn.softmax(found["logits"])}

    def function(dtype, *names):
      return tf.function(
        lambda images: {name: outputs(images)[name] for name in names},
        input_signature=[tf.TensorSpec(shape, dtype, name="images")],
      )

    every = (*names, "probabilities")
    self.serving_default = function(image_type, *every)
    self.serving_float = function(tf.float32, *every)
    self.logits = function(image_type, "logits")
    self.probabilities = function(image_type, "probabilities")
    if features is not None:
      self.features = function(image_type, "features")

  def signatures(self) -> dict:
    names = (
      "serving_default",
      "serving_float",
      "logits",
      "probabilities",
      "features",
    )
    return {n: getattr(self, n) for n in names if hasattr(self, n)}
