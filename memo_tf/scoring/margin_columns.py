"""Scores from margins of a study's groups, beside the plain ones.

Every run stores its margins, so these need no further run. In a group's
`memorization.parquet` they are the columns

    memorization_margin           of the group's own runs
    margin_ci_low, margin_ci_high its 95 % interval
    memorization_margin_sizes     with the other sizes of its ladder, if there
                                  are any; the interval is the same

and the metadata `margin_…` say how well margins follow their law and how many
examples fall back to their share of right runs. `--estimator` chooses the
scores that figures are made of.
"""

from collections.abc import Sequence
import json

import numpy as np
import pandas as pd

from memo_tf.estimators import influence
from memo_tf.estimators import margin_influence
from memo_tf.estimators import margin_sizes
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.estimators import widths as widths_lib
from memo_tf.store import predictions


def has_copies(examples: pd.DataFrame) -> np.ndarray:
  """bool `[N]`: training examples with another copy in the training set.

  Whether its copy is in a run's subset gives such an example's margins two
  modes. Counts equal and near copies, found or planted, on both sides.

  Args:
    examples: rows of the training examples of `dataset/examples.parquet`.
  """
  ids = np.arange(len(examples))
  result = np.zeros(len(examples), bool)
  for name in ("duplicate_of_train", "near_duplicate_of_train", "origin_id"):
    if name not in examples:
      continue
    other = examples[name].to_numpy()
    copies = (other >= 0) & (other != ids)
    result |= copies
    result[other[copies]] = True
  return result


def tally_of(
  stack: predictions.RunStack,
  scores: memorization.MemorizationScores,
) -> margins.MarginTally | None:
  """The margins of a group's runs, tallied for the estimand of its scores.

  None where they are not known, which is possible of runs made elsewhere.
  """
  if np.isnan(stack.margin).any():
    return None
  return margins.tally_of(
    stack.margin,
    stack.in_mask,
    correct=stack.correct,
    indices=np.array([unit.index for unit in stack.units]),
    estimand=scores.estimand,
  )


def of_sizes(
  tallies: Sequence[margins.MarginTally], examples: pd.DataFrame
) -> tuple[margins.MarginScores, ...]:
  """Scores of the sizes of a ladder together, one for each tally."""
  return margin_sizes.scores_of_sizes(tallies, use_counts=has_copies(examples))


def of_pairs(
  stack: predictions.RunStack, pairs: influence.InfluencePairs | None
) -> margin_influence.MarginInfluence | None:
  """Influence of the same pairs from margins; None without margins."""
  if pairs is None or pairs.estimand == "paper":
    return None
  if not np.isfinite(stack.test_margin).all():  # given as correctness alone
    return None
  return margin_influence.margin_influence(
    stack.test_margin,
    stack.in_mask,
    pairs.train_ids,
    pairs.test_ids,
    num_tested=pairs.num_tested,
  )


def columns(
  found: margins.MarginScores, together: margins.MarginScores | None
) -> dict[str, np.ndarray]:
  """The columns of the score file by name, `[N]` each."""
  result = {
    "memorization_margin": found.memorization,
    "margin_ci_low": found.ci_low,
    "margin_ci_high": found.ci_high,
  }
  if together is not None:
    result["memorization_margin_sizes"] = together.memorization
  return result


def metadata(found: margins.MarginScores) -> dict:
  """What the score file says of the margins."""
  return {
    "margin_interval": "95 %, normal margins with moderated variances, misfit "
    "included",
    "margin_misfit": found.misfit,
    "margin_ambiguous_misfit": found.ambiguous_misfit,
    "margin_prior_degrees_in": found.prior_degrees_in,
    "margin_prior_degrees_out": found.prior_degrees_out,
    "margin_fallbacks": json.dumps(found.fallbacks()),
  }


def in_words(
  found: margins.MarginScores, scores: memorization.MemorizationScores
) -> str:
  """How sure the scores from margins are, and how far from the plain ones."""
  own = widths_lib.margin_widths(found)
  if np.isnan(own.mean):
    return ""
  difference = _mean(np.square(found.memorization - scores.memorization))
  text = f" From margins an interval is {own.mean:.2f} wide on average"
  if own.num_ambiguous:
    text += (
      f", and {own.ambiguous:.2f} for an ambiguous image (there are "
      f"{own.num_ambiguous})"
    )
  text += (
    f"; these scores differ from the plain ones by {np.sqrt(difference):.3f} "
    "(root mean square)."
  )
  if found.misfit > 0:
    text += f" Margins are not quite normal: an error of {found.misfit:.3f}"
    if found.ambiguous_misfit > 0:
      text += f", for ambiguous images {found.ambiguous_misfit:.3f}"
    text += ", which the intervals include."
  fallbacks = found.fallbacks()
  if fallbacks:
    reasons = ", ".join(f"{reason}: {n}" for reason, n in fallbacks.items())
    text += f" Images scored by counts instead: {reasons}."
  return text


def _mean(values: np.ndarray) -> float:
  values = values[~np.isnan(values)]
  return float(values.mean()) if values.size else float("nan")
