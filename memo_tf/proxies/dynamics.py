"""Proxies from training dynamics, the outputs of each example at each epoch.

Every array is `[E, N]`, one row per recorded epoch: from clean images in
evaluation mode, or from the training batch, NaN where the example was not
presented. Means are over the epochs in which the example has a value, and NaN
without any.
"""

import numpy as np


def cumulative_accuracy(*, correct: np.ndarray) -> np.ndarray:
  """Share of recorded epochs with a correct prediction: `[N]`.

  Jiang, Zhang, Talwar & Mozer (2021, arXiv:2002.03206).
  """
  return _mean(correct)


def cumulative_probability(*, label_prob: np.ndarray) -> np.ndarray:
  """Mean probability of the label: `[N]`.

  In our reading this is `cprox` of Lukasik et al. (2024).
  """
  return _mean(label_prob)


def cumulative_max_confidence(*, max_prob: np.ndarray) -> np.ndarray:
  """Mean of the largest probability, whichever class has it: `[N]`."""
  return _mean(max_prob)


def cumulative_negative_entropy(*, entropy: np.ndarray) -> np.ndarray:
  """Mean of sum_k p_k ln p_k, which is at most 0: `[N]`."""
  return -_mean(entropy)


def cartography_confidence(*, label_prob: np.ndarray) -> np.ndarray:
  """Mean probability of the label (Swayamdipta et al., 2020): `[N]`."""
  return _mean(label_prob)


def cartography_variability(
  *, label_prob: np.ndarray, finite_sample: bool = False
) -> np.ndarray:
  """Standard deviation over epochs of the label's probability: `[N]`.

  Swayamdipta et al. (2020, arXiv:2009.10795).

  Args:
    label_prob: `[E, N]`.
    finite_sample: their code's `include_ci`: sqrt(v + v^2 / (E - 1)), v the
      variance; NaN with fewer than two epochs.
  """
  values = epochs_by_examples(label_prob)
  known = ~np.isnan(values)
  square = np.where(known, np.square(values - _mean(values)), 0.0)
  with np.errstate(invalid="ignore", divide="ignore"):
    variance = square.sum(axis=0) / known.sum(axis=0)
    if finite_sample:
      count = known.sum(axis=0)
      variance = variance + np.square(variance) / (count - 1)
      variance[count < 2] = np.nan
  return np.sqrt(variance)


def aleatoric_uncertainty(*, label_prob: np.ndarray) -> np.ndarray:
  """Mean over epochs of p (1 - p), p the label's probability: `[N]`.

  Data-IQ (Seedat, Crabbé, Bica & van der Schaar, 2022, arXiv:2210.13043): large
  for ambiguous examples, small for those that are always right or always wrong.
  """
  p = epochs_by_examples(label_prob)
  return _mean(p * (1 - p))


def cartography_correctness(*, correct: np.ndarray) -> np.ndarray:
  """Number of recorded epochs with a correct prediction: `[N]`."""
  values = epochs_by_examples(correct)
  known = ~np.isnan(values)
  count = np.where(known, values, 0.0).sum(axis=0)
  return np.where(known.any(axis=0), count, np.nan)


