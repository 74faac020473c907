"""What an onion shows, in sentences that say no more than the intervals."""

from collections.abc import Mapping
from typing import Any

from memo_tf.analysis import evidence


def in_words(
  what: str,
  before: float,
  since: Mapping[Any, Any],
  random: Mapping[Any, Any],
  between: Mapping[Any, Any],
) -> list[str]:
  """What one threshold says, or that it cannot be told.

  Args:
    what: was left out, in words.
    before: mean memorization of the other images.
    since: the row of `onion.OnionStudy.changes` from before to the memorized
      arm.
    random: from before to the control.
    between: from the control to the memorized arm.
  """
  control = "as many random ones of the same classes"
  amount = _change(between)
  others = f"the {between['num_examples']} other images"
  runs = f"{between['num_runs']} paired subsets"
  direction = evidence.direction(
    between["memorization_low"], between["memorization_high"]
  )
  if direction == evidence.UNSURE:
    lines = [
      f"Onion: cannot tell whether {others} are memorized more without {what} "
      f"than without {control}: the difference of mean memorization is "
      f"{amount}; {runs} see {between['detectable']:.4f} or more (power 80 %)."
    ]
  else:
    more = "more" if direction == evidence.RISES else "less"
    lines = [
      f"Onion: {others} are memorized {more} without {what} than without "
      f"{control}: the difference of mean memorization is {amount} ({runs})."
    ]
  lines.append(
    f"Their mean memorization was {before:.4f} before; it changes by "
    f"{_change(since)} without the memorized images, and by {_change(random)} "
    "without the random ones."
  )
  is_more = "more" if since["newly"] > since["noise_high"] else "not more"
  lines.append(
    f"Memorization of at least {since['threshold']:g}: {since['num_first']} of "
    f"them before, {since['num_second']} without the memorized images, "
    f"{random['num_second']} without the random ones. Without the memorized "
    f"images {since['newly']} newly reach it, {is_more} than the "
    f"{since['noise_low']} to {since['noise_high']} that noise alone gives, "
    f"and {since['no_longer']} no longer do."
  )
  lines.append(
    f"Memorized more for certain (q at most {evidence.MAX_Q_VALUE:g}): "
    f"{since['num_rise']} images than before, {between['num_rise']} than "
    f"without the random ones; less: {since['num_fall']} and "
    f"{between['num_fall']}."
  )
  return lines


def _change(row: Mapping[Any, Any]) -> str:
  """A change of mean memorization with its interval."""
  return (
    f"{row['memorization']:+.4f} [{row['memorization_low']:+.4f}, "
    f"{row['memorization_high']:+.4f}]"
  )
