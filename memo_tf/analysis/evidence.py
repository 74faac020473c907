"""What counts as a finding: the one rule that every section and file follows.

* A mean (of scores, of a change between sizes) rises or falls if its 95 %
  interval excludes 0. Otherwise nothing is said of its direction.
* A single image or pair, one of many that are looked at, is named if its
  q-value is at most 0.05: of those named about 5 % at most are chance.
* An image is memorized for certain if the lower end of its score's 95 %
  interval is above 0.5.
* A label is suspected to be wrong if most held-out models say one other class:
  the lower end of Wilson's 95 % interval of their share is above 0.5.
* Models have fitted if their accuracy on their own subsets is at least 0.9.
"""

import numpy as np

from memo_tf.estimators import intervals

MAX_Q_VALUE = 0.05
MEMORIZED = 0.5
MAJORITY = 0.5
FITTED = 0.9
RISES, FALLS, UNSURE = "rises", "falls", "unsure"


def direction(low: float, high: float) -> str:
  """Whether a quantity with this 95 % interval rises, falls, or neither."""
  if low > 0:
    return RISES
  return FALLS if high < 0 else UNSURE


def is_named(q_value: np.ndarray) -> np.ndarray:
  """bool, of q-values of any shape: which may be named; NaN may not."""
  return np.asarray(q_value) <= MAX_Q_VALUE


def is_memorized(ci_low: np.ndarray) -> np.ndarray:
  """bool `[N]`: memorized for certain, from the lower ends `[N]`."""
  return np.asarray(ci_low) > MEMORIZED


def suspected_share(votes: np.ndarray, num_out: np.ndarray) -> np.ndarray:
  """Lower end of the share of held-out models that say one other class.

  Args:
    votes: `[N]` int, how many of them say the most frequent other class.
    num_out: `[N]` int, how many there are.

  Returns:
    `[N]` float in [0, 1]: the lower end of Wilson's 95 % interval; 0 without
    held-out models. Above `MAJORITY` the label is suspected to be wrong.
  """
  votes, num_out = np.asarray(votes), np.asarray(num_out)
  known = num_out > 0
  share = votes[known] / num_out[known]
  low = np.zeros(len(votes))
  low[known] = intervals.wilson_interval(share, num_out[known])[0]
  return low


def fits(in_accuracy: float) -> bool:
  """Whether models with this accuracy on their own subsets have fitted."""
  return bool(in_accuracy >= FITTED)
