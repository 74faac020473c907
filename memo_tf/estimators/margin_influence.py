"""Influence of pairs from margins: the same estimand, a stronger test.

Influence is how much likelier a test example is to be right in runs that
trained on a training example than in the others (`influence`). With few runs
Fisher's exact test on right and wrong finds no pair, since it is one of many.
The margins of the test example, the label's logit minus the largest other, tell
more: under the same null hypothesis, that they do not depend on which runs
trained on the training example, the difference of their two means follows
Student's t. Its variance is moderated by those of all test examples
(`moderated`; Smyth, 2004), on M - 2 + d0 degrees of freedom. The p-value is
one-sided, the q-value Benjamini & Hochberg's over the same pairs as that of
`influence_scores`. The influence itself is estimated as in `margin_groups`,
Phi of either mean over the standard deviation.
"""

import dataclasses

import numpy as np
from scipy import special
from scipy import stats

from memo_tf.estimators import influence_products
from memo_tf.estimators import moderated
from memo_tf.estimators import q_values as q_values_lib

# Pairs computed at a time.
_PAIRS = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarginInfluence:
  """Influence of P pairs from margins; arrays are `[P]`.

  Attributes:
    influence: float64 in [-1, 1]; NaN where a group has fewer than two runs or
      margins are all equal.
    q_value: of its being above 0; 1 where the influence is NaN.
    prior_degrees: d0 of the variances, see `moderated`.
  """

  influence: np.ndarray
  q_value: np.ndarray
  prior_degrees: float


def margin_influence(
  test_margin: np.ndarray,
  in_mask: np.ndarray,
  train_ids: np.ndarray,
  test_ids: np.ndarray,
  *,
  num_tested: int,
) -> MarginInfluence:
  """Estimates and tests the influence of pairs from margins.

  Args:
    test_margin: `[M, T]` finite floats, margins of test examples.
    in_mask: `[M, N]` bool, whether run m trained on example n.
    train_ids, test_ids: `[P]`, the pairs, as in `InfluencePairs`.
    num_tested: number of pairs over which q-values are taken.

  Returns:
    A `MarginInfluence` over the P pairs.

  Raises:
    ValueError: if shapes do not agree, `in_mask` is not boolean, a margin is
      not finite, or `num_tested` is below P.
  """
  margin, in_mask = influence_products.checked_runs(
    test_margin, in_mask, "test_margin"
  )
  if not np.isfinite(margin).all():
    raise ValueError(
      "`test_margin` must be finite. Received: "
      f"{int((~np.isfinite(margin)).sum())} values that are not"
    )
  if num_tested < len(train_ids):
    raise ValueError(
      "`num_tested` must be at least the number of pairs. Received: "
      f"{num_tested} with {len(train_ids)} pairs"
    )
  runs = len(margin)
  mean = margin.mean(axis=0, dtype=np.float64)
  variance = margin.var(axis=0, dtype=np.float64) * runs / max(runs - 1, 1)
  law = moderated.moderated_variance(
    variance, np.full(len(mean), runs - 1), mean
  )
  influence, p_value = np.full((2, len(train_ids)), np.nan)
  for start in range(0, len(train_ids), _PAIRS):
    part = slice(start, start + _PAIRS)
    influence[part], p_value[part] = _of_pairs(
      margin[:, test_ids[part]].astype(np.float64),
      in_mask[:, train_ids[part]],
      law.prior[test_ids[part]],
      law.prior_degrees,
    )
  p_value[np.isnan(p_value)] = 1.0
  return MarginInfluence(
    influence=influence,
    q_value=q_values_lib.q_values(p_value, num_tested),
    prior_degrees=law.prior_degrees,
  )


def _of_pairs(values, inside, prior, prior_degrees):
  """Influence and p-value of pairs.

  Args:
    values: `[M, P]`, margins of the pairs' test examples.
    inside: `[M, P]` bool, which runs trained on their training examples.
    prior: `[P]`, variance by the law of all test examples.
    prior_degrees: of freedom; NaN without a law.
  """
  means, counts, squares = [], [], np.zeros(values.shape[1])
  with np.errstate(divide="ignore", invalid="ignore"):
    for members in (inside, ~inside):
      count = members.sum(axis=0)
      mean = np.where(members, values, 0.0).sum(axis=0) / count
      squares += np.where(members, np.square(values - mean), 0.0).sum(axis=0)
      means.append(mean)
      counts.append(np.where(count < 2, np.nan, count))
    degrees = len(values) - 2.0
    variance = squares / degrees
    if not np.isnan(prior_degrees):
      total = prior_degrees + degrees
      variance = (prior_degrees * prior + squares) / total
      degrees = total
    deviation = np.where(squares > 0, np.sqrt(variance), np.nan)
    difference = means[0] - means[1]
    error = deviation * np.sqrt(1 / counts[0] + 1 / counts[1])
    right = [
      special.ndtr(mean / (deviation * np.sqrt(1 - 1 / count)))
      for mean, count in zip(means, counts)
    ]
    return right[0] - right[1], stats.t.sf(difference / error, degrees)
