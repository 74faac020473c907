"""In- and out-means of an outcome over runs."""

import numpy as np


def replicates(
  correct: np.ndarray, in_mask: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """In- and out-accuracy of every example under weights of the runs.

  Args:
    correct: `[M, N]` bool, of one size.
    in_mask: `[M, N]` bool.
    weights: `[R, M]`.

  Returns:
    Two `[R, N]` float64; NaN where a group is empty.
  """
  result = []
  for mask in (in_mask, ~in_mask):
    right = weights @ (correct & mask).astype(np.float64)
    count = weights @ mask.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
      result.append(right / count)
  return result[0], result[1]
