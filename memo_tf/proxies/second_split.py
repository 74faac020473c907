"""Second-split forgetting: how soon other training data erase an example."""

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
