"""A small study trained in NumPy, with every array that proxies need.

Clusters in ten dimensions, one class each, some examples labelled wrongly. All
runs, each on a random subset, are trained at once: a network of one hidden
layer of tanh units, by minibatch gradient descent. Nothing here knows what a
proxy should say; memorization comes from the runs.
"""

import dataclasses
import functools

import numpy as np

from memo_tf import estimators
from memo_tf.estimators import exposure
from memo_tf.proxies import confidence
from memo_tf.proxies import gradients
from memo_tf.proxies import input_gradients
from memo_tf.proxies import second_split as second_split_lib

NUM_EXAMPLES, NUM_CLASSES, DEPTH, HIDDEN = 160, 4, 10, 48
NUM_RUNS, EPOCHS, BATCH, RATE = 40, 30, 16, 0.5
SECOND_EPOCHS = 10
CHECKPOINTS = (3, 10, 20, 30)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumpyStudy:
  """What the runs say.

  Attributes:
    memorization: `[N]`, from all runs.
    wrong: `[N]` bool, labelled wrongly.
    outputs: by the names of `proxies.RUN_OUTPUTS`; those of one run are of the
      run on all examples.
  """

  memorization: np.ndarray
  wrong: np.ndarray
  outputs: dict


class Networks:
  """R networks, trained at once."""

  def __init__(self, num_runs: int, rng: np.random.Generator):
    scale = 1 / np.sqrt([DEPTH, HIDDEN])
    self.first = scale[0] * rng.normal(size=(num_runs, DEPTH, HIDDEN))
    self.first_bias = np.zeros((num_runs, 1, HIDDEN))
    self.last = scale[1] * rng.normal(size=(num_runs, HIDDEN, NUM_CLASSES))
    self.last_bias = np.zeros((num_runs, 1, NUM_CLASSES))

  def hidden(self, images: np.ndarray) -> np.ndarray:
    """`[R, N, H]` of images `[N, D]` or `[R, N, D]`."""
    return np.tanh(images @ self.first + self.first_bias)

  def logits(self, images: np.ndarray) -> np.ndarray:
    """`[R, N, C]`."""
    return self.hidden(images) @ self.last + self.last_bias

  def step(self, images, labels, weights) -> None:
    """One step on `[R, B, D]`; examples of weight 0 are not there."""
    hidden = self.hidden(images)
    error = softmax(hidden @ self.last + self.last_bias) - one_hot(labels)
    error *= (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1))[
      ..., None
    ]
    inner = (error @ self.last.transpose(0, 2, 1)) * (1 - hidden**2)
    self.last -= RATE * hidden.transpose(0, 2, 1) @ error
    self.last_bias -= RATE * error.sum(axis=1, keepdims=True)
    self.first -= RATE * images.transpose(0, 2, 1) @ inner
    self.first_bias -= RATE * inner.sum(axis=1, keepdims=True)

  def epoch(self, images, labels, members, rng) -> np.ndarray:
    """Trains on the members `[R, N]`; logits `[R, N, C]` as presented."""
    order = np.stack([rng.permutation(len(images)) for _ in members])
    presented = np.full((*members.shape, NUM_CLASSES), np.nan)
    for start in range(0, len(images), BATCH):
      ids = order[:, start : start + BATCH]
      rows = np.arange(len(members))[:, None]
      presented[rows, ids] = self.logits(images[ids])
      self.step(images[ids], labels[ids], members[rows, ids].astype(float))
    presented[~members] = np.nan
    return presented

  def image_gradients(self, images, error) -> np.ndarray:
    """`[R, N, D]` of sum(error * logits) by the image; error `[R, N, C]`."""
    hidden = self.hidden(images)
    inner = (error @ self.last.transpose(0, 2, 1)) * (1 - hidden**2)
    return inner @ self.first.transpose(0, 2, 1)


def softmax(logits: np.ndarray) -> np.ndarray:
  odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return odds / odds.sum(axis=-1, keepdims=True)


def one_hot(labels: np.ndarray) -> np.ndarray:
  return np.eye(NUM_CLASSES)[labels]


