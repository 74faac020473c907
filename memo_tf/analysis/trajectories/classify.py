"""How memorization changes with size, example by example.

Lukasik et al. (2024, arXiv:2310.05337) follow each example's score over a
family of sizes and sort these trajectories into shape classes. Module `rules`
has the rules. A rule that takes noisy scores for true ones calls noise a
change: the range of a constant example over S sizes with a standard error e is
about 2.1 e (S = 4) to 2.7 e (S = 7). So the class of a single example is not
evidence that it changes. Module `changes` tests that; module `shares` estimates
the shares of the classes with the noise taken out.
"""

import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis.trajectories import noise
from memo_tf.analysis.trajectories import rules

SHAPE_CLASSES = rules.SHAPE_CLASSES
RULES = rules.RULES
THRESHOLDS = (0.05, 0.1, 0.2, 0.3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectoryClasses:
  """Shape classes of N examples.

  Attributes:
    shape_class: `[N]` str, one of `SHAPE_CLASSES`; "" where a score is NaN.
    rule, min_change: by which the classes were assigned.
  """

  shape_class: np.ndarray
  rule: str
  min_change: float

  def shares(self) -> dict[str, float]:
    """Measured share of each class among the examples with scores."""
    known = self.shape_class[self.shape_class != ""]
    return {
      name: float((known == name).mean()) if len(known) else float("nan")
      for name in SHAPE_CLASSES
    }

  def to_dataframe(self) -> pd.DataFrame:
    """Table with one row per example: id and shape class."""
    return pd.DataFrame(
      {
        "example_id": np.arange(len(self.shape_class)),
        "shape_class": self.shape_class,
      }
    )


def classify_trajectories(
  memorization: np.ndarray,
  standard_error: np.ndarray | None = None,
  *,
  min_change: float = 0.2,
  rule: str = "default",
  correlation: np.ndarray | None = None,
  z: float = rules.DEFAULT_Z,
) -> TrajectoryClasses:
  """Shape class of each measured trajectory, noise and all.

  Args:
    memorization: `[S, N]`, sizes in ascending order, S at least 2.
    standard_error: `[S, N]`, of each score; needed by rule `z`, used by rule
      `template`.
    min_change: alpha, the least change that counts, in (0, 1].
    rule: one of `RULES`; formulas in module `rules`.
    correlation: `[S, S]`, of an example's errors over sizes, which share their
      subsets (`shares.evidence`); None: independent errors.
    z: least change that counts, in standard errors of the difference, for rule
      `z`.

  Returns:
    A `TrajectoryClasses`.

  Raises:
    ValueError: if shapes differ, the rule is unknown, `min_change` or `z` is
      out of range, or rule `z` has no standard errors.

  Example:
    >>> import numpy as np
    >>> from memo_tf import analysis
    >>> memorization = np.array([[0.0, 0.9], [0.5, 0.5], [0.9, 0.1]])
    >>> analysis.classify_trajectories(memorization).shape_class.tolist()
    ['increasing', 'decreasing']
  """
  memorization, standard_error, correlation = _checked(
    memorization, standard_error, correlation
  )
  _check(0 < min_change <= 1, "`min_change` must be in (0, 1]", min_change)
  _check(rule in RULES, f"`rule` must be one of {', '.join(RULES)}", rule)
  _check(z > 0, "`z` must be above 0", z)
  _check(
    rule != "z" or standard_error is not None,
    "Rule z needs `standard_error`",
    None,
  )
  known = ~np.isnan(memorization).any(axis=0)
  if rule == "z":
    known &= ~np.isnan(standard_error).any(axis=0)
  classes = _classes(
    memorization[:, known],
    None if standard_error is None else standard_error[:, known],
    correlation,
    min_change,
    rule,
    z,
  )
  names = np.full(memorization.shape[1], "", "U10")
  names[known] = np.array(SHAPE_CLASSES)[classes]
  return TrajectoryClasses(
    shape_class=names,
    rule=rule,
    min_change=min_change,
  )


def true_classes(
  memorization: np.ndarray, min_change: float, rule: str
) -> np.ndarray:
  """Indices in `SHAPE_CLASSES` of trajectories without noise.

  Args:
    memorization: `[S, N]`.
    min_change, rule: as in `classify_trajectories`.

  Returns:
    int `[N]`.
  """
  if rule == "template":
    return rules.template(memorization, None, min_change)
  rule = "default" if rule == "z" else rule
  return rules.SIMPLE_RULES[rule](memorization, min_change)


def sensitivity(
  memorization: np.ndarray,
  standard_error: np.ndarray | None = None,
  *,
  correlation: np.ndarray | None = None,
  thresholds: tuple[float, ...] = THRESHOLDS,
  z: float = rules.DEFAULT_Z,
) -> pd.DataFrame:
  """Measured shares of the classes by every rule and threshold.

  Args:
    memorization, standard_error, correlation, z: as in `classify_trajectories`;
      without standard errors rule `z` is left out.
    thresholds: values of `min_change`.

  Returns:
    A table with one row per rule and threshold: rule, min_change (NaN for `z`,
    which has none), and one column per class.
  """
  memorization, standard_error, correlation = _checked(
    memorization, standard_error, correlation
  )
  known = ~np.isnan(memorization).any(axis=0)
  if standard_error is not None:
    known &= ~np.isnan(standard_error).any(axis=0)
    standard_error = standard_error[:, known]
  memorization, rows = memorization[:, known], []
  for rule in RULES:
    if rule == "z" and standard_error is None:
      continue
    for threshold in thresholds if rule != "z" else (np.nan,):
      classes = _classes(
        memorization, standard_error, correlation, threshold, rule, z
      )
      count = np.bincount(classes, minlength=len(SHAPE_CLASSES))
      shares = count / max(len(classes), 1)
      rows.append(
        {"rule": rule, "min_change": threshold}
        | dict(zip(SHAPE_CLASSES, shares.tolist()))
      )
  return pd.DataFrame(rows)


def _classes(memorization, standard_error, correlation, min_change, rule, z):
  """Indices in `SHAPE_CLASSES` by any rule, int `[N]`."""
  if rule == "template":
    if standard_error is not None:
      standard_error = noise.usable_standard_error(standard_error)
    return rules.template(memorization, standard_error, min_change)
  if rule == "z":
    errors = noise.usable_standard_error(standard_error)
    covariance = correlation[..., None] * errors[:, None] * errors[None]
    return rules.z(memorization, covariance, z)
  return rules.SIMPLE_RULES[rule](memorization, min_change)


def _checked(memorization, standard_error, correlation):
  memorization = np.asarray(memorization, np.float64)
  _check(
    memorization.ndim == 2 and len(memorization) >= 2,
    "`memorization` must be [S, N] with at least two sizes",
    memorization.shape,
  )
  num_sizes = len(memorization)
  if standard_error is not None:
    standard_error = np.asarray(standard_error, np.float64)
    _check(
      standard_error.shape == memorization.shape,
      f"`standard_error` must be {memorization.shape}, like `memorization`",
      standard_error.shape,
    )
    _check(
      not (standard_error < 0).any(),
      "`standard_error` must not be below 0",
      float(np.nanmin(standard_error, initial=0)),
    )
  if correlation is None:
    correlation = np.eye(num_sizes)
  correlation = np.asarray(correlation, np.float64)
  _check(
    correlation.shape == (num_sizes, num_sizes)
    and np.allclose(correlation, correlation.T)
    and np.allclose(np.diag(correlation), 1),
    "`correlation` must be [S, S], symmetric, with ones on its diagonal",
    correlation,
  )
  return memorization, standard_error, correlation


def _check(holds: bool, rule: str, value) -> None:
  if not holds:
    raise ValueError(f"{rule}. Received: {value}")
