"""Proxies from windows that slide over the epochs of training.

A window is J recorded epochs in a row; with E of them there are E - J + 1
windows, and none where E is below J: every value is then NaN. Arrays are
`[E, N]`, NaN where an example was not presented; a window counts for an example
that has at least two values in it. Probabilities and losses are those of the
given label, never logits.
"""

import numpy as np

from memo_tf.proxies import dynamics

# J of all three papers.
WINDOW = 10
# Fewest epochs of a window, by proxy: two values, or two differences.
LEAST_WINDOW = {
  "dynamic_uncertainty": 2,
  "difficulty_uncertainty": 2,
  "temporal_dual_depth": 3,
}


def dynamic_uncertainty(
  *, label_prob: np.ndarray, window: int = WINDOW
) -> np.ndarray:
  """Mean over windows of the standard deviation of the label's probability.

  Dyn-Unc of He, Yang, Huang & Zhao (2023, arXiv:2306.05175). The standard
  deviation is that of a sample (with J - 1). Their sum leaves out the last
  window; ours, like other code, has all.

  Args:
    label_prob: `[E, N]`, in [0, 1].
    window: J, at least 2.

  Returns:
    `[N]`, at least 0.
  """
  _, deviation = _moments(_probabilities(label_prob), window)
  return _mean(deviation)


def difficulty_uncertainty(
  *, label_prob: np.ndarray, window: int = WINDOW
) -> np.ndarray:
  """Mean over windows of the standard deviation times one minus the mean.

  DUAL of Cho, Shin, Kang & Yun (2025, arXiv:2502.06905), of the label's
  probability. They stop training early; here all recorded epochs count.

  Args:
    label_prob: `[E, N]`, in [0, 1].
    window: J, at least 2.

  Returns:
    `[N]`, at least 0.
  """
  mean, deviation = _moments(_probabilities(label_prob), window)
  return _mean(deviation * (1 - mean))


def temporal_dual_depth(
  *, loss: np.ndarray, window: int = WINDOW, decay: float = 0.9
) -> np.ndarray:
  """How unsteadily an example's loss moves, most of all in the last windows.

  TDDS of Zhang, Du, Li, Xie & Zhou (2024, arXiv:2311.13613), of the loss. The
  J epochs of window k have J - 1 steps |loss[t + 1] - loss[t]|; R_k is the root
  of the sum of their squared differences from their mean. The score is the sum
  over k = 1 … K of decay (1 - decay)^(K - k) R_k: with 0.9 the last window has
  nine tenths of the weight. Their code takes for a step the divergence between
  the predictions of two epochs, over all classes; the loss is the term of the
  label.

  Args:
    loss: `[E, N]`, cross-entropy with the label.
    window: J, at least 3.
    decay: beta, in (0, 1).

  Returns:
    `[N]`, at least 0. Where some windows do not have the example, the others
    are weighted up.
  """
  if not 0 < decay < 1:
    raise ValueError(f"`decay` must be in (0, 1). Received: decay={decay}")
  steps = np.abs(np.diff(dynamics.epochs_by_examples(loss), axis=0))
  # A window of J epochs has J - 1 steps.
  _, deviation = _moments(steps, window - 1)
  # The root of the sum: the sample's standard deviation times sqrt(J - 2).
  spread = deviation * np.sqrt(window - 2)
  weights = decay * (1 - decay) ** np.arange(len(spread))[::-1, None]
  known = ~np.isnan(spread)
  with np.errstate(invalid="ignore", divide="ignore"):
    total = (weights * np.where(known, spread, 0.0)).sum(axis=0)
    return total * weights.sum() / (weights * known).sum(axis=0)


def _probabilities(values: np.ndarray) -> np.ndarray:
  """`[E, N]` float64, checked to be probabilities."""
  values = dynamics.epochs_by_examples(values)
  if (values < 0).any() or (values > 1 + 1e-6).any():
    raise ValueError(
      "`label_prob` must be in [0, 1]: probabilities, not logits. Received: "
      f"from {np.nanmin(values)} to {np.nanmax(values)}"
    )
  return values


def _moments(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation (of a sample) in each window: `[K, N]`."""
  if window < 2:
    raise ValueError(
      "`window` must hold two probabilities, or two steps of the loss. "
      f"Received: {window}"
    )
  count = max(len(values) - window + 1, 0)
  means = np.full((count, values.shape[1]), np.nan)
  deviations = means.copy()
  for k in range(count):
    rows = values[k : k + window]
    known = ~np.isnan(rows)
    number = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
      means[k] = np.where(known, rows, 0.0).sum(axis=0) / number
      square = np.where(known, np.square(rows - means[k]), 0.0).sum(axis=0)
      variance = square / (number - 1)
    deviations[k] = np.sqrt(np.where(number < 2, np.nan, variance))
  return means, deviations


def _mean(values: np.ndarray) -> np.ndarray:
  """Mean over the windows that have the example; NaN without any."""
  known = ~np.isnan(values)
  with np.errstate(invalid="ignore"):
    return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
