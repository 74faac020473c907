"""What to look at first: suspected wrong labels and conflicting duplicates."""

from typing import Any

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.report import material as material_lib
from memo_tf.report import suspects as suspects_lib

NOTHING, LABEL, CONFLICT = 0, 1, 2
MOST_SHOWN = 24
# Columns of examples.parquet that name a twin among the training examples.
_TWINS = ("duplicate_of_train", "near_duplicate_of_train")


def conflicts(study: material_lib.Material) -> list[tuple[int, int]]:
  """Pairs of training examples with (nearly) the same image and two labels."""
  labels = study.train["label"].to_numpy()
  found: dict[tuple[int, int], None] = {}
  for column in _TWINS:
    if column not in study.train:
      continue
    twin = study.train[column].to_numpy()
    ids = np.flatnonzero(twin >= 0)
    for n in ids[labels[ids] != labels[twin[ids]]].tolist():
      found[min(n, int(twin[n])), max(n, int(twin[n]))] = None
  return list(found)


def issues(study: material_lib.Material) -> np.ndarray:
  """`[N]` int: bits `LABEL` and `CONFLICT` of each training example."""
  found = np.full(len(study.train), NOTHING)
  found[study.suspects.ids] |= LABEL
  for pair in conflicts(study):
    found[list(pair)] |= CONFLICT
  return found


def content(study: material_lib.Material) -> dict[str, Any] | None:
  """What the template shows; None without scores."""
  if study.primary is None:
    return None
  found, pairs = study.suspects, conflicts(study)
  looked = any(column in study.train for column in _TWINS)
  most_out = int(found.num_out.max(initial=0))
  noisy = study.train["is_noisy"].to_numpy(dtype=bool)
  return {
    "title": study.title(study.primary),
    "num_suspects": len(found.ids),
    "num_planted": int(noisy[found.ids].sum()) if noisy.any() else None,
    "suspects": [card(study, int(n), found) for n in found.ids[:MOST_SHOWN]],
    "looked": looked,
    "knows_answers": study.knows_answers,
    "num_out": most_out,
    "possible": bool(
      evidence.suspected_share(np.array([most_out]), np.array([most_out]))[0]
      > evidence.MAJORITY
    ),
    "num_conflicts": len(pairs),
    "conflicts": [
      [card(study, n, found) for n in pair] for pair in pairs[:MOST_SHOWN]
    ],
  }


def card(
  study: material_lib.Material, n: int, found: suspects_lib.Suspects
) -> dict[str, Any]:
  """One training example as the macro `card` of `parts.html` takes it."""
  scores, row = found.result.scores, study.train.iloc[n]
  labels = found.result.stack.labels
  right = int(np.rint(np.nan_to_num(scores.out_accuracy[n]) * found.num_out[n]))
  other = int(found.said[n])
  agrees = other < 0 or right >= found.votes[n]
  said = int(labels[n]) if agrees else other
  sources = study.names.get("train")
  return {
    "id": n,
    "name": (sources and sources[n]) or f"image {n}",
    "label": study.class_name(labels[n]),
    "said": study.class_name(said) if found.num_out[n] else "",
    "votes": right if agrees else int(found.votes[n]),
    "num_out": int(found.num_out[n]),
    "score": float(scores.memorization[n]),
    "low": float(scores.ci_low[n]),
    "high": float(scores.ci_high[n]),
    "planted": str(study.kind[n]),
    "clean": (study.class_name(row["clean_label"]) if row["is_noisy"] else ""),
  }
