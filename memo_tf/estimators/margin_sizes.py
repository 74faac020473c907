"""Memorization of several model sizes from margins, all sizes together.

Sizes often rank an example's difficulty alike. z of size s (`margin_groups`) is
taken as a + u + d: a level a of the size, one u of the example that all sizes
share, and a deviation d of size and example, of mean 0 and of a variance that
is estimated: it is the mean product of deviations in two halves of the runs,
which share no noise. Each z is shrunk towards a + u by as much as the noise
makes of its deviation (Efron & Morris, 1973): to the mean of the sizes where
they are alike, not at all where they differ. Noise that sizes share, since
their runs share subsets, is estimated and not averaged away. All sizes count
alike, whatever their numbers of runs.

Points only: the intervals are those of each size alone.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from memo_tf.estimators import margin_groups
from memo_tf.estimators import margins as margins_lib

# |z| up to which sizes are compared: beyond, all runs are right, or none.
_COMPARED = 2.5
_LEAST_COMPARED = 20


def margin_scores_sizes(
  margin: np.ndarray,
  in_mask: np.ndarray,
  *,
  correct: np.ndarray | None = None,
  use_counts: np.ndarray | None = None,
  prior: bool = True,
  confidence: float = 0.95,
) -> tuple[margins_lib.MarginScores, ...]:
  """Estimates the memorization scores of S sizes together.

  Args:
    margin: `[S, M, N]`, as in `margin_scores` for each size.
    in_mask: `[M, N]` bool; sizes share their subsets.
    correct: `[S, M, N]` bool, or None.
    use_counts, prior, confidence: as in `margin_scores`.

  Returns:
    One `MarginScores` per size.

  Raises:
    ValueError: if `margin` is not of rank 3, or as `margin_scores`.
  """
  margin = np.asarray(margin)
  if margin.ndim != 3 or (correct is not None and len(correct) != len(margin)):
    raise ValueError(
      "`margin`, and `correct` if given, must be [S, M, N]. Received: "
      f"{margin.shape}"
      + ("" if correct is None else f" and {np.asarray(correct).shape}")
    )
  tallies = [
    margins_lib.tally_of(
      own, in_mask, correct=None if correct is None else correct[s]
    )
    for s, own in enumerate(margin)
  ]
  return scores_of_sizes(
    tallies, use_counts=use_counts, prior=prior, confidence=confidence
  )


def scores_of_sizes(
  tallies: Sequence[margins_lib.MarginTally],
  *,
  use_counts: np.ndarray | None = None,
  prior: bool = True,
  confidence: float = 0.95,
) -> tuple[margins_lib.MarginScores, ...]:
  """As `margin_scores_sizes`, from a tally of each size's runs."""
  pooled = []
  for group in (0, 1):
    whole = [tally.standardized(group, use_counts) for tally in tallies]
    halves = [
      np.stack([t.standardized(group, use_counts, (half,)).z for t in tallies])
      for half in (0, 1)
    ]
    pooled.append(_shrunk(whole, halves))
  return tuple(
    margins_lib.combine(
      tally,
      tally.groups(
        use_counts, prior=prior, confidence=confidence, points=points
      ),
    )
    for tally, *points in zip(tallies, *pooled)
  )


def _shrunk(
  whole: list[margin_groups.Standardized], halves: list[np.ndarray]
) -> list[margin_groups.Standardized]:
  """z of every size, drawn towards what the sizes of an example share."""
  z = np.stack([own.z for own in whole])
  noise = np.stack([own.variance for own in whole]).mean(axis=0)
  compared = (np.abs(z.mean(axis=0)) < _COMPARED) & ~np.isnan(sum(halves)).any(
    axis=0
  )
  if len(whole) < 2 or compared.sum() < _LEAST_COMPARED:
    return whole
  level = z[:, compared].mean(axis=1, keepdims=True)
  shared = (z - level).mean(axis=0)
  deviation = z - level - shared
  parts = []
  for half in halves:
    centred = half[:, compared] - half[:, compared].mean(axis=1, keepdims=True)
    parts.append(centred - centred.mean(axis=0))
  degrees = len(z) - 1
  between = max((parts[0] * parts[1]).sum(axis=0).mean() / degrees, 0.0)
  total = np.square(deviation[:, compared]).sum(axis=0).mean() / degrees
  # Of the noise of a size's z, the share that is its own.
  own_share = np.clip((total - between) / noise[compared].mean(), 0.05, 1.0)
  own_noise = own_share * noise
  kept = between / (between + own_noise)
  left = (noise - own_noise) + own_noise / len(z)
  left += (1 - 1 / len(z)) * kept * own_noise
  usable = ~np.isnan(z).any(axis=0)
  return [
    dataclasses.replace(
      own,
      z=np.where(usable, level[s] + shared + kept * deviation[s], own.z),
      noise=np.where(usable, own.noise * left / noise, own.noise),
      degrees=np.where(usable, own.degrees * noise / left, own.degrees),
    )
    for s, own in enumerate(whole)
  ]
