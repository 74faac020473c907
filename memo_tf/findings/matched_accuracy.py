"""A recipe beside one-hot groups that fit their subsets equally well.

See `analysis.distillation.matched`. The groups are those of the same subsets
trained with `one_hot`, for any number of epochs: of the same model if they will
do, otherwise of any size. Imports no TensorFlow.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memo_tf.analysis.distillation import matched
from memo_tf.analysis.distillation import paired
from memo_tf.estimators import resampling
from memo_tf.findings import compared_recipes
from memo_tf.scoring import groups

BASELINE = "one_hot"


def is_one_hot(recipe: str) -> bool:
  """Whether a recipe is `one_hot`, for any number of epochs."""
  return recipe == BASELINE or recipe.startswith(f"{BASELINE}-")


def table(
  compared: compared_recipes.RecipeComparison,
  members: Sequence[groups.GroupScores],
) -> pd.DataFrame:
  """Memorization at matched training accuracy, one row per size.

  Args:
    compared: a recipe beside one_hot.
    members: the groups of its model family and subsets; those that are one_hot
      and have at least half of its runs count, on the runs that all have.

  Returns:
    size, model (and with several matched sizes a row of size -1, their mean);
    num_runs; in_accuracy and memorization of the recipe; lower and upper, the
    nearest one-hot groups, with `_in_accuracy`; and matched_memorization, that
    of one-hot at this in-accuracy, and change, the recipe's less that, with
    _low and _high. NaN where it cannot be told.
  """
  recipe_side = [pair[1] for pair in compared.groups]
  runs = [recipe_side[0].stack.units[m].index for m in compared.rows[0][1]]
  references, kept = _references(members, runs)
  bootstrap = resampling.paired_bootstrap(
    len(kept), block=compared.block[np.isin(runs, kept)]
  )
  if bootstrap is None:
    return pd.DataFrame()
  accuracies = {
    group.group: _accuracies(group, kept, bootstrap)
    for group in (*references, *recipe_side)
  }
  rows, changes = [], []
  for size, group in enumerate(recipe_side):
    own = accuracies[group.group]
    # Stable, so that sizes stay in order behind the model's own groups.
    order = sorted(references, key=lambda r: r.group.model != group.group.model)
    found, used = _match(group, order, accuracies, bootstrap)
    row: dict = {
      "size": size,
      "model": group.group.label,
      "num_runs": len(kept),
      "in_accuracy": own[0, 0],
      "memorization": own[0, 0] - own[0, 1],
    }
    for side, index in (("lower", found.lower), ("upper", found.upper)):
      known = index is not None
      row[side] = _name(used[index].group, group.group) if known else ""
      row[f"{side}_in_accuracy"] = (
        accuracies[used[index].group][0, 0] if known else np.nan
      )
    line = found.out_accuracy
    change = np.full(len(own), np.nan) if line is None else line - own[:, 1]
    if line is not None:
      changes.append(change)
    rows.append(row | _ends(row["memorization"], change, bootstrap))
  if len(changes) > 1:
    row = {"size": paired.ALL_SIZES, "model": "mean over matched sizes"}
    row |= {"num_runs": len(kept), "lower": "", "upper": ""}
    rows.append(row | _ends(np.nan, np.mean(changes, axis=0), bootstrap))
  return pd.DataFrame(rows)


def _references(members, runs: list[int]):
  """The one-hot groups that count, and the runs that all of them have."""
  wanted, references, kept = set(runs), [], set(runs)
  for member in members:
    own = {unit.index for unit in member.stack.units} & wanted
    if is_one_hot(member.group.recipe) and 2 * len(own) >= len(wanted):
      references.append(member)
      kept &= own
  return references, sorted(kept)


def _accuracies(
  group: groups.GroupScores,
  runs: list[int],
  bootstrap: resampling.PairedBootstrap,
) -> np.ndarray:
  """`[R + 1, 2]`: mean in- and out-accuracy over the examples."""
  places = {unit.index: m for m, unit in enumerate(group.stack.units)}
  rows = [places[index] for index in runs]
  stack = group.stack
  figures = paired.replicates(
    stack.correct[rows][None],
    stack.in_mask[rows],
    np.zeros((1, len(rows), 0), bool),
    bootstrap,
  )
  wanted = [paired.FIGURES.index(f"{side}_accuracy") for side in ("in", "out")]
  return figures[:, 0, wanted]


def _match(group, references, accuracies, bootstrap):
  """Among the model's own groups, or else all; the match and these groups."""
  own = [r for r in references if r.group.model == group.group.model]
  in_accuracy = accuracies[group.group][:, 0]
  for used in (own, references):
    values = np.stack([accuracies[r.group] for r in used], axis=1)
    found = matched.match(in_accuracy, values, bootstrap)
    if found.out_accuracy is not None:
      break
  return found, used


def _name(reference, group) -> str:
  """The reference's recipe, with its model where that is another."""
  if reference.model == group.model:
    return reference.recipe
  return f"{reference.label} {reference.recipe}"


def _ends(memorization: float, change: np.ndarray, bootstrap) -> dict:
  ends = bootstrap.intervals(change[:, None])[0]
  return {
    "matched_memorization": memorization - ends[0],
    "change": ends[0],
    "change_low": ends[1],
    "change_high": ends[2],
  }
