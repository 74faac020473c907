"""How well one score finds or follows another.

Scores from correctness tie massively, so everything here is by average ranks.
"""

import numpy as np
from scipy import stats


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
  """Probability that a positive example scores higher than a negative one.

  Ties count one half (Mann & Whitney, 1947). Examples with a NaN score are
  left out.

  Args:
    score: `[N]` float.
    positive: `[N]` bool.

  Returns:
    A number in [0, 1], or NaN if there are no positives or no negatives.
  """
  score, positive = _known(score, positive)
  num_positive, num_negative = int(positive.sum()), int((~positive).sum())
  if not num_positive or not num_negative:
    return float("nan")
  ranks = stats.rankdata(score)
  above = ranks[positive].sum() - num_positive * (num_positive + 1) / 2
  return float(above / (num_positive * num_negative))


def precision(score: np.ndarray, positive: np.ndarray) -> float:
  """Which part of the k highest scores is positive, k the number of positives.

  Where the k-th score is tied, the expected part over random orders of the
  tied. Examples with a NaN score are left out.

  Args:
    score: `[N]` float.
    positive: `[N]` bool.

  Returns:
    A number in [0, 1], or NaN if there are no positives.
  """
  score, positive = _known(score, positive)
  count = int(positive.sum())
  if not count:
    return float("nan")
  threshold = np.sort(score)[-count]
  above, tied = score > threshold, score == threshold
  share = (count - above.sum()) / tied.sum()
  return float((positive[above].sum() + share * positive[tied].sum()) / count)


def _known(score, positive) -> tuple[np.ndarray, np.ndarray]:
  """Both arrays without the examples whose score is NaN; checks them."""
  score, positive = np.asarray(score, np.float64), np.asarray(positive)
  if score.shape != positive.shape or score.ndim != 1 or positive.dtype != bool:
    raise ValueError(
      "`score` must be [N] and `positive` [N] bool. Received: "
      f"{score.shape} and {positive.shape} of {positive.dtype}"
    )
  known = ~np.isnan(score)
  return score[known], positive[known]
