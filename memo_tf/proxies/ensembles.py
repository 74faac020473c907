"""Proxies from many runs: consistency, disagreement, membership."""

from collections.abc import Sequence
import itertools

import numpy as np

from memo_tf.estimators import exposure
from memo_tf.estimators import in_out

_EXAMPLES_AT_A_TIME = 4096
DIVERGENCES = ("jensen_shannon", "symmetric_kl")


def cscore(*, correct: np.ndarray, in_mask: np.ndarray) -> np.ndarray:
  """Share of correct runs among those that held the example out.

  The C-score at a single subset ratio (Jiang, Zhang, Talwar & Mozer, 2021,
  arXiv:2002.03206).

  Args:
    correct: `[M, N]` bool, or 0 and 1.
    in_mask: `[M, N]` bool.

  Returns:
    `[N]`; NaN where every run trained on the example.
  """
  return in_out.held_out_mean(correct, in_mask)


def cscore_profile(
  *,
  family_correct: Sequence[np.ndarray],
  family_in_mask: Sequence[np.ndarray],
) -> np.ndarray:
  """C-score, the unweighted mean of `cscore` over subset ratios.

  Args:
    family_correct: one array `[M, N]` bool per ratio.
    family_in_mask: one array `[M, N]` bool per ratio.

  Returns:
    `[N]`; NaN where at some ratio every run trained on the example.
  """
  if not len(family_correct) or len(family_correct) != len(family_in_mask):
    raise ValueError(
      "A profile takes one array of outcomes and one mask per subset ratio. "
      f"Received: {len(family_correct)} and {len(family_in_mask)}"
    )
  return np.mean(
    [
      in_out.held_out_mean(c, m) for c, m in zip(family_correct, family_in_mask)
    ],
    axis=0,
  )


def membership_separation(
  *, confidence: np.ndarray, in_mask: np.ndarray
) -> np.ndarray:
  """How far apart an example's confidence is in and out of the subset.

  d' of LiRA (Carlini et al., 2022, arXiv:2112.03570): the difference of both
  means over the root of the mean of both variances. Like memorization itself it
  compares runs that trained on the example with others.

  Args:
    confidence: `[M, N]`, finite; from `exposure.logit_confidence`.
    in_mask: `[M, N]` bool.

  Returns:
    `[N]`; NaN where either group has fewer than two runs or nothing varies.
  """
  found = np.full(np.shape(in_mask)[1], np.nan)
  for start in range(0, len(found), _EXAMPLES_AT_A_TIME):
    part = slice(start, start + _EXAMPLES_AT_A_TIME)
    some = np.asarray(confidence[:, part], np.float64)
    found[part] = exposure.separation(some, in_mask[:, part])
  return found


def ensemble_disagreement(
  *, probabilities: np.ndarray, divergence: str = "jensen_shannon"
) -> np.ndarray:
  """Mean divergence between the predictions of two runs, over all pairs.

  `agr` of Carlini, Erlingsson & Papernot (2019, arXiv:1910.13427), in nats.

  Args:
    probabilities: `[R, N, C]` of R runs, at least two.
    divergence: `jensen_shannon` (0 to ln 2), or `symmetric_kl`: the mean of
      both directions, probabilities floored at 1e-10.

  Returns:
    `[N]`; 0 where all runs predict the same.
  """
  probabilities = np.asarray(probabilities)
  if probabilities.ndim != 3 or len(probabilities) < 2:
    raise ValueError(
      "`probabilities` must be [R, N, C] of at least two runs. Received: "
      f"{probabilities.shape}"
    )
  if divergence not in DIVERGENCES:
    raise ValueError(
      f"`divergence` must be one of {DIVERGENCES}. Received: {divergence!r}"
    )
  runs, num_examples, _ = probabilities.shape
  found = np.zeros(num_examples)
  for start in range(0, num_examples, _EXAMPLES_AT_A_TIME):
    part = slice(start, start + _EXAMPLES_AT_A_TIME)
    some = probabilities[:, part].astype(np.float64)
    if (some < 0).any() or (np.abs(some.sum(axis=-1) - 1) > 1e-3).any():
      raise ValueError("`probabilities` must be at least 0 and sum to 1")
    pairs = itertools.combinations(some, 2)
    if divergence == "jensen_shannon":
      total = sum(_entropy((p + q) / 2) for p, q in pairs)
      own = _entropy(some).sum(axis=0) * (runs - 1) / 2
      # Rounding must not make a divergence negative.
      found[part] = np.maximum(total - own, 0.0)
    else:
      logs = np.log(np.maximum(some, 1e-10))
      found[part] = sum(
        ((some[i] - some[j]) * (logs[i] - logs[j])).sum(axis=-1) / 2
        for i, j in itertools.combinations(range(runs), 2)
      )
  return found / (runs * (runs - 1) / 2)


def _entropy(p: np.ndarray) -> np.ndarray:
  """Entropy in nats over the last axis, 0 ln 0 = 0."""
  return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)
