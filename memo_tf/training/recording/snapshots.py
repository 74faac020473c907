"""The weights at K checkpoints of a run.

Outputs that are functions of weights (gradients, input gradients) are computed
from these at the run's end, after its predictions: they cannot affect training,
and a checkpoint holds nothing else of them.
"""

from collections.abc import Iterator

import keras
import numpy as np


class Snapshots:
  """Keeps a model's weights (statistics included) at some epochs.

  Args:
    model: as trained so far.
    epochs: K of them, from 1, ascending.
  """

  def __init__(self, model: keras.Model, epochs: list[int]):
    self._model = model
    self.epochs = list(epochs)
    self._weights: list[list[np.ndarray]] = []

  def __len__(self) -> int:
    return len(self.epochs)

  def after_epoch(self, epoch: int) -> None:
    if epoch in self.epochs:
      self._weights.append([w.copy() for w in self._model.get_weights()])

  def state(self) -> dict[str, np.ndarray]:
    return {
      f"{k}_{i}": weight
      for k, weights in enumerate(self._weights)
      for i, weight in enumerate(weights)
    }

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    count = len(self._model.get_weights())
    taken = len(state) // count
    self._weights = [
      [state[f"{k}_{i}"] for i in range(count)] for k in range(taken)
    ]

  def restored(self) -> Iterator[int]:
    """Sets the model to each of the K checkpoints in turn; yields 0 … K - 1.

    The final weights are back when it ends, or is left.
    """
    final = self._model.get_weights()
    try:
      for k, weights in enumerate(self._weights):
        self._model.set_weights(weights)
        yield k
    finally:
      self._model.set_weights(final)
