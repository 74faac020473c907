"""What compressed models forget: is it more than small margins predict?

A prediction is *forgotten* if a run has it right before compression and wrong
after. Small margins are lost first, and memorized examples have small margins,
so most memorized examples among the forgotten prove nothing by themselves. The
null hypothesis is that a prediction is lost with a probability that depends on
its margin before compression alone. All pairs of a run and an example are cut
into narrow strata of that margin; in each, members of a group (say, the most
memorized) are compared with examples outside it:

    expected = sum over strata of  members * (lost others / others)
    excess = (forgotten members - expected) / members

as Mantel & Haenszel (1959) compare groups. Strata hold the same number of
members; those with fewer than `MIN_OTHERS` others are not compared, and
counted. Intervals draw whole runs (`estimators.resampling`), members and others
together, so that runs that lose more than others do no harm.
"""

import dataclasses

import numpy as np

from memo_tf.estimators import resampling

# Most strata, fewest members of each, and fewest others.
MAX_STRATA, MIN_MEMBERS, MIN_OTHERS = 100, 20, 5
# Fewest losses of members, found and expected together, for an interval.
MIN_LOST = 10
MOST_MEMORIZED = "most memorized"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forgetting:
  """What runs forgot of a group of examples.

  Counts are pairs of a run and an example that the run had right.

  Attributes:
    num_right: pairs of the group that were right before.
    num_forgotten: those of them that are wrong after.
    num_compared: pairs of the group in strata with enough others.
    rate: share of `num_compared` that is forgotten; NaN without.
    expected: the share that margins alone predict.
    excess: `rate - expected`, with `excess_low` and `excess_high`, its 95 %
      interval; NaN where it is unknown, or with fewer than `MIN_MEMBERS`
      members or `MIN_LOST` losses of theirs, found and expected together.
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
  others: np.ndarray | None = None,
) -> Forgetting:
  """Compares what runs forgot of a group with what margins alone predict.

  Args:
    before: `[M, N]` bool, whether run m had example n right before compression.
    margin: `[M, N]`, its margin before compression.
    after: `[M, N]` bool, whether it is right after compression.
    selected: `[M, N]` bool, which pairs count: those in the subset, say.
    group: `[N]` bool, the examples of the group.
    bootstrap: replicates of the M runs; None gives no interval.
    others: `[N]` bool, the examples that members are compared with; default:
      all outside the group.
  """
  others = ~group if others is None else others & ~group
  right = before & selected
  lost = right & ~after
  counts = _counts(margin, right, lost, group, others)
  enough = counts[2].sum(axis=0) >= MIN_OTHERS
  counts = counts[:, :, enough]
  members, forgotten, expected = _sums(np.ones((1, len(before))), counts)[0]
  rate, predicted = _ratio(forgotten, members), _ratio(expected, members)
  low = high = float("nan")
  is_enough = members >= MIN_MEMBERS and forgotten + expected >= MIN_LOST
  if bootstrap is not None and is_enough:
    drawn = _sums(bootstrap.weights, counts)
    with np.errstate(invalid="ignore"):
      excess = (drawn[:, 1] - drawn[:, 2]) / drawn[:, 0]
    _, low, high = map(float, bootstrap.intervals(excess[:, None])[0])
  return Forgetting(
    num_right=int((right & group).sum()),
    num_forgotten=int((lost & group).sum()),
    num_compared=int(members),
    rate=rate,
    expected=predicted,
    excess=rate - predicted,
    excess_low=low,
    excess_high=high,
    share_of_forgotten=_ratio((lost & group).sum(), lost.sum()),
    share_of_right=_ratio((right & group).sum(), right.sum()),
  )


def _counts(
  margin: np.ndarray,
  right: np.ndarray,
  lost: np.ndarray,
  group: np.ndarray,
  outside: np.ndarray,
) -> np.ndarray:
  """float `[4, M, strata]`: members, lost members, others, lost others."""
  own = margin[right & group]
  strata = int(np.clip(len(own) // MIN_MEMBERS, 1, MAX_STRATA))
  inner = np.arange(1, strata) / strata
  edges = np.quantile(own, inner) if len(own) else np.zeros(0)
  stratum = np.searchsorted(edges, margin, side="right")
  rows = np.arange(len(margin))[:, None] * strata
  parts = [right & group, lost & group, right & outside, lost & outside]
  found = [
    np.bincount((rows + stratum)[part], minlength=len(margin) * strata)
    for part in parts
  ]
  return np.stack(found).reshape(4, len(margin), strata).astype(np.float64)


def _sums(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """Members, forgotten ones, and how many are expected, of weighted runs.

  Args:
    weights: `[R, M]`, how often each run counts.
    counts: `[4, M, strata]`, as `_counts`.

  Returns:
    `[R, 3]` float. A stratum that has lost all its others in a replicate is
    left out of it.
  """
  members, forgotten, others, lost = weights @ counts
  known = others > 0
  share = np.divide(lost, others, out=np.zeros_like(lost), where=known)
  parts = (members * known, forgotten * known, members * share)
  return np.stack([part.sum(axis=1) for part in parts], axis=1)


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