@functools.cache
def train() -> NumpyStudy:
  """Trains the study, in about a second; once in a process."""
  rng = np.random.default_rng(0)
  clean = np.arange(NUM_EXAMPLES) % NUM_CLASSES
  centres = rng.normal(size=(NUM_CLASSES, DEPTH))
  images = centres[clean] + 0.6 * rng.normal(size=(NUM_EXAMPLES, DEPTH))
  wrong = rng.random(NUM_EXAMPLES) < 0.15
  labels = np.where(wrong, (clean + 1) % NUM_CLASSES, clean)
  in_mask = rng.random((NUM_RUNS, NUM_EXAMPLES)) < 0.7
  members = np.concatenate([np.ones((1, NUM_EXAMPLES), bool), in_mask])
  networks = Networks(len(members), rng)
  outputs: dict = {name: [] for name in ("clean", "batch")}
  for name in ("grand", "grand_last", "loss_sensitivity", "curvature"):
    outputs[name] = []
  label_gradients = []
  for epoch in range(1, EPOCHS + 1):
    presented = networks.epoch(images, labels, members, rng)
    outputs["batch"].append(presented[0])
    outputs["clean"].append(networks.logits(images)[0])
    if epoch in CHECKPOINTS:
      found = at_checkpoint(networks, images, labels, rng)
      label_gradients.append(found.pop("of_label"))
      for name, values in found.items():
        outputs[name].append(values)
  records = {}
  for prefix, source in (("", "clean"), ("batch_", "batch")):
    dynamics = confidence.dynamics_from_logits(
      np.stack(outputs.pop(source)), labels
    )
    for name, values in dynamics.items():
      records[prefix + name] = values
  records["batch_correct"] = records["batch_correct"].astype(float)
  finished = networks.logits(images)
  predicted = finished.argmax(axis=-1)
  correct = (predicted == labels)[1:]
  probability = softmax(finished)
  label_probability = probability[1:, np.arange(NUM_EXAMPLES), labels]
  half = NUM_RUNS // 2
  records |= {name: np.stack(v) for name, v in outputs.items()} | {
    "epochs": np.arange(1, EPOCHS + 1),
    "checkpoint_epochs": np.array(CHECKPOINTS),
    "learning_rate": np.full(len(CHECKPOINTS), RATE),
    "vog": input_gradients.vog_from_gradients(np.stack(label_gradients)),
    "representations": [
      images,
      networks.hidden(images)[0],
      probability[0],
    ],
    "predicted": predicted[0],
    "labels": labels,
    "subset_correct": correct,
    "subset_label_prob": label_probability,
    "subset_confidence": exposure.logit_confidence(label_probability),
    "in_mask": in_mask,
    "family_correct": [correct[:half], correct[half:]],
    "family_in_mask": [in_mask[:half], in_mask[half:]],
    "probabilities": probability[1:9],
    **second_split(networks, images, labels, in_mask, rng),
  }
  scores = estimators.memorization_scores(correct, in_mask)
  return NumpyStudy(
    memorization=scores.memorization, wrong=wrong, outputs=records
  )


def at_checkpoint(networks, images, labels, rng) -> dict[str, np.ndarray]:
  """Gradients of the first network: norms `[N]`, `of_label` `[N, D]`."""
  hidden = networks.hidden(images)
  probability = softmax(networks.logits(images))
  last = gradients.last_layer_gradient_norm(probability[0], labels, hidden[0])
  error = probability - one_hot(labels)
  inner = (error @ networks.last.transpose(0, 2, 1)) * (1 - hidden**2)
  square = (np.square(images).sum(axis=1) + 1) * np.square(inner[0]).sum(axis=1)
  by_image = networks.image_gradients(images, error)[0]
  moved = []
  for _ in range(5):
    near = images + 1e-3 * rng.choice([-1.0, 1.0], images.shape)
    error = softmax(networks.logits(near)) - one_hot(labels)
    moved.append(networks.image_gradients(near, error)[0])
  # Of the label's probability (`--vog_output=probability`): the gradient of its
  # logit ranks nothing, here as on the digits of docs/results.md.
  share = np.take_along_axis(probability, labels[None, :, None], axis=-1)
  of_label = share * (one_hot(labels) - probability)
  return {
    "grand": np.sqrt(square + last**2),
    "grand_last": last,
    "loss_sensitivity": input_gradients.loss_sensitivity_from_gradients(
      by_image
    ),
    "curvature": input_gradients.curvature_from_gradients(
      by_image, np.stack(moved)
    ),
    "of_label": networks.image_gradients(images, of_label)[0],
  }


def second_split(networks, images, labels, in_mask, rng) -> dict:
  """`[E, N]` after each epoch on what the second network held out."""
  members = np.concatenate([in_mask[:1], ~in_mask])
  before = networks.logits(images)[1]
  found: dict = {"second_correct": [], "second_divergence": []}
  for _ in range(SECOND_EPOCHS):
    networks.epoch(images, labels, members, rng)
    after = networks.logits(images)[1]
    correct = (after.argmax(axis=-1) == labels).astype(float)
    moved = second_split_lib.symmetric_divergence(before, after)
    found["second_correct"].append(np.where(in_mask[0], correct, np.nan))
    found["second_divergence"].append(np.where(in_mask[0], moved, np.nan))
  return {name: np.stack(rows) for name, rows in found.items()}
