"""Models as people write them: sequential, subclassed, scaling, fine-tuned."""

import pathlib

import keras
from keras import layers
import numpy as np


def small(image_shape, num_classes):
  """Sequential, with batch normalization and dropout."""
  return keras.Sequential(
    [
      keras.Input(image_shape),
      layers.Conv2D(4, 3, strides=2, activation="relu"),
      layers.BatchNormalization(momentum=0.8),
      layers.Dropout(0.3),
      layers.Flatten(),
      layers.Dense(num_classes),
    ]
  )


class Subclassed(keras.Model):
  """A subclassed model, without a config."""

  def __init__(self, num_classes):
    super().__init__()
    self.conv = layers.Conv2D(4, 3, strides=2, activation="relu")
    self.norm = layers.BatchNormalization(momentum=0.8)
    self.dropout = layers.Dropout(0.3)
    self.pool = layers.GlobalAveragePooling2D()
    self.head = layers.Dense(num_classes)

  def call(self, images, training=None):
    x = self.norm(self.conv(images), training=training)
    return self.head(self.pool(self.dropout(x, training=training)))


def large(image_shape, num_classes):
  """Subclassed; does not need the shape."""
  del image_shape
  return Subclassed(num_classes)


class _Linear(layers.Layer):
  """Draws its weights when it is first called."""

  def __init__(self, units):
    super().__init__()
    self.units = units

  def build(self, shape):
    self.kernel = self.add_weight(
      shape=(shape[-1], self.units), initializer="glorot_uniform"
    )

  def call(self, x):
    return keras.ops.matmul(x, self.kernel)


def late(image_shape, num_classes):
  """Sequential without an input: draws after the function has returned."""
  del image_shape
  return keras.Sequential([layers.Flatten(), _Linear(num_classes)])


def scaled(image_shape, num_classes):
  """Scales and resizes its images itself; takes any size."""
  x = images = keras.Input((None, None, image_shape[-1]))
  x = layers.Rescaling(1 / 16)(x)
  x = layers.Resizing(12, 12)(x)
  x = layers.Conv2D(4, 3, strides=2)(x)
  x = layers.GlobalAveragePooling2D()(x)
  return keras.Model(images, layers.Dense(num_classes)(x))


def arithmetic(image_shape, num_classes):
  """Scales its images by arithmetic."""
  images = keras.Input(image_shape)
  x = layers.Flatten()(images / 8.0 - 1.0)
  return keras.Model(images, layers.Dense(num_classes)(x))


def tuned(image_shape, num_classes):
  """Fine-tuned: a base that is loaded and frozen, and a head that is drawn."""
  base = keras.Sequential(
    [
      keras.Input(image_shape),
      layers.Conv2D(4, 3, strides=2),
      layers.BatchNormalization(),
      layers.GlobalAveragePooling2D(),
    ]
  )
  path = pathlib.Path(__file__).with_name("base.npz")
  if path.exists():
    with np.load(path) as content:
      base.set_weights([content[name] for name in content.files])
  base.trainable = False
  images = keras.Input(image_shape)
  return keras.Model(images, layers.Dense(num_classes)(base(images)))


def write_base(folder: pathlib.Path, seed: int) -> None:
  """Writes the weights that `tuned` loads from beside its source."""
  rng = np.random.default_rng(seed)
  shapes = [(3, 3, 1, 4), (4,), (4,), (4,), (4,), (4,)]
  arrays = [rng.uniform(0.5, 1.0, shape).astype(np.float32) for shape in shapes]
  np.savez(folder / "base.npz", *arrays)
