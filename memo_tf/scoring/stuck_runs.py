"""Stuck runs: their in-accuracy is far below that of their siblings."""

import numpy as np

# A run is flagged as stuck if its in-accuracy is this far under the median of
# its siblings, and this many of their median absolute deviations.
STUCK_DROP = 0.1


STUCK_DEVIATIONS = 8.0


def find_stuck(in_accuracies: dict[str, float]) -> list[tuple[str, str]]:
  """Runs whose in-accuracy is far under that of their siblings.

  Args:
    in_accuracies: accuracy on its own subset, by unit name.

  Returns:
    (unit name, why) for each; at least `STUCK_DROP` and `STUCK_DEVIATIONS`
    median absolute deviations under the median.
  """
  values = np.array(list(in_accuracies.values()), np.float64)
  median = np.median(values)
  deviation = np.median(np.abs(values - median))
  limit = max(STUCK_DROP, STUCK_DEVIATIONS * deviation)
  return [
    (name, f"in-accuracy {value:.3f}, its siblings' median is {median:.3f}")
    for name, value in in_accuracies.items()
    if value <= median - limit
  ]
