"""How well membership of an example can be told from a model's confidence.

LiRA, the likelihood-ratio attack of Carlini et al. (2022, arXiv:2112.03570):
the logit-scaled probability of an example's label, log(p / (1 - p)), is taken
as normal with one mean and variance over the runs that trained on the example
(in) and with others over those that did not (out). An attacker who knows these
from other runs guesses "in" where the likelihood ratio is high.

The runs of a memorization study are all that this needs. A run is attacked with
the moments of the other runs (leave-one-run-out), so that no run helps to
attack itself.
"""

import dataclasses

import numpy as np
from scipy import stats

# With fewer runs, one variance of all examples serves each better than its own
# (Carlini et al., section VI-B).
MIN_RUNS_FOR_OWN_VARIANCE = 64
# Least that float32 tells from 0 and 1.
_LEAST = 2.0**-24
_SMALLEST_VARIANCE = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exposure:
  """How exposed N examples are, and how well an attack on M runs does.

  Attributes:
    separation: `[N]`, d' = (mean in - mean out) / sqrt((variance in + variance
      out) / 2); NaN where an example has fewer than two runs in either group
      or does not vary.
    example_auc: `[N]` in [0, 1], how well the attack tells the runs that
      trained on an example from the others.
    run_auc: `[M]` in [0, 1], how well it tells the examples that a run trained
      on from the others: 0.5 by chance.
    true_positives: `[M, F]`, the share of the examples that a run trained on
      which are found at a false positive rate of at most each of `rates`.
    rates: F false positive rates.
  """

  separation: np.ndarray
  example_auc: np.ndarray
  run_auc: np.ndarray
  true_positives: np.ndarray
  rates: tuple[float, ...]


def exposure(
  confidence: np.ndarray,
  in_mask: np.ndarray,
  *,
  rates: tuple[float, ...] = (0.001, 0.01),
  own_variance: bool | None = None,
) -> Exposure:
  """Attacks each run with the moments of the others.

  Args:
    confidence: `[M, N]` float, finite; from `logit_confidence`.
    in_mask: `[M, N]` bool.
    rates: false positive rates, in [0, 1).
    own_variance: whether the attack uses the variance of each example, or one
      of all examples; None: its own with 64 runs or more.

  Returns:
    An `Exposure`. Pairs of run and example whose groups have fewer than two
    other runs are left out of the attack.

  Raises:
    ValueError: if the shapes differ, `in_mask` is not boolean, or a confidence
      is not finite.
  """
  confidence = np.asarray(confidence, np.float64)
  in_mask = np.asarray(in_mask)
  if (
    confidence.ndim != 2
    or confidence.shape != in_mask.shape
    or in_mask.dtype != bool
  ):
    raise ValueError(
      "`confidence` must be [M, N] and `in_mask` [M, N] bool. Received: "
      f"{confidence.shape} and {in_mask.shape} of {in_mask.dtype}"
    )
  if not np.isfinite(confidence).all():
    raise ValueError(
      "`confidence` must be finite. Received: "
      f"{int((~np.isfinite(confidence)).sum())} values that are not"
    )
  if own_variance is None:
    own_variance = len(confidence) >= MIN_RUNS_FOR_OWN_VARIANCE
  ratio = likelihood_ratio(confidence, in_mask, own_variance=own_variance)
  run_auc = np.array([_auc(s, m) for s, m in zip(ratio, in_mask)])
  return Exposure(
    separation=separation(confidence, in_mask),
    example_auc=np.array([_auc(s, m) for s, m in zip(ratio.T, in_mask.T)]),
    run_auc=run_auc,
    true_positives=np.array(
      [[_found(s, m, rate) for rate in rates] for s, m in zip(ratio, in_mask)]
    ).reshape(len(ratio), len(rates)),
    rates=tuple(rates),
  )


