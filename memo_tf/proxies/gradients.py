"""Proxies from per-example gradients with respect to the weights."""

import numpy as np

from memo_tf.proxies import dynamics


def grand(
  *,
  grand: np.ndarray,
  checkpoint_epochs: np.ndarray | None = None,
  at: float | None = 0.1,
) -> np.ndarray:
  """Norm of the loss's gradient, early in training.

  GraNd of Paul, Ganguli & Dziugaite (2021, arXiv:2107.07075), who average over
  runs at one early epoch.

  Args:
    grand: `[K, N]`, at K checkpoints.
    checkpoint_epochs: `[K]`; None: 1 to K.
    at: fraction of training that has passed, in (0, 1]: the nearest checkpoint
      is taken. None: the mean over checkpoints.

  Returns:
    `[N]`.
  """
  return dynamics.at_part(grand, checkpoint_epochs, at)


def grand_last_layer(
  *,
  grand_last: np.ndarray,
  checkpoint_epochs: np.ndarray | None = None,
  at: float | None = 0.1,
) -> np.ndarray:
  """GraNd of the last layer's weights, which has a closed form: `[N]`.

  Args:
    grand_last: `[K, N]`.
    checkpoint_epochs, at: as in `grand`.
  """
  return dynamics.at_part(grand_last, checkpoint_epochs, at)


def tracin_self(*, grand: np.ndarray, learning_rate: np.ndarray) -> np.ndarray:
  """Self-influence, the sum over checkpoints of learning rate * norm^2.

  TracInCP of Pruthi et al. (2020, arXiv:2002.08484), of an example on itself.

  Args:
    grand: `[K, N]` gradient norms.
    learning_rate: `[K]`, in force at each checkpoint.

  Returns:
    `[N]`.
  """
  norms = dynamics.epochs_by_examples(grand)
  rates = np.asarray(learning_rate, np.float64)
  if rates.shape != (len(norms),):
    raise ValueError(
      f"`learning_rate` must be [{len(norms)}], one per checkpoint. Received: "
      f"{rates.shape}"
    )
  return rates @ np.square(norms)


def last_layer_gradient_norm(
  probabilities: np.ndarray,
  labels: np.ndarray,
  features: np.ndarray,
  *,
  bias: bool = True,
) -> np.ndarray:
  """Norm of the gradient of the loss by the weights of a dense last layer.

  That gradient is the outer product of the error, p - onehot, and the layer's
  input h (with a 1 for the bias), so its norm is the product of theirs:
  ||p - onehot|| sqrt(||h||^2 + 1).

  Args:
    probabilities: `[N, C]`.
    labels: `[N]` int.
    features: `[N, D]`, the layer's input.
    bias: whether the layer has one.

  Returns:
    `[N]` float64.
  """
  error = np.asarray(probabilities, np.float64).copy()
  error[np.arange(len(error)), labels] -= 1
  square = np.square(np.asarray(features, np.float64)).sum(axis=1)
  return np.linalg.norm(error, axis=1) * np.sqrt(square + bool(bias))
