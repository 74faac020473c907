"""Which training images help models get which test images right."""

from typing import Any

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section

TILES = 24


def make(study: material.Material) -> section.Section | None:
  """The pairs that may be named, of the group that has most of them."""
  have = [r for r in study.scored if r.influence is not None]
  if not have:
    return None
  parts = [_part(study, r) for r in reversed(have)]
  # The first group, if it has any; else the one that has most.
  first = study.title(study.primary) if study.primary else ""
  parts.sort(
    key=lambda p: (not (p["named"] and p["model"] == first), -p["named"])
  )
  return section.Section(
    name="influence",
    title="Influence on test images",
    short="Influence",
    content={
      "parts": parts,
      "sentence": _together(parts),
      "top_k": study.config.outputs.influence_top_k,
      "min_memorization": study.config.outputs.min_memorization,
      "min_influence": study.config.outputs.min_influence,
    },
  )


def _part(study, result) -> dict[str, Any]:
  pairs = result.influence
  named = np.flatnonzero(evidence.is_named(pairs.q_value))
  labels, test_labels = result.stack.labels, result.stack.test_labels
  tiles = [
    {
      "train": int(pairs.train_ids[p]),
      "test": int(pairs.test_ids[p]),
      "train_label": study.class_name(labels[pairs.train_ids[p]]),
      "test_label": study.class_name(test_labels[pairs.test_ids[p]]),
      "influence": float(pairs.influence[p]),
      "error": float(pairs.standard_error[p]),
      "q": names.q_value(pairs.q_value[p]),
    }
    for p in named[:TILES]
  ]
  return {
    "model": study.title(result),
    "kept": len(pairs),
    "tested": pairs.num_tested,
    "named": len(named),
    "sentence": sentence(len(pairs), len(named), study.title(result)),
    "tiles": tiles,
  }


def _together(parts: list[dict[str, Any]]) -> str:
  """One sentence on all models, if none of them has a pair to name."""
  if any(part["named"] for part in parts) or len(parts) == 1:
    return ""
  kept = [part["kept"] for part in parts]
  models = names.listed([part["model"] for part in reversed(parts)])
  if not any(kept):
    return f"No pair is above the thresholds, for {models}."
  return (
    f"No pair of images can be named: none of the {sum(kept):,} with a high "
    f"estimate ({models}) has a q-value of at most {evidence.MAX_Q_VALUE:g}. "
    "They cannot be told from chance; naming any takes more runs."
  )


def sentence(kept: int, named: int, model: str) -> str:
  """What the pairs of a model show, in one sentence."""
  if not kept:
    return f"{model}: no pair is above the thresholds."
  if not named:
    which = "The only pair" if kept == 1 else f"None of the {kept:,} pairs"
    verb = "cannot" if kept == 1 else "can"
    return (
      f"{model}: {which} with a high estimate {verb} be told from chance (no "
      f"q-value of at most {evidence.MAX_Q_VALUE:g}); more runs are needed to "
      "name any."
    )
  return (
    f"{model}: {names.counted(named, 'pair')} with a q-value of at most "
    f"{evidence.MAX_Q_VALUE:g}, of {kept:,} with a high estimate. Chosen for "
    "being high, the estimates are too high on average."
  )
