"""Least-squares fits of a trajectory by shape: monotone, one peak, one valley.

Monotone fits are isotonic regression by its min-max formula (Robertson, Wright
& Dykstra, 1988, theorem 1.4.4),

    fit[k] = max over a <= k of min over b >= k of the mean of m[a..b]

which for a handful of sizes is as fast as pooling and vectorizes over examples.
"""

from collections.abc import Iterator

import numpy as np

# Neighbouring values closer than this are one level of a fit.
_EQUAL = 1e-9


def constant(memorization: np.ndarray) -> np.ndarray:
  """Closest constant trajectories, the mean over sizes: `[S, N]`."""
  mean = memorization.mean(axis=0, keepdims=True)
  return np.broadcast_to(mean, memorization.shape).copy()


def increasing(memorization: np.ndarray) -> np.ndarray:
  """Closest trajectories that never fall, `[S, N]`."""
  num_sizes = len(memorization)
  total = np.concatenate(
    [np.zeros_like(memorization[:1]), np.cumsum(memorization, axis=0)]
  )
  fit = np.empty_like(memorization)
  for k in range(num_sizes):
    lowest = [
      np.min(
        [(total[b + 1] - total[a]) / (b + 1 - a) for b in range(k, num_sizes)],
        axis=0,
      )
      for a in range(k + 1)
    ]
    fit[k] = np.max(lowest, axis=0)
  return fit


def decreasing(memorization: np.ndarray) -> np.ndarray:
  """Closest trajectories that never rise, `[S, N]`."""
  return -increasing(-memorization)


def cap(memorization: np.ndarray) -> np.ndarray:
  """Closest trajectories that rise and, from some size on, fall, `[S, N]`."""
  return _closest(
    memorization,
    (
      np.concatenate(
        [
          increasing(memorization[: peak + 1]),
          decreasing(memorization[peak + 1 :]),
        ]
      )
      for peak in range(len(memorization))
    ),
  )


def valley(memorization: np.ndarray) -> np.ndarray:
  """Closest trajectories that fall and, from some size on, rise, `[S, N]`."""
  return -cap(-memorization)


def num_levels(fit: np.ndarray) -> np.ndarray:
  """Number of different consecutive values of each fit, int `[N]`."""
  return 1 + (np.abs(np.diff(fit, axis=0)) > _EQUAL).sum(axis=0)


TEMPLATES = {
  "constant": constant,
  "increasing": increasing,
  "decreasing": decreasing,
  "cap": cap,
  "u": valley,
}


def two_turns(memorization: np.ndarray) -> np.ndarray:
  """Closest trajectories that turn twice, `[S, N]`: up, down, up or mirrored.

  Args:
    memorization: `[S, N]`, S at least 3.
  """

  def fits() -> Iterator[np.ndarray]:
    for turn in range(1, len(memorization) - 1):
      head, tail = memorization[: turn + 1], memorization[turn + 1 :]
      yield np.concatenate([cap(head), increasing(tail)])
      yield np.concatenate([valley(head), decreasing(tail)])

  return _closest(memorization, fits())


def _closest(
  memorization: np.ndarray, fits: Iterator[np.ndarray]
) -> np.ndarray:
  """Fit of each trajectory with the least squares, the first among equals."""
  best = next(fits)
  least = np.square(memorization - best).sum(axis=0)
  for fit in fits:
    error = np.square(memorization - fit).sum(axis=0)
    best = np.where(error < least, fit, best)
    least = np.minimum(error, least)
  return best