def forgetting_events(*, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Number of times an example is correct, then wrong when next presented.

  Toneva et al. (2019, arXiv:1812.05159). For an example that is never correct
  their code returns the number of presentations, other code infinity or 1000;
  here it is NaN, and the mask says so.

  Args:
    correct: `[E, N]`.

  Returns:
    `[N]` counts, and `[N]` bool: presented, and never correct.
  """
  values = epochs_by_examples(correct)
  events = np.zeros(values.shape[1])
  last = np.full(values.shape[1], np.nan)
  for row in values:
    events += (last == 1) & (row == 0)
    last = np.where(np.isnan(row), last, row)
  learned = (values == 1).any(axis=0)
  never = ~learned & ~np.isnan(last)
  return np.where(learned, events, np.nan), never


def first_learned(
  *, correct: np.ndarray, epochs: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """First recorded epoch with a correct prediction.

  Args:
    correct: `[E, N]`.
    epochs: `[E]`, number of epochs finished at each row; None: 1 to E.

  Returns:
    `[N]` epochs, and `[N]` bool: recorded, and never correct.
  """
  values = epochs_by_examples(correct)
  right = values == 1
  learned = right.any(axis=0)
  when = _epochs(epochs, len(values))[right.argmax(axis=0)]
  never = ~learned & ~np.isnan(values).all(axis=0)
  return np.where(learned, when, np.nan), never


def learned_for_good(
  *, correct: np.ndarray, epochs: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """First recorded epoch from which on the example stays correct.

  "Iteration learned" of Baldock, Maennel & Neyshabur (2021, arXiv:2106.09647).
  They compare with the final prediction; this function, like other code, with
  the label.

  Args:
    correct, epochs: as in `first_learned`.

  Returns:
    As `first_learned`; an example that is wrong at its last recorded epoch is
    never learned for good.
  """
  values = epochs_by_examples(correct)
  numbers = _epochs(epochs, len(values))
  since = np.full(values.shape[1], np.nan)
  for number, row in zip(numbers, values):
    since = np.where((row == 1) & np.isnan(since), number, since)
    since[row == 0] = np.nan
  never = np.isnan(since) & ~np.isnan(values).all(axis=0)
  return since, never


def area_under_margin(*, margin: np.ndarray) -> np.ndarray:
  """Mean margin of the logits: `[N]`.

  Pleiss et al. (2020, arXiv:2001.10528).
  """
  return _mean(margin)


def el2n(
  *, el2n: np.ndarray, epochs: np.ndarray | None = None, at: float | None = 0.1
) -> np.ndarray:
  """Norm of the error, softmax minus one-hot, early in training.

  Paul, Ganguli & Dziugaite (2021, arXiv:2107.07075) take one early epoch and
  average over runs.

  Args:
    el2n: `[E, N]`.
    epochs: `[E]`; None: 1 to E.
    at: fraction of training that has passed, in (0, 1]: the nearest recorded
      epoch is taken (the earlier of two). None: the mean over all epochs, as in
      other code.

  Returns:
    `[N]`.
  """
  return at_part(el2n, epochs, at)


def summed_loss(*, loss: np.ndarray) -> np.ndarray:
  """Cumulative sample loss, the sum over recorded epochs: `[N]`.

  Ravikumar et al. (2025). Where some epochs lack the example, the mean of the
  other epochs replaces them, so that examples remain comparable.
  """
  return len(loss) * _mean(loss)


def at_part(
  values: np.ndarray, epochs: np.ndarray | None, at: float | None
) -> np.ndarray:
  """Row nearest to a fraction of training, or the mean over rows: `[N]`.

  Args:
    values: `[E, N]`.
    epochs: `[E]`, ascending; None: 1 to E.
    at: the fraction, in (0, 1]; None: the mean.
  """
  values = epochs_by_examples(values)
  if at is None:
    return _mean(values)
  if not 0 < at <= 1:
    raise ValueError(f"`at` must be in (0, 1], or None. Received: at={at}")
  numbers = _epochs(epochs, len(values))
  return values[np.abs(numbers - at * numbers[-1]).argmin()].copy()


def epochs_by_examples(values: np.ndarray) -> np.ndarray:
  """Values as `[E, N]` float64, checked to have at least one row."""
  values = np.asarray(values)
  if values.ndim != 2 or not len(values):
    raise ValueError(
      "A run output must be [E, N], one row per epoch or checkpoint. "
      f"Received: {values.shape}"
    )
  return values.astype(np.float64)


def _mean(values: np.ndarray) -> np.ndarray:
  """Mean over the rows that have the example; NaN without any."""
  values = epochs_by_examples(values)
  known = ~np.isnan(values)
  with np.errstate(invalid="ignore"):
    return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)


def _epochs(epochs: np.ndarray | None, count: int) -> np.ndarray:
  """`[E]` float64, checked to ascend."""
  if epochs is None:
    return np.arange(1.0, count + 1)
  epochs = np.asarray(epochs, np.float64)
  if epochs.shape != (count,) or (np.diff(epochs) <= 0).any():
    raise ValueError(
      f"`epochs` must be [{count}], ascending. Received: {epochs.tolist()}"
    )
  return epochs
