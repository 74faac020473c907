"""Widths of the scores' intervals, and how many more runs narrow them.

Most images are classified the same way by all runs that held them out, and have
narrow intervals. The mean width follows them. The images of interest are the
others: those that are right in 0.3 to 0.7 of the runs that held them out are
called ambiguous here, and runs are planned for their intervals.
"""

import dataclasses
import math

import numpy as np

from memo_tf.estimators import intervals
from memo_tf.estimators import margins as margins_lib
from memo_tf.estimators import memorization as memorization_lib

AMBIGUOUS = (0.3, 0.7)
EXAMPLES = ("ambiguous", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntervalWidths:
  """Mean widths of intervals.

  Attributes:
    mean: over all examples with an interval; NaN without any.
    ambiguous: over the ambiguous ones; if there are none, that of an example
      with an in-accuracy of 1 and an out-accuracy of 0.5. For outcomes other
      than correctness the mean over all.
    num_ambiguous: number of ambiguous examples.
  """

  mean: float
  ambiguous: float
  num_ambiguous: int


def interval_widths(
  scores: memorization_lib.MemorizationScores, *, confidence: float = 0.95
) -> IntervalWidths:
  """Mean width over all examples and over the ambiguous ones.

  Args:
    scores: from the runs so far.
    confidence: of the intervals, the same as in `scores`.
  """
  width = scores.ci_high - scores.ci_low
  known = ~np.isnan(width)
  if not known.any():
    return IntervalWidths(mean=math.nan, ambiguous=math.nan, num_ambiguous=0)
  mean = float(width[known].mean())
  if scores.outcome != "correctness":
    return IntervalWidths(mean=mean, ambiguous=mean, num_ambiguous=0)
  return IntervalWidths(
    mean=mean,
    ambiguous=_mean_width(*_planned(scores, known), 1.0, confidence),
    num_ambiguous=int((known & _is_ambiguous(scores)).sum()),
  )


def margin_widths(scores: margins_lib.MarginScores) -> IntervalWidths:
  """The same of intervals from margins; NaN without ambiguous examples."""
  width = scores.ci_high - scores.ci_low
  known = ~np.isnan(width)
  chosen = known & _is_ambiguous(scores)
  return IntervalWidths(
    mean=float(width[known].mean()) if known.any() else math.nan,
    ambiguous=float(width[chosen].mean()) if chosen.any() else math.nan,
    num_ambiguous=int(chosen.sum()),
  )


def runs_needed(
  scores: memorization_lib.MemorizationScores,
  width: float,
  *,
  block: int = 1,
  confidence: float = 0.95,
  examples: str = "ambiguous",
) -> int | None:
  """Number of further runs that narrow the ambiguous intervals to `width`.

  Keeps the accuracies of the ambiguous examples and their share of runs as they
  are, and finds the smallest number of runs for which the mean width of their
  intervals (`IntervalWidths.ambiguous`) is at most `width`. For correctness the
  widths are Newcombe's; for the others they shrink with the square root of the
  number of runs, and all examples count.

  Args:
    scores: from the runs so far.
    width: target width of the confidence interval, above 0.
    block: runs are added in multiples of it.
    confidence: of the intervals, the same as in `scores`.
    examples: one of `EXAMPLES`; "all": the mean width over all of them.

  Returns:
    0 if they are narrow enough already; None if no example has an interval.

  Raises:
    ValueError: if `width` is not above 0, or `examples` is unknown.
  """
  if not width > 0:
    raise ValueError(f"`width` must be above 0. Received: {width}")
  if examples not in EXAMPLES:
    raise ValueError(
      f"`examples` must be one of {', '.join(EXAMPLES)}. Received: {examples!r}"
    )
  known = ~np.isnan(scores.ci_high - scores.ci_low)
  found = interval_widths(scores, confidence=confidence)
  actual = found.mean if examples == "all" else found.ambiguous
  if math.isnan(actual):
    return None
  if actual <= width:
    return 0
  present = int((scores.num_in + scores.num_out)[known].max())
  planned = _planned(scores, known, examples)

  def mean_width(runs: float) -> float:
    share = runs / present
    if scores.outcome != "correctness":
      return actual / math.sqrt(share)
    return _mean_width(*planned, share, confidence)

  blocks = -(-present // block)
  while mean_width(blocks * block) > width:
    blocks *= 2
  low = blocks // 2
  while blocks - low > 1:
    middle = (low + blocks) // 2
    if mean_width(middle * block) > width:
      low = middle
    else:
      blocks = middle
  return max(blocks * block - present, 0)


def _is_ambiguous(scores) -> np.ndarray:
  low, high = AMBIGUOUS
  return (scores.out_accuracy >= low) & (scores.out_accuracy <= high)


def _planned(
  scores, known, examples="ambiguous"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Accuracies and counts, in and out, of the examples to plan for."""
  chosen = known if examples == "all" else known & _is_ambiguous(scores)
  if chosen.any():
    return (
      scores.in_accuracy[chosen],
      scores.num_in[chosen],
      scores.out_accuracy[chosen],
      scores.num_out[chosen],
    )
  counts = scores.num_in[known].mean(), scores.num_out[known].mean()
  in_count, out_count = (np.array([count]) for count in counts)
  return np.ones(1), in_count, np.full(1, 0.5), out_count


def _mean_width(in_mean, num_in, out_mean, num_out, share, confidence) -> float:
  """Mean width of Newcombe's intervals with `share` times as many runs."""
  low, high = intervals.newcombe_interval(
    in_mean, num_in * share, out_mean, num_out * share, confidence
  )
  return float((high - low).mean())
