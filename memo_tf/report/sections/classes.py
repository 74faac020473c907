"""Per class: what is memorized, and what held-out models say instead."""

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.report import material
from memo_tf.report import picking
from memo_tf.report.sections import section

NUM_BINS = 10
# The largest heat map that can be read and drawn at once.
MAX_CLASSES = 200


def make(study: material.Material) -> section.Section | None:
  """Small multiples, and given labels against held-out answers."""
  result = study.primary
  if result is None:
    return None
  names = study.info["class_names"]
  labels, scores = result.stack.labels, result.scores
  rows = []
  for label, name in enumerate(names):
    mine = (labels == label) & ~np.isnan(scores.memorization)
    if not mine.any():
      continue
    counts, _ = np.histogram(
      np.clip(scores.memorization[mine], 0, 1), NUM_BINS, (0, 1)
    )
    rows.append(
      {
        "label": label,
        "name": name,
        "num": int(mine.sum()),
        "mean": float(scores.memorization[mine].mean()),
        "certain": int(evidence.is_memorized(scores.ci_low[mine]).sum()),
        "out": float(scores.out_accuracy[mine].mean()),
        # Heights on a root scale: most images are in the first bin.
        "bars": np.sqrt(counts / counts.max()).tolist(),
      }
    )
  rows.sort(key=lambda row: -row["mean"])
  found = []
  answers = _answers(result, len(names))
  if len(names) <= MAX_CLASSES:
    found.append(
      picking.heat_map(
        "answers",
        "Given label (rows) and what held-out models say (columns)",
        answers,
        names,
        x_label="held-out models say",
        y_label="given label",
        alt="Shares of the held-out answers for each given label; the "
        "largest confusions are listed below",
      )
    )
  return section.Section(
    name="classes",
    title="By class",
    short="Classes",
    content={
      "model": study.title(result),
      "rows": rows,
      "confusions": _confusions(answers, names),
    },
    charts=tuple(found),
  )


def _answers(result, num_classes: int) -> np.ndarray:
  """`[C, C]`: shares of held-out answers by given label; rows sum to 1."""
  stack = result.stack
  outside = ~stack.in_mask
  labels = np.broadcast_to(stack.labels, outside.shape)[outside]
  keys = labels.astype(np.int64) * num_classes + stack.predicted[outside]
  counts = np.bincount(keys, minlength=num_classes**2)
  counts = counts.reshape(num_classes, num_classes)
  return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _confusions(answers: np.ndarray, names: list[str]) -> list[dict]:
  """The five largest shares off the diagonal."""
  off = answers - np.diag(np.diag(answers))
  found = []
  for key in np.argsort(-off, axis=None)[:5]:
    given, said = divmod(int(key), len(names))
    if off[given, said] > 0:
      found.append(
        {
          "given": given,
          "said": said,
          "given_name": names[given],
          "said_name": names[said],
          "share": float(off[given, said]),
        }
      )
  return found
