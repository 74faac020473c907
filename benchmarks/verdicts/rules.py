"""From a number with its interval to shown, not shown, or cannot tell.

Section 4 of docs/studies/plan.md. Every number is oriented so that the claim of
the paper is that it is above 0.
"""

from collections.abc import Sequence
import dataclasses

from scipy import stats

SHOWN, NOT_SHOWN, CANNOT_TELL = "shown", "not shown", "cannot tell"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
  """One number of a finding.

  Attributes:
    name: what it is.
    theta: the number; NaN if it cannot be computed.
    low, high: its 95 % interval.
    delta: the smallest effect of interest, at least 0.
  """

  name: str
  theta: float
  low: float
  high: float
  delta: float = 0.0

  @property
  def answer(self) -> str:
    """Shown if the interval is above 0; not shown if it is below delta."""
    if self.low > 0:
      return SHOWN
    return NOT_SHOWN if self.high < self.delta else CANNOT_TELL

  @property
  def text(self) -> str:
    """The number with its interval, and whether it is a small one."""
    text = f"{self.name}: {self.theta:.4f} [{self.low:.4f}, {self.high:.4f}]"
    if self.answer == SHOWN and self.high < self.delta:
      text += ", below the effect of interest"
    return text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
  """The verdict on one finding.

  Attributes:
    finding: number and words of the plan.
    study: which of the studies it is of.
    verdict: `SHOWN`, `NOT_SHOWN` or `CANNOT_TELL`.
    parts: the numbers that decide.
    beside: what stands beside them and decides nothing.
  """

  finding: str
  study: str
  verdict: str
  parts: tuple[Part, ...] = ()
  beside: tuple[str, ...] = ()


def all_of(parts: Sequence[Part]) -> str:
  """The answer of a finding that requires all of its parts."""
  answers = {part.answer for part in parts}
  if answers == {SHOWN}:
    return SHOWN
  return NOT_SHOWN if NOT_SHOWN in answers else CANNOT_TELL


def at_level(part: Part, level: float, num_drawn: int) -> Part:
  """The same number with its interval at another level than 95 %.

  Args:
    part: with the interval theta -+ t(B - 1) standard errors.
    level: in (0, 1).
    num_drawn: B, the blocks or single runs that were drawn.
  """
  degrees = num_drawn - 1
  factor = stats.t.ppf(0.5 + level / 2, degrees) / stats.t.ppf(0.975, degrees)
  half = (part.high - part.low) / 2 * factor
  return dataclasses.replace(
    part, low=part.theta - half, high=part.theta + half
  )


def without_stuck_runs(first: Verdict, second: Verdict) -> Verdict:
  """The verdict with all runs, unless leaving out stuck ones changes it."""
  if first.verdict == second.verdict:
    return first
  return dataclasses.replace(
    first,
    verdict=CANNOT_TELL,
    beside=(
      *first.beside,
      f"{first.verdict} with all runs, {second.verdict} without stuck ones",
    ),
  )
