"""Cost of a step of the Distiller, compared with the cost of its parts.

    python benchmarks/distillation.py [--rounds=15] [--batches=8]

32x32x3 images in batches of 128, with Keras's `fit` for all contenders: a
cifar_resnet-8 alone with cross-entropy; the same model as the student of a
cifar_resnet-20 in a `Distiller`; the same with cached logits. The teacher's
forward pass is a `tf.function` on the same batches. Slices of all contenders
are interleaved in one process; each round gives one ratio.
"""

import argparse
from collections.abc import Callable
import time

import keras
import numpy as np
import pairing
import tensorflow as tf

from memo_tf import distillation
from memo_tf import models

BATCH, CLASSES, SHAPE = 128, 10, (32, 32, 3)


def build(name: str) -> keras.Model:
  return models.build_model(name, image_shape=SHAPE, num_classes=CLASSES)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=15)
  parser.add_argument("--batches", type=int, default=8)
  arguments = parser.parse_args()
  rng = np.random.default_rng(0)
  count = BATCH * arguments.batches
  images = rng.normal(size=(count, *SHAPE)).astype(np.float32)
  labels = rng.integers(0, CLASSES, count)
  teacher = build("cifar_resnet-20")

  def fitter(
    model: keras.Model, targets: np.ndarray | tf.Tensor
  ) -> Callable[[], object]:
    model.compile(
      keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
      keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.fit(images, targets, batch_size=BATCH, verbose=0)

  def wrapped() -> distillation.Distiller:
    return distillation.Distiller(
      student=build("cifar_resnet-8"),
      teacher=teacher,
      temperature=3.0,
      alpha=0.5,
    )

  forward = tf.function(lambda batch: teacher(batch, training=False))
  batches = [tf.constant(images[i : i + BATCH]) for i in range(0, count, BATCH)]
  cached = wrapped()
  ways = {
    "student": fitter(build("cifar_resnet-8"), labels),
    "teacher": lambda: [forward(batch).numpy() for batch in batches],
    "wrapper": fitter(wrapped(), labels),
    "cached": fitter(cached, cached.cached_targets(images, labels)),
  }
  for work in ways.values():  # trace
    work()
    work()
  times = {name: [] for name in ways}
  for _ in range(arguments.rounds):
    for name, work in ways.items():
      started = time.perf_counter()
      work()
      times[name].append(time.perf_counter() - started)
  seconds = {name: np.array(values) for name, values in times.items()}
  parts = seconds["student"] + seconds["teacher"]
  found = {
    "student + teacher's forward pass, against the wrapper": {
      "ratios": parts / seconds["wrapper"],
      "rate": count / float(np.median(parts)),
      "our_rate": count / float(np.median(seconds["wrapper"])),
    },
    "student alone, against cached logits": {
      "ratios": seconds["student"] / seconds["cached"],
      "rate": count / float(np.median(seconds["student"])),
      "our_rate": count / float(np.median(seconds["cached"])),
    },
  }
  pairing.report("distillation/cifar_resnet-8 of 20", found, "images/s")


if __name__ == "__main__":
  main()
