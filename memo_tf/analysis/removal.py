"""Is accuracy lower without memorized examples than without others?

Models are trained without the memorized examples, and as many without a control
(Feldman & Zhang, 2020, arXiv:2008.03703, section 3). Repeat r of both shares
initial weights, so that their outcomes on the test examples are paired. With
d[r] the difference of their test accuracies (control minus memorized: above 0,
removal hurts),

    mean(d) ± t(R - 1, 0.975) s / sqrt(R),    s the standard deviation of d

is for these test examples (s is at least that of rounding to steps of 1/T, so
that repeats which happen to be equal do not look certain). For other test
examples of the same kind the variance of the mean over both, two-way random, is

    var over repeats / R + var over test examples / T - residual var / (R T)

**Power.** Differences below (t(R - 1, 0.975) + t(R - 1, 0.8)) s / sqrt(R) are
found in less than about 80 % of such studies: if an interval includes 0,
nothing is said but that.
"""

import dataclasses

import numpy as np
from scipy import stats

_LEVEL, _POWER = 0.975, 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedDifference:
  """Accuracy of a control minus that of an arm, over paired repeats.

  Attributes:
    num_repeats, num_tests: R and T.
    arm_accuracy, control_accuracy: means over repeats, in [0, 1].
    difference: control minus arm; above 0: removal hurts.
    ci_low, ci_high: 95 % interval over repeats, for these test examples.
    detectable: the smallest difference that R such repeats find in 80 % of
      studies, in these test examples.
    ci_low_others, ci_high_others, detectable_others: the same for other test
      examples of the same kind.
  """

  num_repeats: int
  num_tests: int
  arm_accuracy: float
  control_accuracy: float
  difference: float
  ci_low: float
  ci_high: float
  detectable: float
  ci_low_others: float
  ci_high_others: float
  detectable_others: float


def paired_difference(control: np.ndarray, arm: np.ndarray) -> PairedDifference:
  """The difference of two arms whose repeats are paired.

  Args:
    control, arm: bool `[R, T]`, whether repeat r classified test example t
      correctly. Intervals are NaN with fewer than 2 repeats, and those for
      other test examples with fewer than 2 examples.

  Raises:
    ValueError: if the shapes differ or are empty.
  """
  control, arm = np.asarray(control), np.asarray(arm)
  if control.shape != arm.shape or control.ndim != 2 or not control.size:
    raise ValueError(
      "`control` and `arm` must be of one shape [R, T], not empty. Received: "
      f"{control.shape} and {arm.shape}"
    )
  gain = control.astype(np.float64) - arm
  num_repeats, num_tests = gain.shape
  by_repeat, by_test = gain.mean(axis=1), gain.mean(axis=0)
  mean = float(by_repeat.mean())
  error = error_others = at_level = at_power = float("nan")
  if num_repeats > 1:
    at_level, at_power = (
      float(stats.t.ppf(p, num_repeats - 1)) for p in (_LEVEL, _POWER)
    )
    # Accuracies have steps of 1/T: equal ones are not equal to the last digit.
    least = 1 / (12 * num_tests**2)
    variance = max(by_repeat.var(ddof=1), least) / num_repeats
    error = float(np.sqrt(variance))
    if num_tests > 1:
      residual = gain - by_repeat[:, None] - by_test + mean
      degrees = (num_repeats - 1) * (num_tests - 1)
      both = by_test.var(ddof=1) / num_tests
      both -= (residual**2).sum() / degrees / (num_repeats * num_tests)
      error_others = float(np.sqrt(variance + max(both, 0.0)))
  return PairedDifference(
    num_repeats=num_repeats,
    num_tests=num_tests,
    arm_accuracy=float(arm.mean()),
    control_accuracy=float(control.mean()),
    difference=mean,
    ci_low=mean - at_level * error,
    ci_high=mean + at_level * error,
    detectable=(at_level + at_power) * error,
    ci_low_others=mean - at_level * error_others,
    ci_high_others=mean + at_level * error_others,
    detectable_others=(at_level + at_power) * error_others,
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainedShare:
  """The share of a drop that some test examples explain.

  Attributes:
    share: their part of the lost predictions; NaN if nothing was lost.
    ci_low, ci_high: Fieller's 95 % interval; NaN if the drop itself does not
      exclude 0, since the share is then unbounded.
  """

  share: float
  ci_low: float
  ci_high: float


def explained_share(
  control: np.ndarray, arm: np.ndarray, test_ids: np.ndarray
) -> ExplainedShare:
  """The share of control minus arm that stems from some test examples.

  Feldman & Zhang (2020): 2.38 of 2.54 points stem from the 888 test examples of
  high-influence pairs.

  Args:
    control, arm: bool `[R, T]`, as in `paired_difference`.
    test_ids: int, the examples, each once.
  """
  gain = np.asarray(control).astype(np.float64) - np.asarray(arm)
  whole = gain.sum(axis=1)
  part = gain[:, test_ids].sum(axis=1)
  nothing = ExplainedShare(
    share=float("nan"), ci_low=float("nan"), ci_high=float("nan")
  )
  if not whole.mean():
    return nothing
  share = float(part.mean() / whole.mean())
  count = len(whole)
  if count < 2:
    return dataclasses.replace(nothing, share=share)
  covariance = np.cov(part, whole, ddof=1) / count
  squared = float(stats.t.ppf(_LEVEL, count - 1)) ** 2
  # The shares q for which mean(part - q whole) does not differ from 0.
  a = whole.mean() ** 2 - squared * covariance[1, 1]
  b = part.mean() * whole.mean() - squared * covariance[0, 1]
  c = part.mean() ** 2 - squared * covariance[0, 0]
  if a <= 0:
    return dataclasses.replace(nothing, share=share)
  width = np.sqrt(max(b * b - a * c, 0.0))
  return ExplainedShare(
    share=share, ci_low=float((b - width) / a), ci_high=float((b + width) / a)
  )


def sentence(
  what: str, against: str, found: PairedDifference, tests: str = "test images"
) -> str:
  """What a difference says, in words; or that it cannot be told.

  Args:
    what: which examples are left out, as in "the 12 images with …".
    against: the control, as in "as many random ones".
    found: the difference.
    tests: what accuracy is measured on.
  """
  counts = f"{found.num_repeats} repeats, {found.num_tests} {tests}"
  if np.isnan(found.ci_low):
    return (
      f"Leaving out {what} instead of {against} changes accuracy by "
      f"{-found.difference:+.4f}; one repeat says nothing of its certainty."
    )
  interval = f"[{found.ci_low:+.4f}, {found.ci_high:+.4f}]"
  if found.ci_low > 0 or found.ci_high < 0:
    verb, way = ("hurts", "lower") if found.ci_low > 0 else ("helps", "higher")
    return (
      f"Leaving out {what} {verb}: accuracy is {abs(found.difference):.4f} "
      f"{way} than with {against} left out instead; the difference is "
      f"{found.difference:+.4f} {interval} ({counts})."
    )
  return (
    f"Cannot tell whether leaving out {what} changes accuracy more than "
    f"leaving out {against}: the difference is {found.difference:+.4f} "
    f"{interval}; {counts} see {found.detectable:.4f} or more (power 80 %)."
  )
