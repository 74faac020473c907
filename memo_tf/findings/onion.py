"""Memorization of the other examples, without the most memorized ones.

    findings/onion/<model>/<recipe>/means.parquet and .csv
    findings/onion/<model>/<recipe>/changes.parquet and .csv
    findings/onion/<model>/<recipe>/examples.parquet and .csv
    findings/onion/<model>/<recipe>/findings.parquet and .csv

Written where a study asks for it (`--onion_subsets`). The runs before are the
study's own on the same subsets, and never those that selected. Imports no
TensorFlow.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis import evidence
from memo_tf.analysis import onion as analysis
from memo_tf.estimators import in_out
from memo_tf.estimators import q_values
from memo_tf.experiment import errors
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal
from memo_tf.experiment import work_units
from memo_tf.findings import cross_fit
from memo_tf.findings import onion_sentences as sentences_lib
from memo_tf.findings import removal as removal_findings
from memo_tf.findings import table_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.scoring import stuck_runs
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import selections

# The arms of a comparison.
BEFORE, MEMORIZED, CONTROL = "before", "memorized", "control"
PAIRS = ((BEFORE, MEMORIZED), (BEFORE, CONTROL), (CONTROL, MEMORIZED))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnionStudy:
  """One model's memorization without what it memorizes most.

  Attributes:
    model, recipe: of the runs.
    means: one row per threshold and arm: mean scores of the examples that all
      arms keep.
    changes: one row per threshold and two arms: changes of the means, and the
      fields of `analysis.onion.Layer`; how many examples rise and fall for
      certain.
    examples: one row per threshold and training example: scores by arm, NaN
      where an arm never trains on it, and their changes with q-values.
    sentences: what they say.
    notes: what could not be compared, and why.
  """

  model: str
  recipe: str
  means: pd.DataFrame
  changes: pd.DataFrame
  examples: pd.DataFrame
  sentences: tuple[str, ...]
  notes: tuple[str, ...]

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name."""
    return {
      "means": self.means,
      "changes": self.changes,
      "examples": self.examples,
      "findings": table_files.said(self.sentences, self.notes),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Arms:
  """Paired runs of one threshold.

  `block` is int `[M]`, the block of each run; `correct` bool `[M, N]` by arm,
  `in_mask` bool `[M, N]` that of the runs before; `left_out` bool `[N]` by arm.
  """

  threshold: float
  block: np.ndarray
  correct: dict[str, np.ndarray]
  in_mask: np.ndarray
  left_out: dict[str, np.ndarray]

  def mask_of(self, *arms: str) -> np.ndarray:
    """bool `[M, N]`: which examples are in the run of each of these arms."""
    mask = self.in_mask.copy()
    for arm in arms:
      if arm in self.left_out:
        mask[:, self.left_out[arm]] = False
    return mask


def read(
  directory: directory_lib.StudyDirectory, plan: plan_lib.Plan
) -> dict[str, predictions.RunStack]:
  """The finished runs of every family of an onion, by its name.

  Raises:
    DamagedRunError: if a run is damaged.
    StudyError: if a run was trained on other examples than its family's.
  """
  found = {}
  for group, units in plan.groups().items():
    family = group.subsets
    if family not in plan.removed or not removal.is_onion(family):
      continue
    own = (removal.parse(family).model, removal.recipe(plan.config))
    done = removal_findings.finished(directory, units)
    if done and own == group[:2]:  # others are runs that the units require
      found[family] = predictions.stack_runs(directory, done)
  return found


def study_onion(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: Sequence[groups_lib.GroupScores],
) -> list[OnionStudy]:
  """Compares the arms of every model, and writes the tables.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`.

  Returns:
    One for each model; empty if the study does not ask for it.

  Raises:
    StudyError: as `read`; or if a selection is damaged.
  """
  config = plan.config
  if not config.removal.onion_subsets:
    return []
  stacks = read(directory, plan)
  known = selections.written(directory, config)
  scored = {result.group: result for result in results}
  recipe = removal.recipe(config)
  studies = []
  for model in config.removal.removal_models or config.models.models:
    before = scored.get(work_units.Group(model, recipe, plan.first_family))
    arms, notes, words = [], [], {}
    for threshold in sorted(config.removal.removal_thresholds):
      found, text = _arms(plan, model, threshold, before, stacks, known)
      if found is None:
        notes.append(text)
      else:
        arms.append(found)
        words[threshold] = text
    one = _study(model, recipe, arms, before, words, notes)
    table_files.write(
      directory, ("findings", "onion", model, recipe), one.tables()
    )
    studies.append(one)
  return studies


def _arms(
  plan, model, threshold, before, stacks, known
) -> tuple[_Arms | None, str]:
  """Paired runs, and what is left out in words; or None, and why."""
  family = removal.RemovalFamily(
    arm=removal.MEMORIZED,
    model=model,
    threshold=threshold,
    base=plan.first_family,
  )
  names = {
    MEMORIZED: family.name,
    CONTROL: dataclasses.replace(family, arm=removal.SAME_CLASSES).name,
  }
  chosen = [known.get(name) for name in names.values()]
  if before is None or None in chosen:
    return None, f"{family.name}: nothing is selected yet."
  what = removal_findings.in_words(chosen[0], threshold)
  if family.name not in plan.removed:
    return None, f"Not trained without {what}."
  if not set(names.values()) <= set(stacks):
    return None, f"{family.name}: no run is finished in both arms."
  all_stacks = {BEFORE: before.stack}
  all_stacks |= {arm: stacks[name] for arm, name in names.items()}
  selecting = set(chosen[0].about["runs"])
  runs = [_used(all_stacks[arm], plan.config.outputs) for arm in names]
  runs.append({unit.index for unit in before.stack.units})
  indices = sorted(set.intersection(*runs) - selecting)
  if len(indices) < 2:
    return None, f"{family.name}: fewer than two runs are in all arms."
  rows = {
    arm: np.isin([u.index for u in stack.units], indices)
    for arm, stack in all_stacks.items()
  }
  labels, seed = before.stack.labels, plan.config.running.seed
  left_out = {
    arm: np.isin(np.arange(len(labels)), selection.left_out(labels, seed))
    for arm, selection in zip(names, chosen)
  }
  found = _Arms(
    threshold=threshold,
    block=cross_fit.blocks_of(before)[rows[BEFORE]],
    correct={arm: s.correct[rows[arm]] for arm, s in all_stacks.items()},
    in_mask=before.stack.in_mask[rows[BEFORE]],
    left_out=left_out,
  )
  for arm, name in names.items():
    if not np.array_equal(
      all_stacks[arm].in_mask[rows[arm]], found.mask_of(arm)
    ):
      raise errors.StudyError(
        f"The runs of {name} were not trained on the subsets of "
        f"{family.base} without what subsets/{name}.json leaves out: restore "
        "it from a copy."
      )
  return found, what


def _used(stack: predictions.RunStack, outputs) -> set[int]:
  """Indices of the runs that count, as of the runs before (`score_group`)."""
  fit = {
    unit.name: right[members].mean()
    for unit, right, members in zip(stack.units, stack.correct, stack.in_mask)
  }
  stuck = dict(
    stuck_runs.find_stuck(fit) if outputs.exclude_flagged_runs else ()
  )
  return {unit.index for unit in stack.units if unit.name not in stuck}


def _study(model, recipe, arms, before, words, notes) -> OnionStudy:
  """The comparisons of one model."""
  means: list[pd.DataFrame] = []
  changes: list[pd.DataFrame] = []
  examples: list[pd.DataFrame] = []
  sentences: list[str] = []
  for found in arms:
    parts = _compare(found, before.stack.labels)
    for table, part in zip((means, changes, examples), parts):
      part.insert(0, "threshold", found.threshold)
      table.append(part)
    sentences += sentences_lib.in_words(
      words[found.threshold], *_steps(*parts[:2])
    )
  return OnionStudy(
    model=model,
    recipe=recipe,
    means=_joined(means),
    changes=_joined(changes),
    examples=_joined(examples),
    sentences=tuple(sentences),
    notes=tuple(notes),
  )


def _compare(
  found: _Arms, labels: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
  """Means, changes and examples of one threshold."""
  kept = ~(found.left_out[MEMORIZED] | found.left_out[CONTROL])
  common = {arm: right[:, kept] for arm, right in found.correct.items()}
  in_mask = found.in_mask[:, kept]
  means, changes = analysis.mean_changes(common, in_mask, found.block, PAIRS)
  counts = {"num_runs": len(in_mask), "num_examples": int(kept.sum())}
  for name, value in counts.items():
    means[name] = value
  examples = _scores(found, labels)
  rows = []
  for first, second in PAIRS:
    layer = analysis.layer(
      common[first], common[second], in_mask, found.threshold
    )
    rows.append(counts | dataclasses.asdict(layer))
    change, q_value = _certainty(found, first, second)
    named = evidence.is_named(q_value)
    rows[-1] |= {
      "num_rise": int((named & (change > 0)).sum()),
      "num_fall": int((named & (change < 0)).sum()),
    }
    examples[f"change_{first}_{second}"] = change
    examples[f"q_value_{first}_{second}"] = q_value
  return means, changes.join(pd.DataFrame(rows)), examples


def _scores(found: _Arms, labels: np.ndarray) -> pd.DataFrame:
  """One row per training example: its memorization by arm."""
  table: dict = {"example_id": np.arange(len(labels)), "label": labels}
  for arm, lacks in found.left_out.items():
    table[f"left_out_{arm}"] = lacks
  for arm, right in found.correct.items():
    inside, outside = in_out.in_out_means(right, found.mask_of(arm))
    table[f"memorization_{arm}"] = inside - outside
  return pd.DataFrame(table)


def _certainty(found: _Arms, first, second) -> tuple[np.ndarray, np.ndarray]:
  """Change and q-value of every example that both arms keep; else NaN."""
  change, p_value = analysis.changes_of_examples(
    found.correct[first], found.correct[second], found.mask_of(first, second)
  )
  q_value = np.full(len(change), np.nan)
  known = ~np.isnan(p_value)
  q_value[known] = q_values.q_values(p_value[known], int(known.sum()))
  return change, q_value


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
  return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _steps(
  means: pd.DataFrame, changes: pd.DataFrame
) -> tuple[float, dict, dict, dict]:
  """Of one threshold: mean memorization before, and the changes of `PAIRS`."""
  before = means.loc[means["arm"] == BEFORE, "memorization"].item()
  rows = changes.set_index(["from_arm", "to_arm"]).to_dict("index")
  since, random, between = (rows[pair] for pair in PAIRS)
  return before, since, random, between
