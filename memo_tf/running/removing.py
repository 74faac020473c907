"""The round of a removal: what is left out is selected after the scores.

A launch whose plan lacks units of removal writes the selections that they need
from the scores of its round, and the next round has a plan with those units.
Imported only where runs are scored.
"""

import dataclasses

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal
from memo_tf.experiment import work_units
from memo_tf.scoring import groups
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import selections

# Below so many certain pairs, targeted removal takes all that are kept.
MIN_PAIRS = 10


def check_selected(
  only: list[work_units.WorkUnit], config: config_lib.StudyConfig, plan
) -> None:
  """Refuses `--work_units` of a removal that is not selected yet.

  Raises:
    UsageError: names the first one.
  """
  asked = {family.name for family in removal.families(config)}
  for unit in only:
    if unit.subsets in asked and unit.subsets not in plan.removed:
      raise errors.UsageError(
        f"--work_units names {unit.name}, but what {unit.subsets} leaves out "
        "is selected from scores, by a launch of the whole study (without "
        "--work_units) when all runs that are scored are done; or nothing can "
        "be left out"
      )


def next_plan(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: list[groups.GroupScores],
) -> tuple[plan_lib.Plan | None, list[str]]:
  """Writes the selections that are missing and possible.

  Args:
    directory: of the study.
    plan: of the round that was scored.
    results: its scores.

  Returns:
    The plan that also has the units of the new selections, None if there are
    none; and lines that say what was selected, or why nothing was.

  Raises:
    StudyError: if a selection is damaged.
  """
  config, lines = plan.config, []
  known = selections.written(directory, config)
  scored = {result.group: result for result in results}
  size = config.training.batch_size
  for family in removal.families(config):
    if family.name in known:
      continue
    selection = None
    if family.is_drawn:
      # As many as its arm leaves out, though scores may have changed since.
      if arm := known.get(removal.source(family).name):
        selection = dataclasses.replace(arm, family=family.name)
    elif result := _complete(family, plan, scored):
      digest = dataset_info.read_info(directory)["digest"]
      selection = select(family, result, config, digest)
      lines.append(_in_words(family, selection, size))
    else:
      lines.append(
        f"{family.name}: nothing is selected until all runs of {family.model} "
        f"on {plan.first_family} are done."
      )
    if selection is not None:
      _check_no_runs(directory, family, config)
      known[family.name] = selections.write(directory, selection)
  following = selections.plan(directory, config)
  has_more = set(following.removed) - set(plan.removed)
  return (following if has_more else None), lines


def select(
  family: removal.RemovalFamily,
  result: groups.GroupScores,
  config: config_lib.StudyConfig,
  dataset_digest: str,
) -> removal.Selection:
  """What a family leaves out, from the scores of its model.

  Args:
    family: to select for.
    result: the scores.
    config: of the study.
    dataset_digest: of its data set.
  """
  about: dict = {
    "scored_by": result.group.name,
    "runs": [unit.index for unit in result.stack.units],
    "estimator": result.chosen_estimator,
    "dataset_digest": dataset_digest,
  }
  scores = np.asarray(result.chosen.memorization)
  if family.base:
    scores, runs = _plain_scores(result.stack, config.removal.onion_subsets)
    about |= {"runs": runs, "estimator": "plain"}
  test_ids: tuple[int, ...] = ()
  if family.threshold is not None:
    with np.errstate(invalid="ignore"):
      ids = np.flatnonzero(scores >= family.threshold)
    about["threshold"] = family.threshold
  else:
    train, test, rule = _pairs(result, config)
    ids = np.unique(train)
    test_ids = tuple(np.unique(test).tolist())
    about |= {"pairs": rule, "num_pairs": len(train)}
  return removal.Selection(
    family=family.name,
    ids=tuple(ids.tolist()),
    num_examples=len(scores),
    test_ids=test_ids,
    about=about,
  )


def _plain_scores(
  stack: predictions.RunStack, num_compared: int
) -> tuple[np.ndarray, list[int]]:
  """Memorization `[N]` by the runs that an onion does not compare.

  Args:
    stack: all runs.
    num_compared: runs below this index are those before the removal.

  Returns:
    The scores, and the indices of the runs behind them.
  """
  runs = np.array([unit.index for unit in stack.units])
  rows = runs >= num_compared
  scores = memorization.memorization_scores(
    stack.correct[rows], stack.in_mask[rows]
  )
  return scores.memorization, runs[rows].tolist()


def _pairs(result, config) -> tuple[np.ndarray, np.ndarray, dict]:
  """Training and test ids of the high-influence pairs, and their rule."""
  outputs = config.outputs
  rule = {
    "min_memorization": outputs.min_memorization,
    "min_influence": outputs.min_influence,
    "same_class": True,
    "max_q_value": None,
  }
  pairs = result.influence
  if pairs is None:
    return np.array([], int), np.array([], int), rule
  train, test = pairs.train_ids, pairs.test_ids
  memorization = result.scores.memorization[train]
  kept = (
    (memorization >= outputs.min_memorization)
    & (pairs.influence >= outputs.min_influence)
    & (result.stack.labels[train] == result.stack.test_labels[test])
  )
  certain = kept & evidence.is_named(pairs.q_value)
  if certain.sum() >= MIN_PAIRS:
    kept, rule["max_q_value"] = certain, evidence.MAX_Q_VALUE
  return train[kept], test[kept], rule


def _complete(family, plan, scored) -> groups.GroupScores | None:
  """The scores of a family's model; None unless all its runs are done."""
  group = work_units.Group(
    family.model, removal.recipe(plan.config), plan.first_family
  )
  result = scored.get(group)
  return None if result is None or result.num_missing else result


def _check_no_runs(directory, family, config) -> None:
  """Refuses to select again what finished runs were trained without.

  Raises:
    StudyError: if there are any.
  """
  unit = work_units.WorkUnit(
    family.model, removal.recipe(config), family.name, 0
  )
  if any(directory.run_dir(unit).parent.glob("*/run.json")):
    raise errors.StudyError(
      f"{selections.path(directory, family.name)} is missing, and there are "
      "runs without the examples that it named: restore it from a copy, or "
      "move those runs away."
    )


def _in_words(family, selection, batch_size: int) -> str:
  """What was selected, or why no run follows from it."""
  count, total = len(selection.ids), selection.num_examples
  what = f"are in a high-influence pair of {family.model}"
  if family.threshold is not None:
    what = f"have memorization of at least {family.threshold:g} by "
    what += family.model
  if family.base:
    what += f" in the {len(selection.about['runs'])} runs that select"
  text = "Onion" if family.base else "Removal"
  text += f": {count} of {total} training examples {what}"
  if not selection.can_train(batch_size):
    reason = "there is nothing to leave out"
    if count:
      reason = f"the other {total - count} do not fill a batch of {batch_size}"
    return f"{text}: no runs without them, since {reason}."
  return f"{text}; written to subsets/{family.name}.json."
