"""Shares of the shape classes with the noise taken out, and their intervals.

The estimate is the weight of a class under the law fitted by module `noise`,
less its bias. For the bias, studies are simulated
from the fitted law (a true trajectory for each example from its posterior, new
noise), the whole estimation is repeated on each, and the mean difference from
the simulated shares is subtracted. The standard error has four parts, added in
squares:

* the larger of the standard deviation over these simulated studies and of a
  jackknife over groups of blocks of runs (all sizes lose the same runs): the
  latter includes errors that many examples have in common since they share
  runs;
* half of the bias subtracted, which is itself an estimate;
* half of the change of the share when `min_change` moves up and down by a
  quarter of the median standard error of a difference: the noise blurs where a
  change begins to count;
* 0.5 / N: a share is a whole number of examples.

The interval is the estimate plus and minus 1.96 standard errors, in [0, 1].
"""

import dataclasses

import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import noise
from memo_tf.estimators import in_out
from memo_tf.estimators import intervals
from memo_tf.estimators import resampling

NUM_SIMULATED = 10
NUM_GROUPS = 8
NORMAL_95 = 1.959964


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectoryEvidence:
  """Scores of N examples over S sizes, with their errors.

  Attributes:
    memorization: `[S, N]`; NaN where an example was never in or never out.
    standard_error: `[S, N]`, with (k + 1/2) / (n + 1) for k correct of n runs,
      so that unanimous runs do not count as certainty.
    correlation: `[S, S]`, of an example's errors over sizes, pooled over
      examples.
  """

  memorization: np.ndarray
  standard_error: np.ndarray
  correlation: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeShare:
  """Share of one shape class.

  Attributes:
    shape_class: of `SHAPE_CLASSES`.
    measured: share of the noisy trajectories by the plain rule.
    share, ci_low, ci_high: of the true trajectories, with a 95 % interval.
    standard_error: of `share`.
  """

  shape_class: str
  measured: float
  share: float
  ci_low: float
  ci_high: float
  standard_error: float


def evidence(correct: np.ndarray, in_mask: np.ndarray) -> TrajectoryEvidence:
  """Scores, standard errors and their correlation over sizes.

  Args:
    correct: `[S, M, N]` bool, of sizes that share their subsets.
    in_mask: `[M, N]` bool.
  """
  correct, in_mask = np.asarray(correct), np.asarray(in_mask)
  if correct.ndim != 3 or correct.shape[1:] != in_mask.shape:
    raise ValueError(
      "`correct` must be [S, M, N] and `in_mask` [M, N]. Received: "
      f"{correct.shape} and {in_mask.shape}"
    )
  num_sizes = len(correct)
  scores, variance = np.zeros((2, num_sizes, in_mask.shape[1]))
  covariance = np.zeros((num_sizes, num_sizes))
  for sign, mask in ((1, in_mask), (-1, ~in_mask)):
    sums = [in_out.group_sums(c, mask) for c in correct]
    right, count = np.stack([total for total, _ in sums]), sums[0][1]
    with np.errstate(divide="ignore", invalid="ignore"):
      mean = right / count
      smooth = (right + 0.5) / (count + 1)
      scores = scores + sign * mean
      variance = variance + smooth * (1 - smooth) / count
      for s in range(num_sizes):
        for t in range(s, num_sizes):
          both = in_out.group_sums(correct[s] & correct[t], mask)[0] / count
          value = np.nansum((both - mean[s] * mean[t]) / count)
          covariance[s, t] += value
          covariance[t, s] = covariance[s, t]
  scale = np.sqrt(np.diag(covariance))
  with np.errstate(divide="ignore", invalid="ignore"):
    correlation = covariance / scale / scale[:, None]
  correlation = np.nan_to_num(correlation, posinf=0.0, neginf=0.0)
  np.fill_diagonal(correlation, 1.0)
  error = np.where(np.isnan(scores), np.nan, np.sqrt(variance))
  return TrajectoryEvidence(
    memorization=scores, standard_error=error, correlation=correlation
  )


def flat_standard_error(correct: np.ndarray, in_mask: np.ndarray) -> np.ndarray:
  """Standard error of a score if it does not depend on size, `[N]`.

  Plug-in, with the accuracies of all sizes together and the runs of one size.

  Args:
    correct: `[S, M, N]` bool.
    in_mask: `[M, N]` bool.
  """
  sums = [in_out.in_out_sums(c, in_mask) for c in correct]
  in_mean, out_mean = np.mean([s.means() for s in sums], axis=0)
  return intervals.plug_in_error(
    in_mean, sums[0].num_in, out_mean, sums[0].num_out
  )


