"""Which examples a run has right after some epochs, for scores over time."""

from collections.abc import Callable

import numpy as np


class Correctness:
  """Every example after each recorded epoch, as the finished run is evaluated.

  Args:
    predict: gives the classes `[N + T]` that are predicted now, the lowest
      among equals.
    labels: `[N + T]` int, the given labels.
    epochs: those recorded, from 1.
  """

  def __init__(
    self,
    predict: Callable[[], np.ndarray],
    labels: np.ndarray,
    epochs: tuple[int, ...],
  ):
    self._predict, self._labels, self.epochs = predict, labels, epochs
    self._bits: dict[int, np.ndarray] = {}

  def after_epoch(self, epoch: int) -> None:
    if epoch in self.epochs:
      self._bits[epoch] = np.packbits(self._predict() == self._labels)

  def state(self) -> dict[str, np.ndarray]:
    return {str(epoch): bits for epoch, bits in self._bits.items()}

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    self._bits = {int(epoch): bits.copy() for epoch, bits in state.items()}

  def arrays(self, epoch: int) -> dict[str, np.ndarray]:
    """What the epoch's file holds, see `experiment.score_epochs`."""
    count = np.int64(len(self._labels))
    return {"correct": self._bits[epoch], "num_examples": np.array(count)}
