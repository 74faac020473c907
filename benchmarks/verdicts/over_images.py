"""Findings 7 to 9 of docs/studies/plan.md: which images, pairs and models."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmarks.verdicts import rules
from benchmarks.verdicts import study as study_lib
from memo_tf.analysis import ranking
from memo_tf.estimators import in_out
from memo_tf.scoring import groups

NEIGHBOURS = 10
MEMORIZED = 0.25
NUM_RESAMPLES = 1000
MIN_PAIRS, MOST_PAIRS = 10, 100


def memorized_are_rare(study: study_lib.Study, model: str) -> rules.Verdict:
  """7a: fewer of a memorized image's nearest neighbours have its label."""
  result = study.scores(model)
  labels = result.stack.labels
  agreement = neighbour_agreement(study, labels)
  part = difference_by_class(
    agreement, labels, result.scores.memorization >= MEMORIZED
  )
  return rules.Verdict(
    finding="7a memorized images are rare",
    study="a",
    verdict=part.answer,
    parts=(part,),
  )


def neighbour_agreement(
  study: study_lib.Study, labels: np.ndarray
) -> np.ndarray:
  """Share of each training image's 10 nearest others with its label; `[N]`."""
  every = np.arange(len(labels))
  distance = study.distances(every, every)
  np.fill_diagonal(distance, np.inf)
  nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
  return (labels[nearest] == labels[:, None]).mean(axis=1)


def difference_by_class(
  values: np.ndarray, labels: np.ndarray, is_high: np.ndarray
) -> rules.Part:
  """Mean of the low images less that of the high ones, by class.

  Classes are weighted as among the high ones; those without a low image are
  left out. The interval is from resamples within (class, side), percentiles.
  """
  rng = np.random.default_rng(0)
  total = np.zeros(NUM_RESAMPLES + 1)
  count = 0
  for label in np.unique(labels[is_high]):
    sides = [values[(labels == label) & (is_high == side)] for side in (0, 1)]
    if not len(sides[0]):
      continue
    weight = len(sides[1])
    means = [
      np.append(
        side.mean(),
        rng.choice(side, (NUM_RESAMPLES, len(side))).mean(axis=1),
      )
      for side in sides
    ]
    total += weight * (means[0] - means[1])
    count += weight
  total = total / count if count else np.full_like(total, np.nan)
  low, high = np.percentile(total[1:], [2.5, 97.5])
  return rules.Part(
    name="neighbours with the same label: images below 0.25 less those from "
    f"0.25 on ({count})",
    theta=float(total[0]),
    low=float(low),
    high=float(high),
    delta=0.1,
  )


def memorized_are_mislabelled(
  study: study_lib.Study, model: str
) -> rules.Verdict:
  """7b: planted wrong labels have the highest scores."""
  result = study.scores(model)
  planted = result.examples["is_noisy"].to_numpy(bool)
  stack = result.stack
  bootstrap = study_lib.drawn(len(stack.in_mask))
  inside, outside = in_out.in_out_means(
    stack.correct, stack.in_mask, bootstrap.weights
  )
  values = np.array(
    [ranking.auroc(row, planted) - 0.9 for row in inside - outside]
  )
  found = bootstrap.intervals(values[:, None])[0]
  part = rules.Part(
    name="AUROC of planted wrong labels, less 0.9",
    theta=float(found[0]),
    low=float(found[1]),
    high=float(found[2]),
  )
  return rules.Verdict(
    finding="7b memorized images are mislabelled",
    study="e",
    verdict=part.answer,
    parts=(part,),
  )


def pairs_look_alike(study: study_lib.Study, model: str) -> rules.Verdict:
  """8: the test image of an influential pair looks like its training image."""
  result = study.scores(model)
  pairs, stack = result.influence, result.stack
  finding, num_train = "8 influence pairs look alike", len(stack.labels)
  if pairs is None or len(pairs) < MIN_PAIRS:
    return rules.Verdict(finding=finding, study="a", verdict=rules.CANNOT_TELL)
  chosen = one_per_test_image(
    pairs.train_ids, pairs.test_ids, pairs.influence, pairs.q_value
  )
  ranks, is_near = [], []
  for index in chosen:
    n, t = int(pairs.train_ids[index]), int(pairs.test_ids[index])
    rivals = np.flatnonzero(stack.test_labels == stack.test_labels[t])
    distance = study.distances(np.array([n]), num_train + rivals)[0]
    own = distance[rivals == t][0]
    ranks.append(mid_rank(distance, own))
    is_near.append(own <= study.plan.config.data.near_duplicate_distance)
  if len(ranks) < MIN_PAIRS:
    return rules.Verdict(finding=finding, study="a", verdict=rules.CANNOT_TELL)
  part = mean_above_chance(np.array(ranks))
  beside = [f"{sum(is_near)} of {len(ranks)} pairs are near duplicates"]
  others = np.array(ranks)[~np.array(is_near)]
  if len(others) >= 2:
    beside.append(f"without them {mean_above_chance(others).text}")
  return rules.Verdict(
    finding=finding,
    study="a",
    verdict=part.answer,
    parts=(part,),
    beside=tuple(beside),
  )


