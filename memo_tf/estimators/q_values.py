"""Benjamini & Hochberg's adjusted p-values."""

import numpy as np


def q_values(p_value: np.ndarray, num_tested: int) -> np.ndarray:
  """Benjamini & Hochberg's (1995) adjusted p-values.

  Args:
    p_value: `[P]` in [0, 1], without NaN.
    num_tested: number of all tests, at least P. Tests that are not among these
      count as less significant.

  Returns:
    `[P]` in [0, 1]: the least false discovery rate at which each is rejected.
  """
  order = np.argsort(p_value)
  ranks = np.arange(1, len(order) + 1)
  adjusted = p_value[order] * num_tested / ranks
  adjusted = np.minimum.accumulate(adjusted[::-1])[::-1]
  result = np.empty(len(order))
  result[order] = np.minimum(adjusted, 1.0)
  return result