def logit_confidence(
  label_probability: np.ndarray,
  margin: np.ndarray | None = None,
  num_classes: int | None = None,
) -> np.ndarray:
  """log(p / (1 - p)) of the label's probability p, float64 and finite.

  Near 1 a float32 probability does not tell 1 - p. The margin does, up to a
  constant: the logit lies between margin - log(C - 1) and margin, and is moved
  into these limits.

  Args:
    label_probability: in [0, 1], of any shape.
    margin: of the same shape, logit of the label minus the largest other; None
      if not known, and NaN where it is not.
    num_classes: C, at least 2; with `margin`.

  Returns:
    Confidences of the same shape. Without a margin, p is limited to what
    float32 tells from 0 and 1.
  """
  p = np.asarray(label_probability, np.float64)
  if margin is None:
    p = np.clip(p, _LEAST, 1 - _LEAST)
    return np.log(p) - np.log1p(-p)
  with np.errstate(divide="ignore"):
    found = np.log(p) - np.log1p(-p)
  high = np.asarray(margin, np.float64)
  known = np.isfinite(high)
  low = high - np.log(max((num_classes or 2) - 1, 1))
  limited = np.clip(p, _LEAST, 1 - _LEAST)
  rest = np.log(limited) - np.log1p(-limited)
  return np.where(known, np.clip(found, low, high), rest)


def separation(
  confidence: np.ndarray,
  in_mask: np.ndarray,
  weights: np.ndarray | None = None,
) -> np.ndarray:
  """d' of every example: `[N]`, or `[R, N]` with weights.

  Args:
    confidence, in_mask: as in `exposure`.
    weights: `[R, M]`, how often each run counts in each replicate.

  Returns:
    Values as in `Exposure.separation`. Variances are those of the sample (with
    n - 1), in replicates as in the runs as they are.
  """
  rows = np.ones((1, len(in_mask))) if weights is None else weights
  # Centred first, or squares would cancel.
  shifted = confidence - confidence.mean(axis=0)
  means, variances = [], []
  for member in (in_mask, ~in_mask):
    count = rows @ member.astype(np.float64)
    inside = np.where(member, shifted, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
      mean = rows @ inside / count
      squares = rows @ np.square(inside) - count * np.square(mean)
      variance = np.maximum(squares, 0) / (count - 1)
    means.append(mean)
    variances.append(np.where(count < 2, np.nan, variance))
  pooled = (variances[0] + variances[1]) / 2
  pooled[pooled <= _SMALLEST_VARIANCE] = np.nan
  found = (means[0] - means[1]) / np.sqrt(pooled)
  return found[0] if weights is None else found


def likelihood_ratio(
  confidence: np.ndarray, in_mask: np.ndarray, *, own_variance: bool
) -> np.ndarray:
  """`[M, N]`: log likelihood in minus out, moments from the other runs.

  Args:
    confidence, in_mask: as in `exposure`.
    own_variance: as in `exposure`.

  Returns:
    NaN where a group has fewer than two other runs.
  """
  shifted = confidence - confidence.mean(axis=0)
  likelihoods = []
  for member in (in_mask, ~in_mask):
    inside = np.where(member, shifted, 0.0)
    # Of all runs, less the run itself where it is of the group.
    count = member.sum(axis=0) - member
    total = inside.sum(axis=0) - inside
    squares = np.square(inside).sum(axis=0) - np.square(inside)
    with np.errstate(invalid="ignore", divide="ignore"):
      mean = total / count
      spread = np.maximum(squares - count * np.square(mean), 0)
      variance = spread / (count - 1)
      if not own_variance:  # of all examples, by run
        usable = count >= 2
        spread = np.where(usable, spread, 0).sum(axis=1, keepdims=True)
        degrees = np.where(usable, count - 1, 0).sum(axis=1, keepdims=True)
        variance = np.broadcast_to(spread / degrees, mean.shape)
    variance = np.maximum(variance, _SMALLEST_VARIANCE)
    log = -0.5 * (np.square(shifted - mean) / variance + np.log(variance))
    likelihoods.append(np.where(count < 2, np.nan, log))
  return likelihoods[0] - likelihoods[1]


def _auc(score: np.ndarray, member: np.ndarray) -> float:
  """Probability that a member scores higher; ties count one half."""
  known = ~np.isnan(score)
  score, member = score[known], member[known]
  num_in = int(member.sum())
  num_out = len(member) - num_in
  if not num_in or not num_out:
    return float("nan")
  total = stats.rankdata(score)[member].sum()
  return float((total - num_in * (num_in + 1) / 2) / (num_in * num_out))


def _found(score: np.ndarray, member: np.ndarray, rate: float) -> float:
  """Share of the members above the threshold of a false positive rate."""
  known = ~np.isnan(score)
  inside, outside = score[known & member], score[known & ~member]
  if not len(inside) or not len(outside):
    return float("nan")
  allowed = int(np.floor(rate * len(outside) + 1e-9))
  # So many of the others may be strictly above.
  threshold = np.sort(outside)[::-1][allowed]
  return float((inside > threshold).mean())