def one_per_test_image(
  train_ids: np.ndarray,
  test_ids: np.ndarray,
  influence: np.ndarray,
  q_value: np.ndarray,
) -> np.ndarray:
  """Indices of the pairs that count: section 5, finding 8.

  Of each test image its most influential pair (ties: the lowest training id);
  of those the ones with q <= 0.05 if there are 10, else the 100 first.
  """
  order = np.lexsort((train_ids, -influence))
  first = np.unique(test_ids[order], return_index=True)[1]
  best = order[np.sort(first)]
  certain = best[q_value[best] <= 0.05]
  return certain if len(certain) >= MIN_PAIRS else best[:MOST_PAIRS]


def mid_rank(distances: np.ndarray, own: float) -> float:
  """Rank of one distance among all as a fraction in (0, 1); ties count half."""
  below = np.sum(distances < own) + 0.5 * np.sum(distances == own)
  return float(below / len(distances))


def mean_above_chance(ranks: np.ndarray) -> rules.Part:
  """0.25 less the mean rank, with Student's interval over pairs."""
  theta = 0.25 - ranks.mean()
  error = ranks.std(ddof=1) / np.sqrt(len(ranks))
  reach = stats.t.ppf(0.975, len(ranks) - 1) * error
  return rules.Part(
    name=f"0.25 less the mean rank of {len(ranks)} pairs",
    theta=float(theta),
    low=float(theta - reach),
    high=float(theta + reach),
  )


def scores_are_consistent(
  study: study_lib.Study, models: Sequence[str], name: str
) -> rules.Verdict:
  """9: scores of two architectures correlate, corrected for noise."""
  parts, missing = [], False
  for index, first in enumerate(models):
    for second in models[index + 1 :]:
      part = correlation(study.scores(first), study.scores(second))
      missing |= part is None
      if part is not None:
        parts.append(part)
  return rules.Verdict(
    finding="9 scores are consistent over architectures",
    study=name,
    verdict=rules.CANNOT_TELL if missing else rules.all_of(parts),
    parts=tuple(parts),
  )


def correlation(
  first: groups.GroupScores, second: groups.GroupScores
) -> rules.Part | None:
  """Spearman's correlation from disjoint runs over its ceiling, less 0.8.

  None if the ceiling is unknown with some block left out. The interval leaves
  one block out at a time (jackknife), with Student's t.
  """
  blocks = np.array([unit.index for unit in first.stack.units]) // 10
  every = np.unique(blocks)
  estimates = [
    _corrected(first, second, blocks, every[every != left_out])
    for left_out in (-1, *every)
  ]
  if any(np.isnan(estimates)):
    return None
  theta, left = estimates[0] - 0.8, np.array(estimates[1:])
  count = len(left)
  error = np.sqrt((count - 1) / count * np.sum((left - left.mean()) ** 2))
  reach = stats.t.ppf(0.975, count - 1) * error
  return rules.Part(
    name=f"correlation of {first.group.label} and {second.group.label}, "
    "corrected, less 0.8",
    theta=float(theta),
    low=float(theta - reach),
    high=float(theta + reach),
  )


def _corrected(first, second, blocks, used) -> float:
  """(r12 + r21) / 2 / sqrt(r11 r22) of even and odd blocks; NaN if r <= 0."""
  halves = [
    [
      _scores(result.stack, np.isin(blocks, used) & (blocks % 2 == parity))
      for parity in (0, 1)
    ]
    for result in (first, second)
  ]
  (even1, odd1), (even2, odd2) = halves
  own = _spearman(even1, odd1) * _spearman(even2, odd2)
  if not own > 0:
    return float("nan")
  across = (_spearman(even1, odd2) + _spearman(even2, odd1)) / 2
  return float(across / np.sqrt(own))


def _scores(stack, rows: np.ndarray) -> np.ndarray:
  inside, outside = in_out.in_out_means(
    stack.correct[rows], stack.in_mask[rows]
  )
  return inside - outside


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
  known = ~(np.isnan(a) | np.isnan(b))
  return float(stats.spearmanr(a[known], b[known]).statistic)
