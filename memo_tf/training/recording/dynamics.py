"""Training dynamics: how each example is predicted as training goes on.

    label_prob   softmax probability of the given label
    max_prob     largest softmax probability
    entropy      of the softmax, in nats
    loss         cross-entropy with the given label, in nats
    margin       logit of the label minus the largest other logit
    el2n         L2 norm of the softmax minus the one-hot label
    correct      whether the label is predicted; among equals the lowest class

`CleanDynamics` looks at every example, without augmentation and in evaluation
mode, after each recorded epoch. `BatchDynamics` takes what the training step
itself computed: in training mode, augmented, before the step; an example that
was not presented in an epoch is NaN there.
"""

from collections.abc import Callable

import numpy as np

from memo_tf.proxies import confidence

FIELDS = (
  "label_prob",
  "max_prob",
  "entropy",
  "loss",
  "margin",
  "el2n",
  "correct",
)
CHUNK = 8192  # rows at a time: float64 copies of all logits would be large


def from_logits(
  logits: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
  """The `FIELDS` of predictions.

  Args:
    logits: `[n, C]` finite, C at least 2.
    labels: `[n]` int, the given labels.

  Returns:
    float32 `[n]` arrays by name, computed in float64; `correct` is bool.
  """
  found = {
    name: np.empty(len(labels), bool if name == "correct" else np.float32)
    for name in FIELDS
  }
  for start in range(0, len(labels), CHUNK):
    part = slice(start, start + CHUNK)
    values_of = confidence.dynamics_from_logits(logits[part], labels[part])
    for name, values in values_of.items():
      found[name][part] = values
  return found


class _Dynamics:
  """Arrays `[E, N]` of the `FIELDS`, filled epoch by epoch."""

  def __init__(self, labels: np.ndarray, epochs: list[int]):
    self._labels = labels
    self.epochs = np.array(epochs, np.int32)
    shape = (len(epochs), len(labels))
    self._arrays = {n: np.full(shape, np.nan, np.float32) for n in FIELDS}

  def records(self, epoch: int) -> bool:
    """Whether this epoch, from 1, is one of those recorded."""
    return epoch in self.epochs

  def state(self) -> dict[str, np.ndarray]:
    return dict(self._arrays)

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    self._arrays = {name: state[name].copy() for name in FIELDS}

  def _enter(self, epoch, ids, logits):
    row = int(np.flatnonzero(self.epochs == epoch)[0])
    found = from_logits(logits, self._labels[ids])
    for name, values in found.items():
      self._arrays[name][row, ids] = values


class CleanDynamics(_Dynamics):
  """Every example after each recorded epoch, in evaluation mode.

  Args:
    predict: gives the logits `[N, C]` of all examples as they are now.
    labels: `[N]` int, the given labels.
    epochs: those recorded, from 1.
  """

  def __init__(
    self,
    predict: Callable[[], np.ndarray],
    labels: np.ndarray,
    epochs: list[int],
  ):
    super().__init__(labels, epochs)
    self._predict = predict
    self._ids = np.arange(len(labels))

  def after_epoch(self, epoch: int) -> None:
    if self.records(epoch):
      self._enter(epoch, self._ids, self._predict())

  def arrays(self) -> dict[str, np.ndarray]:
    """`FIELDS` `[E, N]` and `epochs` `[E]`; `correct` is bool."""
    correct = self._arrays["correct"].astype(bool)
    return {**self._arrays, "correct": correct, "epochs": self.epochs}


class BatchDynamics(_Dynamics):
  """Examples as they are presented, in the training batch.

  Args:
    labels: `[N]` int, the given labels.
    epochs: those recorded, from 1.
  """

  def after_epoch(self, epoch: int) -> None:
    del epoch  # fed from the training loop

  def presented(self, epoch: int, ids: np.ndarray, logits: np.ndarray) -> None:
    """Takes the logits `[n, C]` of the examples `ids` `[n]` of one epoch."""
    self._enter(epoch, ids, logits)

  def arrays(self) -> dict[str, np.ndarray]:
    """`batch_` and a field's name, float32 `[E, N]`; and `epochs`.

    NaN where an example was not presented; `batch_correct` is 0, 1 or NaN.
    """
    found = {f"batch_{name}": a for name, a in self._arrays.items()}
    return {**found, "epochs": self.epochs}
