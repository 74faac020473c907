"""Proxies from gradients with respect to the image.

`*_from_gradients` are the definitions. Training accumulates the same values
without keeping the gradients, and is tested against them.
"""

import numpy as np

from memo_tf.proxies import dynamics


def vog_from_gradients(
  gradients: np.ndarray, *, sample: bool = False, squared: bool = False
) -> np.ndarray:
  """Variance of gradients: how much an example's gradient changes in training.

  The mean over pixels of the standard deviation over checkpoints of d logit_y /
  d pixel (Agarwal, D'souza & Hooker, 2022, arXiv:2008.11600; their ImageNet
  code).

  Args:
    gradients: `[K, N, P]` at K checkpoints, P pixel values.
    sample: divide by K - 1, not K.
    squared: take the mean of the variance, not of its root.

  Returns:
    `[N]` float64.
  """
  gradients = np.asarray(gradients, np.float64)
  if gradients.ndim != 3 or len(gradients) < 1 + bool(sample):
    raise ValueError(
      "`gradients` must be [K, N, P], K at least 1, or 2 for a sample "
      f"standard deviation. Received: {gradients.shape}"
    )
  moved = gradients.var(axis=0, ddof=int(sample))
  return (moved if squared else np.sqrt(moved)).mean(axis=1)


def vog(
  *,
  vog: np.ndarray,
  labels: np.ndarray | None = None,
  class_standardized: bool = False,
) -> np.ndarray:
  """Variance of gradients as recorded, or as a z-score within its class.

  Args:
    vog: `[N]`.
    labels: `[N]` int; needed for z-scores.
    class_standardized: subtract the class's mean and divide by its standard
      deviation; 0 where this is 0.

  Returns:
    `[N]` float64.
  """
  values = np.asarray(vog, np.float64)
  if not class_standardized:
    return values.copy()
  if labels is None:
    raise ValueError("`class_standardized` needs `labels`. Received: None")
  found = np.full(values.shape, np.nan)
  for label in np.unique(labels):
    member = np.asarray(labels) == label
    known = values[member & ~np.isnan(values)]
    if len(known):
      scale = known.std() or 1.0
      found[member] = (values[member] - known.mean()) / scale
  return found


def loss_sensitivity_from_gradients(
  gradients: np.ndarray, *, norm: int = 2
) -> np.ndarray:
  """Norm of d loss / d image at one checkpoint (Arpit et al., 2017).

  Args:
    gradients: `[N, P]`.
    norm: 2, as published code has it, or 1.

  Returns:
    `[N]` float64.
  """
  if norm not in (1, 2):
    raise ValueError(f"`norm` must be 1 or 2. Received: {norm}")
  return np.linalg.norm(np.asarray(gradients, np.float64), ord=norm, axis=1)


def loss_sensitivity(*, loss_sensitivity: np.ndarray) -> np.ndarray:
  """Mean over checkpoints `[K, N]` of the norm of d loss / d image: `[N]`."""
  return dynamics.epochs_by_examples(loss_sensitivity).mean(axis=0)


def curvature_from_gradients(
  gradients: np.ndarray,
  perturbed: np.ndarray,
  *,
  step: float | None = None,
  squared: bool = False,
) -> np.ndarray:
  """Curvature of the loss around an image, from gradients at perturbed images.

  The mean over D draws of || g(x + h v) - g(x) ||_2, g the gradient of the
  example's own loss (a sum over a batch, never its mean) by its image, v random
  signs (Garg, Ravikumar & Roy, 2024; h = 1e-3, D = 10).

  Args:
    gradients: `[N, P]`, at the images.
    perturbed: `[D, N, P]`, at the perturbed images.
    step: h, by which differences are divided; None: not divided, as in their
      code.
    squared: with `step` an estimate of Tr(H^2), H the Hessian by the image.

  Returns:
    `[N]` float64.
  """
  gradients = np.asarray(gradients, np.float64)
  perturbed = np.asarray(perturbed, np.float64)
  if perturbed.ndim != 3 or perturbed.shape[1:] != gradients.shape:
    raise ValueError(
      "`gradients` must be [N, P] and `perturbed` [D, N, P]. Received: "
      f"{gradients.shape} and {perturbed.shape}"
    )
  length = np.linalg.norm(perturbed - gradients, axis=2) / (step or 1.0)
  return (np.square(length) if squared else length).mean(axis=0)


def curvature(*, curvature: np.ndarray) -> np.ndarray:
  """Mean over checkpoints `[K, N]` of the input loss curvature: `[N]`."""
  return dynamics.epochs_by_examples(curvature).mean(axis=0)
