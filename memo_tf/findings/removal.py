"""Training without memorized examples: what it does to test accuracy.

    findings/removal/<model>/<recipe>/runs.parquet and .csv
    findings/removal/<model>/<recipe>/effects.parquet and .csv
    findings/removal/<model>/<recipe>/findings.parquet and .csv

The runs that are compared here are never those that chose the examples
(`experiment.removal`), and their own examples get no scores: an arm leaves the
same examples out of every run. Imports no TensorFlow.
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from memo_tf.analysis import removal as analysis
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import removal
from memo_tf.experiment import work_units
from memo_tf.findings import table_files
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import selections

# The test examples on which accuracy is compared.
ALL, WITHOUT_TWINS, OF_PAIRS = "all", "without_near_duplicates", "of_pairs"
_CONTROLS = {
  removal.SAME_CLASSES: "as many random ones of the same classes",
  removal.RANDOM: "as many random ones",
  removal.TARGETED: "as many random ones of the same classes",
}
_TESTS = {
  ALL: "test images",
  WITHOUT_TWINS: "test images without a near duplicate in the training set",
  OF_PAIRS: "test images of the pairs",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemovalStudy:
  """One model with and without the examples that it memorizes.

  Attributes:
    model, recipe: of the runs.
    runs: one row per run: arm, threshold, index, accuracies.
    effects: one row per comparison, threshold and set of test examples: the
      fields of `analysis.removal.PairedDifference`, and for targeted removal
      the share that the pairs' test examples explain.
    sentences: what the effects say.
    notes: what could not be compared, and why.
  """

  model: str
  recipe: str
  runs: pd.DataFrame
  effects: pd.DataFrame
  sentences: tuple[str, ...]
  notes: tuple[str, ...]

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name."""
    return {
      "runs": self.runs,
      "effects": self.effects,
      "findings": table_files.said(self.sentences, self.notes),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Arm:
  """The finished runs of a family: `test_correct` is bool `[R, T]`."""

  family: removal.RemovalFamily
  indices: list[int]
  in_accuracy: np.ndarray
  test_correct: np.ndarray


def read(
  directory: directory_lib.StudyDirectory, plan: plan_lib.Plan
) -> dict[str, _Arm]:
  """The finished runs of every family without some examples, by its name.

  Raises:
    DamagedRunError: if a run is damaged.
    StudyError: if a run was trained on other examples than its family's.
  """
  found, recipe = {}, removal.recipe(plan.config)
  for group, units in plan.groups().items():
    family = group.subsets
    if family not in plan.removed or removal.is_onion(family):
      continue
    if (removal.parse(family).model, recipe) != group[:2]:
      continue  # runs that the units require
    done = finished(directory, units)
    if not done:
      continue
    stack = predictions.stack_runs(directory, done)
    found[family] = _Arm(
      family=removal.parse(family),
      indices=[unit.index for unit in done],
      in_accuracy=np.array(
        [c[m].mean() for c, m in zip(stack.correct, stack.in_mask)]
      ),
      test_correct=stack.test_correct,
    )
  return found


def finished(
  directory: directory_lib.StudyDirectory, units: list[work_units.WorkUnit]
) -> list[work_units.WorkUnit]:
  """Those of some units that are done."""
  found = []
  for unit in units:
    state = directory.run_state(unit, check_digests=False)
    if state.record is not None and not state.problem:
      found.append(unit)
  return found


def study_removal(
  directory: directory_lib.StudyDirectory, plan: plan_lib.Plan
) -> list[RemovalStudy]:
  """Compares the arms of every model, and writes the tables.

  Args:
    directory: of the study.
    plan: of the study.

  Returns:
    One for each model that was trained without some examples; empty if the
    study does not ask for it, or has no such run yet.

  Raises:
    StudyError: as `read`; or if a selection is damaged.
  """
  config = plan.config
  if not config.removal.removal_repeats:
    return []
  arms = read(directory, plan)
  known = selections.written(directory, config)
  twins = _without_twins(directory)
  studies = []
  for model in config.removal.removal_models or config.models.models:
    own = {n: s for n, s in known.items() if removal.parse(n).model == model}
    if not own:
      continue
    group = work_units.Group(model, removal.recipe(config), "")
    found = _study(plan, group, arms, own, twins)
    place = ("findings", "removal", model, group.recipe)
    table_files.write(directory, place, found.tables())
    studies.append(found)
  return studies


def _study(plan, group, arms, known, twins) -> RemovalStudy:
  """The comparisons of one model."""
  effects: list[dict[str, Any]] = []
  sentences: list[str] = []
  notes: list[str] = []
  for comparison, threshold in _asked(plan.config.removal):
    name, control = (
      removal.RemovalFamily(arm=a, model=group.model, threshold=threshold).name
      for a in removal.ARMS[comparison]
    )
    selection = known.get(name)
    if selection is None:
      notes.append(f"{name}: nothing is selected yet.")
      continue
    what = in_words(selection, threshold)
    if name not in plan.removed:
      notes.append(f"Not trained without {what}.")
      continue
    shared = _shared(arms, name, control)
    if not shared:
      notes.append(f"{name}: no repeat is finished in both arms.")
      continue
    row = {
      "comparison": comparison,
      "threshold": np.nan if threshold is None else threshold,
      "num_removed": len(selection.ids),
      "share_removed": selection.share,
    }
    rows, said = _compare(
      comparison, what, [arms[control], arms[name]], shared, selection, twins
    )
    effects += [row | r for r in rows]
    sentences += said
  return RemovalStudy(
    model=group.model,
    recipe=group.recipe,
    runs=_runs([a for n, a in arms.items() if n in known], twins),
    effects=pd.DataFrame(effects),
    sentences=tuple(sentences),
    notes=tuple(dict.fromkeys(notes)),
  )


def _asked(settings) -> list[tuple[str, float | None]]:
  """Comparisons and their thresholds, in order."""
  return [
    (comparison, threshold)
    for comparison in settings.removal_comparisons
    for threshold in (
      [None]
      if comparison == removal.TARGETED
      else sorted(settings.removal_thresholds)
    )
  ]


def _compare(
  comparison, what, pair, shared, selection, twins
) -> tuple[list[dict[str, Any]], list[str]]:
  """Rows and sentences of a control and an arm, in this order."""
  correct = [
    arm.test_correct[[arm.indices.index(m) for m in shared]] for arm in pair
  ]
  tests = {ALL: np.arange(correct[0].shape[1])}
  if twins is not None and len(twins) < len(tests[ALL]):
    tests[WITHOUT_TWINS] = twins
  if selection.test_ids:
    tests[OF_PAIRS] = np.array(selection.test_ids)
  rows, sentences = [], []
  for name, ids in tests.items():
    if not len(ids):
      continue
    found = analysis.paired_difference(correct[0][:, ids], correct[1][:, ids])
    row = {"tests": name, **dataclasses.asdict(found)}
    sentences.append(
      analysis.sentence(what, _CONTROLS[comparison], found, _TESTS[name])
    )
    if name == OF_PAIRS:
      share = analysis.explained_share(correct[0], correct[1], ids)
      row |= {f"explained_{k}": v for k, v in dataclasses.asdict(share).items()}
      sentences.append(_share_in_words(share, len(ids)))
    rows.append(row)
  return rows, sentences


def _share_in_words(share: analysis.ExplainedShare, count: int) -> str:
  if np.isnan(share.ci_low):
    return (
      "Cannot tell which share of the whole difference these "
      f"{count} test images explain, since that may be 0."
    )
  return (
    f"These {count} test images explain {100 * share.share:.0f} % "
    f"[{100 * share.ci_low:.0f}, {100 * share.ci_high:.0f}] of the whole "
    "difference."
  )


def in_words(selection: removal.Selection, threshold: float | None) -> str:
  """What a selection leaves out, in words."""
  images = f"the {len(selection.ids)} training images"
  if threshold is None:
    return f"{images} of high-influence pairs"
  return f"{images} with memorization of at least {threshold:g}"


def _shared(arms, name: str, control: str) -> list[int]:
  """The repeats that both arms have."""
  if name not in arms or control not in arms:
    return []
  return sorted({*arms[name].indices} & {*arms[control].indices})


def _runs(arms: list[_Arm], twins: np.ndarray | None) -> pd.DataFrame:
  """One row per run; whether it interpolates is its in_accuracy."""
  rows = []
  for arm in arms:
    threshold = arm.family.threshold
    for m, inside, correct in zip(
      arm.indices, arm.in_accuracy, arm.test_correct
    ):
      rows.append(
        {
          "arm": arm.family.arm,
          "threshold": np.nan if threshold is None else threshold,
          "index": m,
          "in_accuracy": inside,
          "test_accuracy": correct.mean() if len(correct) else np.nan,
          "test_accuracy_without_near_duplicates": correct[twins].mean()
          if twins is not None and len(twins)
          else np.nan,
        }
      )
  return pd.DataFrame(rows)


def _without_twins(directory) -> np.ndarray | None:
  """Ids of the test examples without a near duplicate in the training set.

  None if duplicates were not looked for.
  """
  table = predictions.read_examples(directory)
  tests = table[table["split"] == "test"]
  columns = [
    c
    for c in ("duplicate_of_train", "near_duplicate_of_train")
    if c in tests.columns
  ]
  if not columns:
    return None
  return np.flatnonzero((tests[columns] < 0).all(axis=1).to_numpy())
