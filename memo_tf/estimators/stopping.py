"""When a study that grows by whole blocks of runs has enough of them.

After each round the mean width of the intervals is compared with a target; if
it is above, the study is extended by half of the blocks that seem to be missing
and looked at again, at the end block by block. It stops at the first number of
runs that it looks at whose mean width is at most the target.

A width depends on an example's number of runs and on its two rates, hardly on
whether its estimate is too high or too low; and the mean is over many examples.
So the intervals after stopping hold about as often as those of a study whose
number of runs was fixed in advance (benchmarks/stopping.py).
"""

import dataclasses
import math

from memo_tf.estimators import margins as margins_lib
from memo_tf.estimators import memorization
from memo_tf.estimators import widths


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
  """What a look at the runs of a group shows.

  Attributes:
    width: mean width of the intervals that count; NaN if there is none.
    runs_needed: how many more runs, in whole blocks, seem to narrow them to the
      target; 0 if they are narrow enough; None if nothing is known.
  """

  width: float
  runs_needed: int | None


def look(
  scores: memorization.MemorizationScores,
  margin: margins_lib.MarginScores | None,
  target: float,
  *,
  examples: str = "ambiguous",
  block: int = 1,
) -> Look:
  """Compares the mean width of a group's intervals with a target.

  Args:
    scores: the plain scores of the runs so far.
    margin: scores from margins of the same runs, if it is their intervals that
      count; None: those of `scores`. Without an ambiguous example by margins,
      the plain width counts, which is then that of a made-up one.
    target: mean width to reach, above 0.
    examples: one of `widths.EXAMPLES`.
    block: runs are added in multiples of it.

  Raises:
    ValueError: if `target` is not above 0, or `examples` is unknown.
  """
  found = widths.interval_widths(scores)
  needed = widths.runs_needed(scores, target, block=block, examples=examples)
  width = found.mean if examples == "all" else found.ambiguous
  if margin is None:
    return Look(width=width, runs_needed=needed)
  found = widths.margin_widths(margin)
  own = found.mean if examples == "all" else found.ambiguous
  if math.isnan(own):
    return Look(width=width, runs_needed=needed)
  if own <= target:
    return Look(width=own, runs_needed=0)
  runs = int((margin.num_in + margin.num_out).max())
  # As the root of the number of runs; misfit, which stays, takes more.
  more = runs * ((own / target) ** 2 - 1)
  return Look(width=own, runs_needed=max(math.ceil(more / block), 1) * block)


def next_runs(runs_needed: int | None, block: int) -> int:
  """How many runs to add before the next look: half of those that are missing.

  Half, in whole blocks and at least one, since a number of runs that is
  predicted from few is not exact, and runs beyond the target are wasted.

  Args:
    runs_needed: as `Look` has it, above 0 or None.
    block: runs are added in multiples of it.
  """
  if runs_needed is None:
    return block
  return max(runs_needed // block // 2, 1) * block
