"""What compressed models forget: is it more than small margins predict?

A prediction is *forgotten* if a run has it right before compression and wrong
after. Small margins are lost first, and memorized examples have small margins,
so most memorized examples among the forgotten prove nothing by themselves. The
null hypothesis here is that within a run a prediction is lost with a
probability that depends on its margin before compression alone. Each member of
a group (say, the most memorized) is compared with the examples of the same run
outside the group whose margins are next to its own, `NEIGHBOURS` below and
`NEIGHBOURS` above, interpolated linearly to its own margin:

    excess = mean over members (forgotten - expected from neighbours)

Members without that many neighbours on either side are not compared, and
counted. Under the null the differences of separate runs are independent with
mean 0; intervals draw runs (`estimators.resampling`).
"""

import dataclasses

import numpy as np

from memo_tf.estimators import resampling

NEIGHBOURS = 4
MOST_MEMORIZED = "most memorized"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forgetting:
  """What runs forgot of a group of examples.

  Counts are pairs of a run and an example that the run had right.

  Attributes:
    num_right: pairs of the group that were right before.
    num_forgotten: those of them that are wrong after.
    num_compared: pairs of the group that have neighbours.
    rate: share of `num_compared` that is forgotten; NaN without.
    expected: the share that margins alone predict.
    excess: `rate - expected`, with `excess_low` and `excess_high`, its 95 %
      interval; NaN where it is unknown.
    share_of_forgotten: share of all forgotten pairs, of any group, that are the
      group's; NaN if nothing was forgotten.
    share_of_right: share of all right pairs that are the group's.
  """

  num_right: int
  num_forgotten: int
  num_compared: int
  rate: float
  expected: float
  excess: float
  excess_low: float
  excess_high: float
  share_of_forgotten: float
  share_of_right: float


def forgetting(
  before: np.ndarray,
  margin: np.ndarray,
  after: np.ndarray,
  selected: np.ndarray,
  group: np.ndarray,
  bootstrap: resampling.PairedBootstrap | None,
) -> Forgetting:
  """Compares what runs forgot of a group with what margins alone predict.

  Args:
    before: `[M, N]` bool, whether run m had example n right before compression.
    margin: `[M, N]`, its margin before compression.
    after: `[M, N]` bool, whether it is right after compression.
    selected: `[M, N]` bool, which pairs count: those in the subset, say.
    group: `[N]` bool, the examples of the group.
    bootstrap: replicates of the M runs; None gives no interval.
  """
  right = before & selected
  lost = right & ~after
  sums = np.zeros((len(before), 3))  # per run: compared, forgotten, expected
  for run, (is_right, is_lost) in enumerate(zip(right, lost)):
    inside, outside = is_right & group, is_right & ~group
    expected = _expected(
      margin[run, inside], margin[run, outside], is_lost[outside]
    )
    known = ~np.isnan(expected)
    sums[run] = (
      known.sum(),
      is_lost[inside][known].sum(),
      expected[known].sum(),
    )
  compared, forgotten, expected = sums.sum(axis=0)
  rate = _ratio(forgotten, compared)
  low = high = float("nan")
  if bootstrap is not None and compared:
    low, high = _interval(sums, bootstrap)
  return Forgetting(
    num_right=int((right & group).sum()),
    num_forgotten=int((lost & group).sum()),
    num_compared=int(compared),
    rate=rate,
    expected=_ratio(expected, compared),
    excess=rate - _ratio(expected, compared),
    excess_low=low,
    excess_high=high,
    share_of_forgotten=_ratio((lost & group).sum(), lost.sum()),
    share_of_right=_ratio((right & group).sum(), right.sum()),
  )


def _expected(
  margin: np.ndarray, margins: np.ndarray, is_lost: np.ndarray
) -> np.ndarray:
  """Chances of being lost at some margins, from examples next to them.

  Args:
    margin: `[K]`, of the members.
    margins: `[L]`, of the others.
    is_lost: `[L]` bool, of the others.

  Returns:
    `[K]` float in [0, 1]; NaN without enough others on both sides.
  """
  order = np.argsort(margins, kind="stable")
  margins = margins[order].astype(np.float64)
  sums = np.concatenate(
    [
      np.zeros((1, 2)),
      np.cumsum(np.stack([margins, is_lost[order]], axis=1), axis=0),
    ]
  )
  place = np.searchsorted(margins, margin)
  found = np.full(len(margin), np.nan)
  known = (place >= NEIGHBOURS) & (place <= len(margins) - NEIGHBOURS)
  place = place[known]
  below = (sums[place] - sums[place - NEIGHBOURS]) / NEIGHBOURS
  above = (sums[place + NEIGHBOURS] - sums[place]) / NEIGHBOURS
  width = above[:, 0] - below[:, 0]
  share = np.where(
    width > 0,
    (margin[known] - below[:, 0]) / np.where(width > 0, width, 1.0),
    0.5,
  )
  found[known] = below[:, 1] + share * (above[:, 1] - below[:, 1])
  return found


def _interval(
  sums: np.ndarray, bootstrap: resampling.PairedBootstrap
) -> tuple[float, float]:
  """Of the excess, from the runs' sums `[M, 3]`."""
  drawn = bootstrap.weights @ sums
  with np.errstate(invalid="ignore", divide="ignore"):
    excess = (drawn[:, 1] - drawn[:, 2]) / drawn[:, 0]
  found = bootstrap.intervals(excess[:, None])[0]
  return float(found[1]), float(found[2])


def _ratio(part: float, whole: float) -> float:
  return float(part / whole) if whole else float("nan")


def groups_of(
  memorization: np.ndarray, kind: np.ndarray, clean: str, threshold: float
) -> dict[str, np.ndarray]:
  """The groups of examples that are compared: names to bool `[N]`.

  Args:
    memorization: `[N]`, scores of the uncompressed models.
    kind: `[N]` str, how each example was planted; `clean` if it was not.
    clean: the kind of natural examples.
    threshold: from which score an example counts as memorized.
  """
  high = np.nan_to_num(memorization, nan=-1.0) >= threshold
  found = {MOST_MEMORIZED: high}
  planted = [k for k in np.unique(kind) if k != clean]
  if planted:
    found["natural high scores"] = high & (kind == clean)
    found |= {f"planted: {k}": kind == k for k in planted}
  return {name: mask for name, mask in found.items() if mask.any()}
