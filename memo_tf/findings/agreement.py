"""Do models agree on what is memorized, and do halves of their runs?

    findings/agreement/<recipe>/<subsets>/curves.parquet and .csv
    findings/agreement/<recipe>/<subsets>/models.parquet and .csv

Feldman & Zhang (2020, arXiv:2008.03703, section 3.4 and figure 7): the sets
above a threshold, and the high-influence pairs, of two architectures and of two
repeats of one; each beside what noise alone gives (`analysis.agreement`).
Imports no TensorFlow.
"""

from collections.abc import Sequence
import dataclasses
import itertools

import numpy as np
import pandas as pd

from memo_tf.analysis import agreement
from memo_tf.estimators import influence as influence_lib
from memo_tf.estimators import memorization
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.findings import cross_fit
from memo_tf.findings import table_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib

# Pairs are compared where computing those of one half takes at most so many
# multiplications; about 20 s.
MAX_PRODUCTS = 2e10
# The threshold of the sentence: Feldman & Zhang's.
SHOWN = 0.25
_WITHOUT = ("full", "two_sizes")
# Keys of pairs, by group and runs.
_Known = dict[tuple[work_units.Group, tuple[int, ...]], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelAgreement:
  """Models of one recipe and subset family, two at a time.

  Attributes:
    recipe, subsets: of the runs.
    curves: rows of `analysis.agreement.Agreement.curves` with `first` and
      `second`; a model beside itself is what noise alone gives.
    models: one row per two models: rank correlation, difference of test
      accuracy, and the Jaccard index of influence pairs from disjoint halves.
    sentences: what they say.
  """

  recipe: str
  subsets: str
  curves: pd.DataFrame
  models: pd.DataFrame
  sentences: tuple[str, ...]


def study_agreement(
  directory: directory_lib.StudyDirectory,
  results: Sequence[groups_lib.GroupScores],
  outputs: settings_lib.OutputsConfig,
) -> list[ModelAgreement]:
  """Compares the models of every recipe and subset family; writes the tables.

  Args:
    directory: of the study.
    results: `scoring.score_study`.
    outputs: thresholds of the pairs.

  Returns:
    One for each recipe and subset family that has a model with four blocks of
    runs or more.
  """
  families: dict[tuple[str, str], list[groups_lib.GroupScores]] = {}
  for result in results:
    key = (result.group.recipe, result.group.subsets)
    scheme = subsets_lib.parse_family(result.group.subsets).scheme
    if scheme not in _WITHOUT:
      families.setdefault(key, []).append(result)
  found = []
  for (recipe, subsets), members in families.items():
    one = compare(recipe, subsets, members, outputs)
    if one is None:
      continue
    table_files.write(
      directory,
      ("findings", "agreement", recipe, subsets),
      {"curves": one.curves, "models": one.models},
    )
    found.append(one)
  return found


def compare(
  recipe: str,
  subsets: str,
  members: Sequence[groups_lib.GroupScores],
  outputs: settings_lib.OutputsConfig,
) -> ModelAgreement | None:
  """Models two at a time, on the runs that both have; None if all have few."""
  curves, rows, sentences = [], [], []
  # The pairs of a half serve every comparison of its model.
  known: _Known = {}
  both = itertools.combinations_with_replacement(members, 2)
  for first, second in both:
    shared = _shared(first, second)
    if shared is None:
      continue
    rows_of, group = shared
    a, b = (m.stack.correct[r] for m, r in zip((first, second), rows_of))
    in_mask = first.stack.in_mask[rows_of[0]]
    agreed = agreement.agreement(a, b, in_mask, group)
    names = {"first": first.group.label, "second": second.group.label}
    curves.append(agreed.curves.assign(**names))
    accuracy = [
      _accuracy(m.stack.test_correct[r])
      for m, r in zip((first, second), rows_of)
    ]
    row = {
      **names,
      "num_runs": len(group),
      "correlation": agreed.correlation,
      "corrected": agreed.corrected,
      "corrected_low": agreed.corrected_low,
      "corrected_high": agreed.corrected_high,
      "test_accuracy_first": accuracy[0],
      "test_accuracy_second": accuracy[1],
      **_pairs(first, second, rows_of, group, outputs, known),
    }
    rows.append(row)
    sentences += _sentences(row, agreed.curves, first is second)
  if not rows:
    return None
  table = pd.concat(curves, ignore_index=True)
  order = ["first", "second"]
  return ModelAgreement(
    recipe=recipe,
    subsets=subsets,
    curves=table[order + [c for c in table.columns if c not in order]],
    models=pd.DataFrame(rows),
    sentences=tuple(sentences),
  )


def _accuracy(correct: np.ndarray) -> float:
  return float(correct.mean()) if correct.size else float("nan")


def _shared(first, second):
  """Rows of the runs that two groups share, and their groups of blocks.

  None if there are fewer than four.
  """
  own = [[unit.index for unit in m.stack.units] for m in (first, second)]
  shared = sorted(set(own[0]) & set(own[1]))
  if not shared:
    return None
  rows = [[indices.index(m) for m in shared] for indices in own]
  group = agreement.groups_of(cross_fit.blocks_of(first)[rows[0]])
  if group.max() + 1 < agreement.MIN_GROUPS:
    return None
  return rows, group


def _pairs(first, second, rows, group, outputs, known) -> dict[str, float]:
  """How far the influence pairs of disjoint halves agree.

  `pairs_jaccard` between the models, `pairs_within` of each model's own halves,
  and `pairs_chance`, the same with the runs of one half shuffled against their
  subsets, so that no influence is left; NaN where it is not computed. `known`
  keeps the pairs of each half.
  """
  names = ("pairs_jaccard", "pairs_within", "pairs_chance", "num_pairs")
  nothing = dict.fromkeys(names, float("nan"))
  num_test = len(first.stack.test_labels)
  size = len(group) / 2 * num_test * len(first.stack.labels)
  if not num_test or size > MAX_PRODUCTS:
    return nothing
  keys = []
  for member, row in zip((first, second), rows):
    for half in (0, 1):
      used = np.array(row)[group % 2 == half]
      name = (member.group, tuple(used.tolist()))
      if name not in known:
        known[name] = _keys(member, used, outputs)
      keys.append(known[name])
  a, b = keys[:2], keys[2:]
  used = np.array(rows[1])[group % 2 == 1]
  shuffled = _keys(second, used, outputs, shuffle=True)
  index = agreement.set_jaccard
  return {
    "pairs_jaccard": (index(a[0], b[1]) + index(a[1], b[0])) / 2,
    "pairs_within": (index(*a) + index(*b)) / 2,
    "pairs_chance": index(a[0], shuffled),
    "num_pairs": float(np.mean([len(k) for k in keys])),
  }


def _keys(member, rows, outputs, shuffle: bool = False) -> np.ndarray:
  """The high-influence pairs of some runs, as keys."""
  stack = member.stack
  in_mask, right = stack.in_mask[rows], stack.test_correct[rows]
  scores = memorization.memorization_scores(stack.correct[rows], in_mask)
  if shuffle:
    right = np.random.default_rng(0).permutation(right, axis=0)
  pairs = influence_lib.influential_pairs(
    right,
    in_mask,
    memorization=scores.memorization,
    min_memorization=outputs.min_memorization,
    min_influence=outputs.min_influence,
    train_labels=stack.labels,
    test_labels=stack.test_labels,
  )
  return agreement.pair_sets(pairs.train_ids, pairs.test_ids, len(stack.labels))


def _sentences(row, curves: pd.DataFrame, is_same: bool) -> list[str]:
  """What two models, or the halves of one, say in words."""
  at = curves[np.isclose(curves["threshold"], SHOWN)].iloc[0]
  sets = f"memorization of at least {SHOWN:g}"
  if is_same:
    return [
      f"Noise alone: two halves of the {row['num_runs']} runs of "
      f"{row['first']} agree on the images with {sets} to a Jaccard index of "
      f"{at['within']:.2f}."
    ]
  text = (
    f"{row['first']} and {row['second']} agree on the images with {sets} to a "
    f"Jaccard index of {at['jaccard']:.2f}, halves of one model to "
    f"{at['within']:.2f}: "
  )
  interval = f"[{at['ci_low']:+.2f}, {at['ci_high']:+.2f}]"
  if at["ci_high"] < 0:
    text += f"they differ beyond noise, by {at['difference']:+.2f} {interval}."
  else:
    text += (
      "cannot tell whether they differ beyond noise (difference "
      f"{at['difference']:+.2f} {interval})."
    )
  text += f" Rank correlation without noise: {row['corrected']:.2f} "
  text += f"[{row['corrected_low']:.2f}, {row['corrected_high']:.2f}]."
  return [text]
