"""Rank correlations, AUROC and overlap between two scores of the same examples.

Scores from correctness have many ties, so everything here is by average ranks.
The functions named `*_rows` do the same for many versions of the scores at
once, such as the replicates of a bootstrap; their arrays have no NaN.
"""

import numpy as np
from scipy import stats

CORRELATIONS = ("spearman", "pearson", "kendall")


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
  return float(auroc_rows(ranks(score[None]), positive[None])[0])


def precision(score: np.ndarray, positive: np.ndarray) -> float:
  """Share of positives among the k highest scores, k the number of positives.

  Where the k-th score is tied, the expected share over random orders of the
  tied examples. Examples with a NaN score are left out.

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


def correlation(one: np.ndarray, other: np.ndarray, kind: str) -> float:
  """Correlation of two scores over the examples that have both.

  Args:
    one, other: `[N]` float.
    kind: `spearman` (Pearson's of average ranks), `pearson`, or `kendall`
      (tau-b, which corrects for ties).

  Returns:
    A number in [-1, 1], or NaN if either does not vary.

  Raises:
    ValueError: if the shapes differ or `kind` is unknown.
  """
  if kind not in CORRELATIONS:
    raise ValueError(
      f"`kind` must be one of {CORRELATIONS}. Received: {kind!r}"
    )
  one, other = _paired(one, other)
  if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
    return float("nan")
  if kind == "kendall":
    return float(stats.kendalltau(one, other).statistic)
  if kind == "spearman":
    one, other = stats.rankdata(one), stats.rankdata(other)
  return float(pearson_rows(one[None], other[None])[0])


def top_overlap(one: np.ndarray, other: np.ndarray, count: int) -> float:
  """Share of the `count` highest of one score that are so in the other.

  Where the lowest of these is tied, the expected share over independent random
  orders of the tied examples.

  Args:
    one, other: `[N]` float; examples without both are left out.
    count: k, at least 1.

  Returns:
    A number in [0, 1]; k / N by chance. NaN if fewer than k examples have both.
  """
  one, other = _paired(one, other)
  if not 1 <= count <= len(one):
    return float("nan")
  return float(top_overlap_rows(one[None], other[None], count)[0])


def ranks(scores: np.ndarray) -> np.ndarray:
  """Average ranks, from 1, within each row of `[R, N]`."""
  return stats.rankdata(scores, axis=1)


def pearson_rows(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Pearson's correlation of each row of `[R, N]`; NaN where one is constant.

  Either may have a single row, which is then paired with all of the other's.
  """
  one, other = _unit(one), _unit(other)
  found = (one * other).sum(axis=1)
  return np.clip(found, -1, 1)


def auroc_rows(rank: np.ndarray, positive: np.ndarray) -> np.ndarray:
  """`auroc` of each row: `[R, N]` ranks and bools, or one row of either."""
  rank, positive = np.broadcast_arrays(rank, positive)
  count = positive.sum(axis=1)
  above = np.where(positive, rank, 0).sum(axis=1) - count * (count + 1) / 2
  with np.errstate(invalid="ignore", divide="ignore"):
    return above / (count * (positive.shape[1] - count))


def top_overlap_rows(
  one: np.ndarray, other: np.ndarray, count: int
) -> np.ndarray:
  """`top_overlap` of each row of `[R, N]`; one score may have a single row."""
  return (_top_share(one, count) * _top_share(other, count)).sum(axis=1) / count


def _top_share(scores: np.ndarray, count: int) -> np.ndarray:
  """`[R, N]`: probability of being among a row's highest, ties at random."""
  rank = scores.shape[1] - count
  threshold = np.partition(scores, rank, axis=1)[:, [rank]]
  above, tied = scores > threshold, scores == threshold
  left = count - above.sum(axis=1, keepdims=True)
  return above + tied * (left / tied.sum(axis=1, keepdims=True))


def _unit(scores: np.ndarray) -> np.ndarray:
  """Rows minus their mean, scaled to length 1; NaN where a row is constant."""
  scores = scores - scores.mean(axis=1, keepdims=True)
  size = np.abs(scores).max(axis=1, keepdims=True)
  with np.errstate(invalid="ignore", divide="ignore"):
    # Scaled first, so that no square overflows or underflows.
    scores = scores / size
    return scores / np.sqrt(np.square(scores).sum(axis=1, keepdims=True))


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


def _paired(one, other) -> tuple[np.ndarray, np.ndarray]:
  """Both scores of the examples that have both."""
  one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
  if one.shape != other.shape or one.ndim != 1:
    raise ValueError(
      f"Both scores must be [N]. Received: {one.shape} and {other.shape}"
    )
  known = ~np.isnan(one) & ~np.isnan(other)
  return one[known], other[known]
