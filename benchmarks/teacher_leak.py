"""How much a teacher that trained on everything leaks about held-out labels.

    python benchmarks/teacher_leak.py [--num_subsets=12] [--epochs=20]

The digits with a tenth of the labels made wrong. For each of M subsets a
student is distilled twice, with the same initial weights and the same order of
batches: from a teacher trained on the student's own subset, and from one
trained on everything. Only the second teacher knows a wrong label that is held
out of the student. Prints the probability that the student gives to those
labels, and the difference, paired by subset, with the 95 % interval of its mean
(Student's t over subsets).
"""

import argparse
import json
import sys

import numpy as np
from scipy import stats
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.data import planted
from memo_tf.data.sources import load
from memo_tf.data.stored import normalization
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets
from memo_tf.training import distribution
from memo_tf.training import schedule
from memo_tf.training import trainer as trainer_lib

RATIO, NOISE, SEED = 0.7, 0.1, 0


class Runs:
  """Trains on subsets of the noisy digits and predicts all examples."""

  def __init__(self, epochs: int):
    data = load.load(settings_lib.DataConfig(dataset="digits"))
    labels, self.is_wrong = planted.plant_wrong_labels(
      data.train_labels, len(data.class_names), NOISE, SEED
    )
    statistics = normalization.normalization(data.train_images)
    self.labels = labels
    self._images = tf.constant(data.train_images)
    self._settings = settings_lib.TrainingConfig(epochs=epochs)
    self._about = {
      "image_shape": data.train_images.shape[1:],
      "num_classes": len(data.class_names),
      "mean": np.array(statistics["mean"], np.float32),
      "std": np.array(statistics["std"], np.float32),
      "strategy": distribution.one_device(),
    }

  def trainer(self, model: str, recipe: str) -> trainer_lib.Trainer:
    """The trainer of a model and recipe on the digits."""
    parsed = recipes.parse(recipe, self._settings)
    return trainer_lib.Trainer(model, parsed, **self._about)

  def train(
    self,
    trainer: trainer_lib.Trainer,
    members: np.ndarray,
    unit: str,
    index: int,
  ) -> None:
    """Trains one whole run on the examples `members`."""
    recipe = trainer.recipe
    trainer.initialize(SEED, unit)
    rates = schedule.learning_rates(recipe, len(members) // recipe.batch_size)
    for epoch in range(recipe.epochs):
      order = pipeline.epoch_order(
        len(members),
        recipe.batch_size,
        seed=SEED,
        family=f"{len(members)}",
        index=index,
        epoch=epoch,
      )
      trainer.train_epoch(
        self._images,
        tf.constant(self.labels),
        members[order].astype(np.int32),
        rates[epoch],
      )

  def label_probability(self, trainer: trainer_lib.Trainer) -> np.ndarray:
    """Probability of the given label, float64 `[N]`."""
    logits = trainer.predict(self._images).astype(np.float64)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows = np.arange(len(self.labels))
    return exponents[rows, self.labels] / exponents.sum(axis=1)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--num_subsets", type=int, default=12)
  parser.add_argument("--epochs", type=int, default=20)
  parser.add_argument("--model", default="cifar_resnet-8")
  parser.add_argument("--temperature", default="3")
  arguments = parser.parse_args()
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  runs = Runs(arguments.epochs)
  model = arguments.model
  one_hot = runs.trainer(model, "one_hot")
  student = runs.trainer(model, f"distilled-{model}-t{arguments.temperature}")
  everything = np.arange(len(runs.labels))
  masks = subsets.in_masks(
    len(everything), arguments.num_subsets, RATIO, seed=SEED
  )
  found = {"same subset": [], "everything": []}
  for index, mask in enumerate(masks):
    members = np.flatnonzero(mask)
    held_out = runs.is_wrong & ~mask
    for teacher, seen in (("same subset", members), ("everything", everything)):
      runs.train(one_hot, seen, f"teacher/{index}", index)
      student.teacher.set_weights(one_hot.model.get_weights())
      runs.train(student, members, f"student/{index}", index)
      found[teacher].append(runs.label_probability(student)[held_out].mean())
    print(f"subset {index + 1} of {len(masks)}", file=sys.stderr, flush=True)
  proper, leaky = (np.array(found[name]) for name in found)
  difference = leaky - proper
  low, high = stats.t.interval(
    0.95, len(difference) - 1, difference.mean(), stats.sem(difference)
  )
  print("Student's probability for wrong labels of held-out images:")
  for name, values in found.items():
    print(f"  teacher trained on {name:12} {np.mean(values):.4f}")
  print(f"  difference {difference.mean():.4f} [{low:.4f}, {high:.4f}]")
  print(
    json.dumps(
      {
        "benchmark": f"teacher_leak/{model}/t{arguments.temperature}",
        "ratios": {},
        "num_subsets": len(masks),
        "same_subset": round(float(proper.mean()), 5),
        "everything": round(float(leaky.mean()), 5),
        "difference": [
          round(float(v), 5) for v in (low, difference.mean(), high)
        ],
      }
    )
  )


if __name__ == "__main__":
  main()
