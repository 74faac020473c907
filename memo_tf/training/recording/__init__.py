"""Run outputs that proxies need: dynamics, gradients, representations.

A *recorder* follows a run (`Recorder`). What it has gathered so far is
part of the run's checkpoint, so that a run that was killed resumes and gives
the same arrays. Recording never writes to a variable that training reads.

    dynamics.py         after each recorded epoch; or in the training batch
    snapshots.py        the weights at K checkpoints, from which at the end
    gradients.py          GraNd
    input_gradients.py    VoG, loss sensitivity, curvature
    representations.py  of the final model, layer by layer
"""

from typing import Protocol

import numpy as np


class Recorder(Protocol):
  """Gathers something while a run is trained."""

  def after_epoch(self, epoch: int) -> None:
    """Records what it needs of the model after `epoch` finished epochs."""

  def state(self) -> dict[str, np.ndarray]:
    """What has been gathered so far, by name."""

  def set_state(self, state: dict[str, np.ndarray]) -> None:
    """Restores a `state()`."""
