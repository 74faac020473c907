"""What a second recipe changes of memorization, in sentences with intervals.

Each sentence is computed, and says that something rises or falls only if the
95 % interval excludes 0 (`analysis.evidence`). The questions are the claims of
Lukasik et al. (2024) about distillation.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memo_tf.analysis import evidence
from memo_tf.analysis.distillation import paired
from memo_tf.analysis.distillation import sets as sets_lib
from memo_tf.analysis.sizes import sentences

_VERBS = {
  evidence.RISES: "rises",
  evidence.FALLS: "falls",
  evidence.UNSURE: "is not shown to change",
}


def mean_findings(
  models: Sequence[str], changes: pd.DataFrame
) -> list[sentences.Finding]:
  """Whether mean memorization and its two parts change.

  Args:
    models: S names, ascending.
    changes: from `paired.mean_changes`.
  """
  row = changes.iloc[-1].to_dict()
  where = f"at {models[0]}"
  if len(models) > 1:
    sizes = changes[changes["size"] != paired.ALL_SIZES]
    counts = pd.Series(
      [
        evidence.direction(low, high)
        for low, high in zip(
          sizes["memorization_change_low"], sizes["memorization_change_high"]
        )
      ]
    ).value_counts()
    where = (
      f"on average over {len(models)} sizes (falls at "
      f"{counts.get(evidence.FALLS, 0)}, rises at "
      f"{counts.get(evidence.RISES, 0)})"
    )
  memorization = _direction(row, "memorization")
  inside, tested = (_direction(row, f"{n}_accuracy") for n in ("in", "test"))
  return [
    sentences.Finding(
      question="Does it lower mean memorization?",
      answer=_answer(memorization, evidence.FALLS),
      text=f"Mean memorization {_VERBS[memorization]} {where}: "
      f"{_change(row, 'memorization')}; in-accuracy "
      f"{_change(row, 'in_accuracy')}, held-out accuracy "
      f"{_change(row, 'out_accuracy')}.",
    ),
    sentences.Finding(
      question="Does it lower training accuracy?",
      answer=_answer(inside, evidence.FALLS),
      text=f"Accuracy in the subset {_VERBS[inside]}: "
      f"{_change(row, 'in_accuracy')}.",
    ),
    sentences.Finding(
      question="Does it raise test accuracy?",
      answer=_answer(tested, evidence.RISES),
      text=f"Test accuracy {_VERBS[tested]}: {_change(row, 'test_accuracy')}.",
    ),
  ]


def matched_finding(table: pd.DataFrame) -> sentences.Finding:
  """Whether memorization falls beside one-hot models that fit as well.

  Args:
    table: as from `findings.matched_accuracy.table`.
  """
  sizes = table[table["size"] != paired.ALL_SIZES].to_dict("records")
  known = [row for row in sizes if not np.isnan(row["change"])]
  parts = [
    f"cannot tell at {row['model']}, whose accuracy in the subset of "
    f"{row['in_accuracy']:.4f} {_missing(row)}"
    for row in sizes
    if np.isnan(row["change"])
  ]
  answer = "open"
  if known:
    row = known[0] if len(known) == 1 else table.to_dict("records")[-1]
    direction = evidence.direction(row["change_low"], row["change_high"])
    answer = _answer(direction, evidence.FALLS)
    each = "; ".join(_beside(row) for row in known)
    where = f" on average over {len(known)} sizes" if len(known) > 1 else ""
    verb = _VERBS[direction]
    parts.insert(0, f"memorization {verb}{where}: {_matched(row)} ({each})")
  return sentences.Finding(
    question="Does it lower memorization at matched training accuracy?",
    answer=answer,
    text="Beside one-hot models of the same accuracy in the subset: "
    f"{'; '.join(parts)}.",
  )


def _matched(row: dict) -> str:
  return (
    f"{row['change']:+.4f} [{row['change_low']:+.4f}, "
    f"{row['change_high']:+.4f}]"
  )


def _beside(row: dict) -> str:
  """What a size is set against: "cifar_resnet-8 between one_hot-e7 and …"."""
  beside = f"beside {row['lower']}"
  if row["lower"] != row["upper"]:
    beside = f"between {row['lower']} and {row['upper']}"
  return f"{row['model']}, {row['in_accuracy']:.4f}, {beside}"


def _missing(row: dict) -> str:
  """Why there are no one-hot models to match."""
  if row["lower"] and row["upper"]:
    return (
      f"lies in a gap of one-hot models, from {row['lower_in_accuracy']:.4f} "
      f"to {row['upper_in_accuracy']:.4f}"
    )
  if row["upper"]:
    return (
      "is below that of every one-hot model, "
      f"{row['upper_in_accuracy']:.4f} at least"
    )
  return (
    f"is above that of every one-hot model, {row['lower_in_accuracy']:.4f} "
    "at most"
  )


def class_finding(
  changes: sets_lib.SetChanges, name: str, rest: str
) -> sentences.Finding:
  """Whether memorization falls more for increasing trajectories.

  Args:
    changes: with these two sets.
    name, rest: increasing trajectories, and the others that change.
  """
  question = "Does it lower mostly that of increasing trajectories?"
  estimate, low, high, count = changes.contrast(name, rest)
  if count < sets_lib.MIN_EXAMPLES:
    return sentences.Finding(
      question=question,
      answer="open",
      text=f"Cannot tell whether memorization falls most for {name} "
      f"trajectories: one of the two sets has only {count} images in one half "
      f"of the runs, and at least {sets_lib.MIN_EXAMPLES} are needed.",
    )
  found = evidence.direction(low, high)
  verb = {
    evidence.RISES: "falls more",
    evidence.FALLS: "falls less",
    evidence.UNSURE: "is not shown to fall more or less",
  }[found]
  return sentences.Finding(
    question=question,
    answer=_answer(found, evidence.RISES),
    text=f"Memorization {verb} for images of {name} trajectories than for "
    f"those that change otherwise: by {estimate:.4f} [{low:.4f}, {high:.4f}] "
    "(classes from other runs than the change).",
  )


def set_finding(
  table: pd.DataFrame, question: str, names: Sequence[str], figure: str
) -> sentences.Finding | None:
  """How a figure changes in each of some sets; None without any that counts.

  Args:
    table: from `SetChanges.table`.
    question: that the sentence answers.
    names: of the sets; the answer is that of the first.
    figure: of `sets.FIGURES`.
  """
  last = table.groupby("set", sort=False).last()
  parts, answer = [], "open"
  for position, name in enumerate(names):
    if name not in last.index:
      continue
    row = last.loc[name].to_dict()
    if row["num_examples"] < sets_lib.MIN_EXAMPLES:
      continue
    if np.isnan(row[f"{figure}_change"]):
      continue
    if not position:
      answer = _answer(_direction(row, figure), evidence.FALLS)
    parts.append(f"{name} {_change(row, figure)}")
  if not parts:
    return None
  what = {"separation": "The median separation d'"}.get(
    figure, f"Mean {figure}"
  )
  return sentences.Finding(
    question=question,
    answer=answer,
    text=f"{what} changes by set of images: {'; '.join(parts)} (sets from "
    "other runs than the change).",
  )


def named_finding(counts: pd.DataFrame) -> sentences.Finding:
  """Of how many single images it is certain that their score changes.

  Args:
    counts: one row per size: `model`, `falls`, `rises` (numbers of images of
      a q-value of at most 0.05), `falls_planted`.
  """
  parts = []
  for row in counts.to_dict("records"):
    text = f"{row['model']}: falls for {row['falls']}"
    if row["falls"] and row["planted"]:
      text += f" ({row['falls_planted']} planted)"
    parts.append(f"{text}, rises for {row['rises']}")
  any_named = bool((counts["falls"] + counts["rises"]).any())
  return sentences.Finding(
    question="Which single images change for certain?",
    answer="yes" if any_named else "open",
    text="Single images whose memorization changes with a q-value of at most "
    f"0.05. {'; '.join(parts)}.",
  )


def exposure_finding(where: str, auc: np.ndarray) -> sentences.Finding:
  """Whether runs can be attacked less well.

  Args:
    where: the model, or the mean over models.
    auc: `[3, 3]`, as from `paired.by_run`.
  """
  found = evidence.direction(auc[2, 1], auc[2, 2])
  return sentences.Finding(
    question="Does it lower exposure?",
    answer=_answer(found, evidence.FALLS),
    text=f"The AUC of telling members from others {_VERBS[found]}: "
    f"{_values(auc)} ({where}; LiRA, leave-one-run-out).",
  )


def held_out_finding(
  kind: str, where: str, found: np.ndarray
) -> sentences.Finding:
  """How much of a held-out label reaches the models.

  Args:
    kind: of the labels, in a word.
    where: the model, or the mean over models.
    found: `[3, 3]`, as from `paired.by_run`.
  """
  direction = evidence.direction(found[2, 1], found[2, 2])
  return sentences.Finding(
    question=f"Does it raise the probability of held-out {kind} labels?",
    answer=_answer(direction, evidence.RISES),
    text=f"The probability of the labels of held-out images with {kind} labels "
    f"{_VERBS[direction]}: {_values(found)} ({where}).",
  )


def _values(found: np.ndarray) -> str:
  """Both values of `paired.by_run` and their change."""
  change, low, high = found[2]
  return (
    f"from {found[0, 0]:.4f} to {found[1, 0]:.4f}, {change:+.4f} "
    f"[{low:+.4f}, {high:+.4f}]"
  )


def _direction(row: dict, name: str) -> str:
  return evidence.direction(
    row[f"{name}_change_low"], row[f"{name}_change_high"]
  )


def _answer(found: str, yes: str) -> str:
  if found == evidence.UNSURE:
    return "open"
  return "yes" if found == yes else "no"


def _change(row: dict, name: str) -> str:
  low, high = row[f"{name}_change_low"], row[f"{name}_change_high"]
  return f"{row[f'{name}_change']:+.4f} [{low:+.4f}, {high:+.4f}]"
