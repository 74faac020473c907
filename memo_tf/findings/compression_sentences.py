"""What compression does, in sentences that say no more than the intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from memo_tf.analysis import evidence


def changes(
  recipe: str, means: Mapping[str, tuple[float, float, float]]
) -> str:
  """What a recipe changes.

  Args:
    recipe: its name.
    means: as `compression.Level.changes`.
  """
  parts = []
  for name, title in (
    ("memorization", "mean memorization"),
    ("in_accuracy", "accuracy in the subset"),
    ("out_accuracy", "held-out accuracy"),
  ):
    change, low, high = means[name]
    if np.isnan(low):
      parts.append(f"{title} changes by {change:+.4f} (too few runs)")
      continue
    if low == high == 0:
      parts.append(f"{title} is the same in every run")
      continue
    verb = evidence.direction(low, high)
    text = f"{title} {verb} by {abs(change):.4f}"
    if verb == evidence.UNSURE:
      text = f"whether {title} rises or falls cannot be told: {change:+.4f}"
    parts.append(f"{text} [{low:+.4f}, {high:+.4f}]")
  return f"{recipe}: {'; '.join(parts)}."


def forgotten(row: Mapping[Any, Any]) -> str:
  """What a recipe forgets of the most memorized in the subset.

  Args:
    row: of `compression.CompressionStudy.forgotten`.
  """
  start = f"{row['recipe']}: of the most memorized in the subset "
  if not row["num_right"]:
    return f"{start}none was right before."
  start += (
    f"{100 * row['num_forgotten'] / row['num_right']:.1f} % are forgotten; "
  )
  if np.isnan(row["excess_low"]):
    return start + (
      "too few are forgotten, or too few others have such margins, to tell "
      "whether this is more than margins predict."
    )
  low, high = row["excess_low"], row["excess_high"]
  where = {
    evidence.RISES: "more than",
    evidence.FALLS: "less than",
    evidence.UNSURE: "not to be told from what",
  }[evidence.direction(low, high)]
  return (
    f"{start}where ordinary images have such margins "
    f"({row['num_compared']} of {row['num_right']} cases), "
    f"{100 * row['rate']:.1f} % against {100 * row['expected']:.1f} %: {where} "
    f"margins alone predict ({100 * row['excess']:+.1f} points "
    f"[{100 * low:+.1f}, {100 * high:+.1f}])."
  )
