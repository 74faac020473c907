"""Standard errors and confidence intervals of a difference of two means.

Newcombe's interval is for proportions and stays sensible where all runs agree;
Welch's is for outcomes that are any number.
"""

import numpy as np
from scipy import stats


def plug_in_error(
  mean_in: np.ndarray,
  num_in: np.ndarray,
  mean_out: np.ndarray,
  num_out: np.ndarray,
) -> np.ndarray:
  """Plug-in standard error of a difference of proportions.

  sqrt(a(1 - a) / num_in + b(1 - b) / num_out); NaN where a count is 0.
  """
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.sqrt(
      mean_in * (1 - mean_in) / num_in + mean_out * (1 - mean_out) / num_out
    )


def wilson_interval(
  mean: np.ndarray, count: np.ndarray, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
  """Wilson's score interval (1927) of a proportion; NaN where count is 0.

  Args:
    mean: the proportion, any shape, in [0, 1].
    count: number of trials.
    confidence: in (0, 1).

  Returns:
    Lower and upper limits.
  """
  z = stats.norm.ppf(0.5 + confidence / 2)
  with np.errstate(divide="ignore", invalid="ignore"):
    centre = mean + z**2 / (2 * count)
    spread = z * np.sqrt(mean * (1 - mean) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    low, high = (centre - spread) / scale, (centre + spread) / scale
  # At 0 and 1 the limits are exact; rounding must not lead beyond them.
  return np.where(mean == 0, 0.0, low), np.where(mean == 1, 1.0, high)


def newcombe_interval(
  mean_in: np.ndarray,
  num_in: np.ndarray,
  mean_out: np.ndarray,
  num_out: np.ndarray,
  confidence: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
  """Newcombe's interval (1998, method 10) of a difference of proportions.

  Args:
    mean_in, mean_out: the two proportions, any shape, in [0, 1].
    num_in, num_out: their numbers of trials.
    confidence: in (0, 1).

  Returns:
    Lower and upper limits of mean_in - mean_out; NaN where a count is 0.
  """
  low_in, high_in = wilson_interval(mean_in, num_in, confidence)
  low_out, high_out = wilson_interval(mean_out, num_out, confidence)
  difference = mean_in - mean_out
  below = np.sqrt((mean_in - low_in) ** 2 + (high_out - mean_out) ** 2)
  above = np.sqrt((high_in - mean_in) ** 2 + (mean_out - low_out) ** 2)
  return difference - below, difference + above


def welch_interval(
  mean_in: np.ndarray,
  variance_in: np.ndarray,
  num_in: np.ndarray,
  mean_out: np.ndarray,
  variance_out: np.ndarray,
  num_out: np.ndarray,
  confidence: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Welch's interval (1947) of the difference of two means.

  Args:
    mean_in, mean_out: the two means, any shape.
    variance_in, variance_out: sample variances; NaN if unknown.
    num_in, num_out: sample sizes.
    confidence: in (0, 1).

  Returns:
    Standard error, lower and upper limit of mean_in - mean_out; NaN where a
    variance is.
  """
  with np.errstate(divide="ignore", invalid="ignore"):
    part_in, part_out = variance_in / num_in, variance_out / num_out
    error = np.sqrt(part_in + part_out)
    degrees = (part_in + part_out) ** 2 / (
      part_in**2 / (num_in - 1) + part_out**2 / (num_out - 1)
    )
  degrees = np.where(error == 0, 1.0, degrees)
  half = stats.t.ppf(0.5 + confidence / 2, degrees) * error
  difference = mean_in - mean_out
  return error, difference - half, difference + half
