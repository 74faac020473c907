"""Least-squares fits of a trajectory by shape: monotone, one peak, one valley.

Monotone fits are isotonic regression by its min-max formula (Robertson, Wright &
Dykstra, 1988, theorem 1.4.4),

    fit[k] = max over a <= k of min over b >= k of the mean of m[a..b]

which for a handful of sizes is as fast as pooling and does all N at once.
"""

import numpy as np

# A trajectory with less than this between two sizes has one level there.
_EQUAL = 1e-9


def constant(memorization: np.ndarray) -> np.ndarray:
  """The mean over sizes, `[S, N]`."""
  mean = memorization.mean(axis=0, keepdims=True)
  return np.broadcast_to(mean, memorization.shape).copy()


def increasing(memorization: np.ndarray) -> np.ndarray:
  """The closest trajectories that never fall, `[S, N]`."""
  num_sizes = len(memorization)
  total = np.concatenate(
    [np.zeros_like(memorization[:1]), np.cumsum(memorization, axis=0)]
  )
  fit = np.empty_like(memorization)
  for k in range(num_sizes):
    highest = None
    for a in range(k + 1):
      lowest = None
      for b in range(k, num_sizes):
        mean = (total[b + 1] - total[a]) / (b + 1 - a)
        lowest = mean if lowest is None else np.minimum(lowest, mean)
      highest = lowest if highest is None else np.maximum(highest, lowest)
    fit[k] = highest
  return fit


def decreasing(memorization: np.ndarray) -> np.ndarray:
  """The closest trajectories that never rise, `[S, N]`."""
  return -increasing(-memorization)


def cap(memorization: np.ndarray) -> np.ndarray:
  """The closest that rise up to some size and fall from there, `[S, N]`."""
  best, least = None, None
  for peak in range(len(memorization)):
    fit = np.concatenate(
      [
        increasing(memorization[: peak + 1]),
        decreasing(memorization[peak + 1 :]),
      ]
    )
    error = np.square(memorization - fit).sum(axis=0)
    if best is None:
      best, least = fit, error
    else:
      better = error < least
      best = np.where(better, fit, best)
      least = np.where(better, error, least)
  return best


def valley(memorization: np.ndarray) -> np.ndarray:
  """The closest that fall down to some size and rise from there, `[S, N]`."""
  return -cap(-memorization)


def num_levels(fit: np.ndarray) -> np.ndarray:
  """How many different consecutive values each fit has, int `[N]`."""
  return 1 + (np.abs(np.diff(fit, axis=0)) > _EQUAL).sum(axis=0)


TEMPLATES = {
  "constant": constant,
  "increasing": increasing,
  "decreasing": decreasing,
  "cap": cap,
  "u": valley,
}


def two_turns(memorization: np.ndarray) -> np.ndarray:
  """The closest that turn twice: up, down, up, or the mirror image."""
  best, least = None, None
  for turn in range(1, len(memorization) - 1):
    head, tail = memorization[: turn + 1], memorization[turn + 1 :]
    for fit in (
      np.concatenate([cap(head), increasing(tail)]),
      np.concatenate([valley(head), decreasing(tail)]),
    ):
      error = np.square(memorization - fit).sum(axis=0)
      if best is None:
        best, least = fit, error
      else:
        best = np.where(error < least, fit, best)
        least = np.minimum(error, least)
  return best
