"""Training with stock Keras (layers, SGD, `fit`), for training.py."""

import argparse
import time

import keras
import numpy as np
import pairing
from sklearn import datasets as sklearn_datasets
import tensorflow as tf

BATCH = 128


def build(depth: int, shape: tuple[int, int, int]) -> keras.Model:
  """The CIFAR ResNet of memo_tf from stock layers."""

  def conv_norm(
    x: keras.KerasTensor, filters: int, strides: int
  ) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
      filters,
      3,
      strides,
      padding="same",
      use_bias=False,
      kernel_initializer="he_normal",
      kernel_regularizer=keras.regularizers.L2(5e-5),
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x)

  images = keras.Input(shape)
  x = keras.layers.Rescaling(1 / 64, offset=-2.0)(images)
  x = keras.layers.ReLU()(conv_norm(x, 16, 1))
  for stage, filters in enumerate((16, 32, 64)):
    for block in range((depth - 2) // 6):
      strides = 2 if stage and not block else 1
      shortcut = x
      x = keras.layers.ReLU()(conv_norm(x, filters, strides))
      x = conv_norm(x, filters, 1)
      if strides > 1:
        shortcut = keras.layers.AveragePooling2D(1, strides=2)(shortcut)
        shortcut = keras.layers.ZeroPadding2D((0, 0))(shortcut)
        shortcut = keras.layers.Concatenate()(
          [shortcut, keras.layers.Rescaling(0.0)(shortcut)]
        )
      x = keras.layers.ReLU()(keras.layers.Add()([shortcut, x]))
  x = keras.layers.GlobalAveragePooling2D()(x)
  return keras.Model(images, keras.layers.Dense(10, dtype="float32")(x))


def study_work(seconds: float) -> tuple[int, float]:
  """Whole runs on the digits, each with a newly built and compiled model."""
  content = sklearn_datasets.load_digits()
  images = content.images.astype(np.float32)[..., None]
  labels = content.target.astype(np.int32)
  count, started = 0, time.perf_counter()
  while not count or time.perf_counter() - started < seconds:
    # Eight whole batches per epoch, as ours.
    members = np.random.default_rng().permutation(1500)[: 8 * BATCH]
    keras.backend.clear_session()
    model = build(8, images.shape[1:])
    model.compile(
      keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
      keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      metrics=["accuracy"],
      jit_compile=False,
    )
    model.fit(
      images[members], labels[members], batch_size=BATCH, epochs=20, verbose=0
    )
    model.predict(images, batch_size=256, verbose=0)
    count += 1
  return count, time.perf_counter() - started


def main() -> None:
  parser = argparse.ArgumentParser()
  for name in ("threads", "depth", "size", "channels"):
    parser.add_argument(f"--{name}", type=int)
  parser.add_argument("--kind")
  parser.add_argument("--precision", default="float32")
  arguments = parser.parse_args()
  if arguments.precision == "bfloat16":
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
  tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
  tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
  shape = (arguments.size, arguments.size, arguments.channels)
  if arguments.kind == "study":
    pairing.serve(study_work)
    return
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2048, *shape)).astype(np.uint8)
  labels = rng.integers(0, 10, 2048).astype(np.int32)
  data = tf.data.Dataset.from_tensor_slices((images, labels))
  data = data.shuffle(2048).repeat().batch(BATCH, drop_remainder=True)
  data = data.prefetch(tf.data.AUTOTUNE)
  model = build(arguments.depth, shape)
  model.compile(
    keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
    steps_per_execution=8 if arguments.kind == "steps" else 1,
    jit_compile=False,  # as Keras's "auto" decides on a CPU
  )
  steps = [8]

  def work(seconds: float) -> tuple[int, float]:
    items, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
      before = time.perf_counter()
      model.fit(data, steps_per_epoch=steps[0], verbose=0)
      items += steps[0] * BATCH
      one = (time.perf_counter() - before) / steps[0]
      # One call of fit per slice, so that its start-up costs little.
      steps[0] = 8 * max(1, round(seconds / one / 8))
    return items, time.perf_counter() - started

  pairing.serve(work)


if __name__ == "__main__":
  main()
