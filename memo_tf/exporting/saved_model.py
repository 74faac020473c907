"""A trained model as a TensorFlow SavedModel that needs neither memo_tf nor Keras.

Raw images go in and are normalized inside. The signatures:

    serving_default   uint8 images -> logits, probabilities, features
    logits            uint8 images -> logits
    probabilities     uint8 images -> probabilities
    features          uint8 images -> features (what the last layer sees)
    serving_float     float32 images of the same raw values -> all three

Images are `[B, H, W, channels]` with raw pixel values, those that the data set
has (0 to 255, or what `about.json` says). Assets: `about.json` and
`class_names.txt`, a class a line. Beside it lies `model.keras`: the same model
for Keras, from raw float images to logits.
"""

import json
import pathlib
import shutil
import tempfile

import keras
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.store import files

KERAS_NAME = "model.keras"


def export_saved_model(
  model: keras.Model,
  directory,
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
      `[B, C]`; its last layer is what makes logits of features.
    directory: new or empty.
    mean, std: float32 `[channels]`, the normalization of raw pixel values.
    class_names: C names.
    about: for `about.json`, which says the inputs, signatures and
      normalization too.
    image_type: of the raw pixels, `uint8` or `uint16`.

  Raises:
    ValueError: if there are not C names, or the folder holds something.
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
      f"`class_names` must be {model.output_shape[-1]} names, one a class. "
      f"Received: {len(class_names)}"
    )
  mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
  content = {
    **about,
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
      "features": ["B", *features_of(model).shape[1:]],
    },
    "normalization": {
      "formula": "(images - mean) / std, done inside",
      "mean": mean.tolist(),
      "std": std.tolist(),
    },
    "class_names": list(class_names),
  }
  private = files.private_name(target)
  try:
    with tempfile.TemporaryDirectory() as folder:
      texts = {
        "about.json": json.dumps(content, indent=2) + "\n",
        "class_names.txt": "".join(f"{name}\n" for name in class_names),
      }
      for name, text in texts.items():
        pathlib.Path(folder, name).write_text(text)
      module = _Module(model, mean, std, pathlib.Path(folder), image_type)
      tf.saved_model.save(module, str(private), signatures=module.signatures())
    keras_model(model, mean, std).save(private / KERAS_NAME)
    if target.is_dir():
      target.rmdir()
    private.rename(target)
  except BaseException:
    shutil.rmtree(private, ignore_errors=True)
    raise


def features_of(model: keras.Model):
  """The symbolic input `[B, …]` of a functional model's last layer."""
  return model.layers[-1].input


def keras_model(
  model: keras.Model, mean: np.ndarray, std: np.ndarray
) -> keras.Model:
  """The same model with its normalization: raw float images to logits."""
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
  """The model's variables and functions, with nothing of Keras tracked."""

  def __init__(self, model, mean, std, assets: pathlib.Path, image_type: str):
    super().__init__()
    # What the functions capture must be tracked, or it cannot be saved.
    self.model_variables = [v.value for v in model.variables]
    self.about = tf.saved_model.Asset(str(assets / "about.json"))
    self.class_names = tf.saved_model.Asset(str(assets / "class_names.txt"))
    parts = keras.Model(model.input, [model.output, features_of(model)])
    shape = [None, *model.input_shape[1:]]

    def outputs(images):
      inputs = pipeline.normalize(images, tf.constant(mean), tf.constant(std))
      logits, features = parts(inputs, training=False)
      logits = tf.cast(logits, tf.float32)
      return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "features": tf.cast(features, tf.float32),
      }

    def function(dtype, *names):
      return tf.function(
        lambda images: {name: outputs(images)[name] for name in names},
        input_signature=[tf.TensorSpec(shape, dtype, name="images")],
      )

    every = ("logits", "probabilities", "features")
    self.serving_default = function(image_type, *every)
    self.serving_float = function(tf.float32, *every)
    self.logits = function(image_type, "logits")
    self.probabilities = function(image_type, "probabilities")
    self.features = function(image_type, "features")

  def signatures(self) -> dict:
    names = (
      "serving_default",
      "serving_float",
      "logits",
      "probabilities",
      "features",
    )
    return {name: getattr(self, name) for name in names}