def shape_shares(
  correct: np.ndarray,
  in_mask: np.ndarray,
  *,
  block: int | np.ndarray = 1,
  min_change: float = 0.2,
  rule: str = "default",
  num_simulated: int = NUM_SIMULATED,
  seed: int = 0,
) -> list[ShapeShare]:
  """Estimates the share of each shape class among the true trajectories.

  Args:
    correct: `[S, M, N]` bool, of sizes that share their subsets.
    in_mask: `[M, N]` bool.
    block: as in `resampling.block_of_run`.
    min_change, rule: as in `classify_trajectories`.
    num_simulated: number of simulated studies, at least 4.
    seed: of the simulated studies.

  Returns:
    A `ShapeShare` for each of `SHAPE_CLASSES`; NaN if no example has scores.
  """
  if num_simulated < 4:
    raise ValueError(
      f"`num_simulated` must be at least 4. Received: {num_simulated}"
    )
  found = evidence(correct, in_mask)
  known = ~np.isnan(found.memorization).any(axis=0)
  if not known.any():
    return [_share(name, np.nan, np.nan, np.nan) for name in _NAMES]
  rng = np.random.default_rng(seed)
  ids = np.flatnonzero(known)
  if len(ids) > noise.MAX_FITTED:
    ids = np.sort(rng.permutation(ids)[: noise.MAX_FITTED])
  values = found.memorization[:, ids]
  errors = noise.usable_standard_error(found.standard_error[:, ids])
  law, shares = _estimate(values, errors, found.correlation, min_change, rule)
  difference = []
  for r in range(num_simulated):
    truth = law.atoms[:, law.draw(values, errors, rng)]
    again = truth + law.noise(errors, rng)
    _, estimate = _estimate(
      again, errors, found.correlation, min_change, rule, seed=r + 1
    )
    difference.append(estimate - _measured(truth, min_change, rule))
  bias = np.mean(difference, axis=0)
  spread = np.std(difference, axis=0, ddof=1)
  jackknife = _jackknife(
    correct[:, :, ids], in_mask[:, ids], block, min_change, rule
  )
  error = np.sqrt(
    np.square(np.fmax(spread, jackknife))
    + np.square(bias / 2)
    + np.square(_blur(law, errors, min_change, rule))
    + np.square(0.5 / len(ids))
  )
  measured = classify.classify_trajectories(
    found.memorization,
    found.standard_error if rule == "z" else None,
    min_change=min_change,
    rule=rule,
    correlation=found.correlation,
  ).shares()
  corrected = np.clip(shares - bias, 0, 1)
  corrected = corrected / max(corrected.sum(), 1e-12)
  return [
    _share(name, measured[name], corrected[k], error[k])
    for k, name in enumerate(_NAMES)
  ]


_NAMES = classify.SHAPE_CLASSES


def _share(name, measured, share, error) -> ShapeShare:
  half = NORMAL_95 * error
  return ShapeShare(
    shape_class=name,
    measured=float(measured),
    share=float(share),
    ci_low=float(np.clip(share - half, 0, 1)),
    ci_high=float(np.clip(share + half, 0, 1)),
    standard_error=float(error),
  )


def _estimate(values, errors, correlation, min_change, rule, seed=0):
  """Fitted law and the shares under it, `[6]`."""
  law = noise.fit_law(values, errors, correlation, seed=seed)
  classes = classify.true_classes(law.atoms, min_change, rule)
  return law, np.bincount(classes, law.weights, minlength=len(_NAMES))


def _measured(truth, min_change, rule) -> np.ndarray:
  """Shares of the classes of trajectories without noise, `[6]`."""
  classes = classify.true_classes(truth, min_change, rule)
  return np.bincount(classes, minlength=len(_NAMES)) / len(classes)


def _blur(law, errors, min_change, rule) -> np.ndarray:
  """Half of the change of the shares around `min_change`, `[6]`."""
  step = np.sqrt(2) * np.median(errors) / 4
  ends = []
  for threshold in (min_change - step, min_change + step):
    threshold = min(max(threshold, 0.01), 1.0)
    classes = classify.true_classes(law.atoms, threshold, rule)
    ends.append(np.bincount(classes, law.weights, minlength=len(_NAMES)))
  return np.abs(ends[0] - ends[1]) / 2


def _jackknife(correct, in_mask, block, min_change, rule) -> np.ndarray:
  """Standard error `[6]` by leaving out groups of blocks; NaN if too few."""
  group = resampling.block_of_run(len(in_mask), block)
  num_blocks = int(group.max()) + 1
  num_groups = min(NUM_GROUPS, num_blocks)
  if num_groups < 4:
    return np.full(len(_NAMES), np.nan)
  group = group * num_groups // num_blocks
  shares = []
  for g in range(num_groups):
    kept = group != g
    rest = evidence(correct[:, kept], in_mask[kept])
    known = ~np.isnan(rest.memorization).any(axis=0)
    if not known.any():
      return np.full(len(_NAMES), np.nan)
    errors = noise.usable_standard_error(rest.standard_error[:, known])
    _, estimate = _estimate(
      rest.memorization[:, known],
      errors,
      rest.correlation,
      min_change,
      rule,
    )
    shares.append(estimate)
  found = np.stack(shares)
  squares = np.square(found - found.mean(axis=0)).sum(axis=0)
  return np.sqrt((num_groups - 1) / num_groups * squares)
