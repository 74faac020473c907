"""Proxies from a second training, on data that the first one held out."""

import numpy as np

from memo_tf.proxies import dynamics


def second_split_forgetting(
  *, correct: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Epoch of the second training from which on an example stays wrong.

  A model is trained on one half of the data and then on the other; at each
  epoch of the second training the first half is evaluated (Maini, Garg, Lipton
  & Kolter, 2022, arXiv:2210.15031). 1: wrong at every epoch. For an example
  that is correct at the end their code returns E + 1; here it is NaN, and the
  mask says so. Wrong labels are forgotten early; rare examples are not, though
  memorized.

  Args:
    correct: `[E, N]`, NaN for examples that are not in the first half.

  Returns:
    `[N]`, 1 to E, and `[N]` bool: in the first half, and correct at the end.
  """
  values = dynamics.epochs_by_examples(correct)
  last_right = np.zeros(values.shape[1])
  for number, row in enumerate(values, start=1):
    last_right[row == 1] = number
  recorded = ~np.isnan(values).all(axis=0)
  never = recorded & (values[-1] == 1)
  return np.where(recorded & ~never, last_right + 1, np.nan), never


def holdout_retraining(
  *, divergence: np.ndarray, at: float | None = 1.0
) -> np.ndarray:
  """How far training on held-out data moves the prediction of an example.

  `ret` of Carlini, Erlingsson & Papernot (2019, arXiv:1910.13427): the mean of
  KL(p || q) and KL(q || p), in nats, of the predictions p before and q after
  the second training. Well-represented examples move little.

  Args:
    divergence: `[E, N]`, after each epoch of the second training, NaN for
      examples that were not in the first; from `symmetric_divergence`.
    at: fraction of the second training, in (0, 1], after which q is taken;
      None: the mean over its epochs.

  Returns:
    `[N]`, at least 0.
  """
  return dynamics.at_part(divergence, None, at)


def symmetric_divergence(before: np.ndarray, after: np.ndarray) -> np.ndarray:
  """Mean of KL(p || q) and KL(q || p) between predictions, in nats.

  From logits, so that no probability must be kept from 0.

  Args:
    before: `[..., C]` float, the logits of p.
    after: of the same shape, the logits of q.

  Returns:
    `[...]` float64, at least 0.
  """
  log_p, log_q = _log_softmax(before), _log_softmax(after)
  terms = (np.exp(log_p) - np.exp(log_q)) * (log_p - log_q)
  return terms.sum(axis=-1) / 2


def _log_softmax(logits: np.ndarray) -> np.ndarray:
  logits = np.asarray(logits, np.float64)
  shifted = logits - logits.max(axis=-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
