"""Proxies from the finished model, and from models without the example."""

import numpy as np

from memo_tf.estimators import in_out
from memo_tf.proxies import dynamics


def final_loss(*, loss: np.ndarray) -> np.ndarray:
  """Cross-entropy at the last recorded epoch: `[N]`.

  Nearly constant on a network that fits all its labels.
  """
  return _last(loss)


def final_margin(*, margin: np.ndarray) -> np.ndarray:
  """The label's logit minus the largest other, at the last epoch: `[N]`."""
  return _last(margin)


def final_entropy(*, entropy: np.ndarray) -> np.ndarray:
  """Entropy of the prediction, in nats, at the last epoch: `[N]`."""
  return _last(entropy)


def self_confidence(
  *, label_prob: np.ndarray, in_mask: np.ndarray
) -> np.ndarray:
  """Mean probability of the label under the runs that held the example out.

  Out-of-sample, as in confident learning (Northcutt, Jiang & Chuang, 2021,
  arXiv:1911.00068).

  Args:
    label_prob: `[M, N]`, in [0, 1].
    in_mask: `[M, N]` bool.

  Returns:
    `[N]`; NaN where every run trained on the example.
  """
  return in_out.held_out_mean(label_prob, in_mask)


def dynamics_from_logits(
  logits: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
  """Training dynamics by their definitions.

  Args:
    logits: `[..., N, C]`, at least two classes.
    labels: `[N]` int.

  Returns:
    `[..., N]` float64 of `label_prob`, `max_prob`, `entropy` (nats, 0 ln 0 =
    0), `loss` (cross-entropy), `margin` (the label's logit minus the largest
    other), `el2n` (||p - onehot||_2), and bool `correct` (among equal logits
    the lowest class is predicted).
  """
  logits = np.asarray(logits, np.float64)
  labels = np.asarray(labels)
  if (
    logits.ndim < 2
    or logits.shape[-1] < 2
    or labels.shape != (logits.shape[-2],)
  ):
    raise ValueError(
      "`logits` must be [..., N, C] with C of at least 2, and `labels` [N]. "
      f"Received: {logits.shape} and {labels.shape}"
    )
  onehot = np.arange(logits.shape[-1]) == labels[:, None]
  onehot = np.broadcast_to(onehot, logits.shape)
  shifted = logits - logits.max(axis=-1, keepdims=True)
  log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
  p = np.exp(log_p)
  others = np.where(onehot, -np.inf, logits).max(axis=-1)
  return {
    "label_prob": np.where(onehot, p, 0.0).sum(axis=-1),
    "max_prob": p.max(axis=-1),
    "entropy": -np.where(p > 0, p * log_p, 0.0).sum(axis=-1),
    "loss": -np.where(onehot, log_p, 0.0).sum(axis=-1),
    "margin": np.where(onehot, logits, 0.0).sum(axis=-1) - others,
    "el2n": np.linalg.norm(p - onehot, axis=-1),
    "correct": logits.argmax(axis=-1) == labels,
  }


def _last(values: np.ndarray) -> np.ndarray:
  """Last row that has the example; NaN without any."""
  found = np.full(np.shape(values)[1:], np.nan)
  for row in dynamics.epochs_by_examples(values):
    found = np.where(np.isnan(row), found, row)
  return found
