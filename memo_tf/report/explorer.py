"""The data behind the grid and the drawer: every image, in packed columns.

meta           names, cells of the sheets, what can be filtered and sorted
examples       a value per training example
tests          of the test examples that pairs and duplicates name
group:<i>      scores and held-out answers of a group; read when needed
proxies        values of the first group's proxies
sizes          change over sizes, q-value and shape class
influence      pairs with q <= 0.05, of the groups that have any
"""

from typing import Any

import numpy as np

from memo_tf.analysis import evidence
from memo_tf.analysis.trajectories import classify
from memo_tf.report import assets as assets_lib
from memo_tf.report import charts
from memo_tf.report import material as material_lib
from memo_tf.report import names
from memo_tf.report import picking
from memo_tf.report import sprites
from memo_tf.report import votes as votes_lib
from memo_tf.report import worklist
from memo_tf.scoring import groups

# Columns of examples.parquet that name another example, and what they say.
TWINS = {
  "duplicate_of_train": ("same pixels", "train"),
  "near_duplicate_of_train": ("nearly the same", "train"),
  "duplicate_of_test": ("same pixels", "test"),
  "near_duplicate_of_test": ("nearly the same", "test"),
}
BIN = 0.05
# Training images with a picture; a sheet of all of ImageNet would be a GB.
MAX_PICTURES = 100_000
MOST_ANSWERS = 8


def add(
  study: material_lib.Material, assets: assets_lib.Assets
) -> charts.Chart | None:
  """Adds all data of the grid; returns the histogram, None without scores."""
  primary = study.primary
  if primary is None:
    assets.data("meta", {"groups": []})
    return None
  tests = _tests_named(study)
  slots, cell = _add_images(study, assets, tests)
  info = study.info
  assets.data(
    "meta",
    {
      "folder": study.directory.root.name,
      "classes": info["class_names"],
      "num": len(study.train),
      "cell": cell,
      "memorized": evidence.MEMORIZED,
      "maxQ": evidence.MAX_Q_VALUE,
      "bin": BIN,
      "primary": study.scored.index(primary),
      "groups": [_about(study, r) for r in study.scored],
      "kinds": sorted(set(study.kind) - {""}),
      "shapes": list(classify.SHAPE_CLASSES),
    },
  )
  assets.data("examples", _examples(study, slots[: len(study.train)]))
  assets.data("tests", _tests(study, tests, slots[len(study.train) :]))
  assets.data("proxies", _proxies(study))
  assets.data("sizes", _sizes(study))
  assets.data("influence", _influence(study))
  for index, result in enumerate(study.scored):
    assets.data(
      f"group:{index}", _group(study, result), late=result is not primary
    )
  return _histogram(study)


def _add_images(study, assets, tests) -> tuple[np.ndarray, dict[str, Any]]:
  """Slots of training and test images in the sheets, and their cells.

  The most memorized come first, so that the first view needs one sheet. What is
  beyond `MAX_PICTURES` has the slot -1.
  """
  num_train = len(study.train)
  scores = study.primary.scores
  low = np.nan_to_num(scores.ci_low, nan=-2.0)
  by_score = np.lexsort((-np.nan_to_num(scores.memorization, nan=-2.0), -low))
  pictured = by_score[:MAX_PICTURES]
  order = np.concatenate([pictured, num_train + np.array(tests, int)])
  slots = np.full(num_train + len(tests), -1)
  slots[pictured] = np.arange(len(pictured))
  slots[num_train:] = len(pictured) + np.arange(len(tests))
  if study.images is None:
    return slots, {"shown": False, "width": 1, "height": 1}
  found = sprites.sheets(study.images, order, study.info["max_pixel"])
  for content in found.contents:
    assets.image(content)
  return slots, {
    "shown": True,
    "width": found.width,
    "height": found.height,
    "columns": found.columns,
    "rows": found.rows,
    "cells": found.cells,
  }


def _about(study, result: groups.GroupScores) -> dict[str, Any]:
  return {
    "title": study.title(result),
    "name": result.group.name,
    "model": names.model(result.group.model),
    "runs": len(result.stack.units),
  }


def _examples(study, slots) -> dict[str, Any]:
  train, kinds = study.train, sorted(set(study.kind) - {""})
  found: dict[str, Any] = {
    "label": train["label"].to_numpy(),
    "kind": np.searchsorted(kinds, study.kind) + 1 if kinds else None,
    "slot": slots,
    "issue": worklist.issues(study),
  }
  if kinds:
    found["kind"] = np.where(study.kind == "", 0, found["kind"])
    found["clean"] = train["clean_label"].to_numpy()
  if "train" in study.names:
    found["source"] = study.names["train"]
  twins = {
    column: {"ids": train[column].to_numpy(), "words": words, "split": split}
    for column, (words, split) in TWINS.items()
    if column in train and (train[column] >= 0).any()
  }
  return found | {"twins": twins}


def _group(study, result: groups.GroupScores) -> dict[str, Any]:
  """Columns of one group: scores, counts of runs, held-out answers."""
  scores, stack = result.scores, result.stack
  votes = votes_lib.count(stack.predicted, ~stack.in_mask)
  outside = ~stack.in_mask
  with np.errstate(invalid="ignore", divide="ignore"):
    prob = np.where(outside, stack.label_prob, 0).sum(axis=0, dtype=float)
    prob /= outside.sum(axis=0)
  found = {
    "score": scores.memorization,
    "low": scores.ci_low,
    "high": scores.ci_high,
    "inRight": _right(scores.in_accuracy, scores.num_in),
    "inAll": scores.num_in,
    "outRight": _right(scores.out_accuracy, scores.num_out),
    "outAll": scores.num_out,
    "outProb": prob,
    "answers": np.diff(votes.offsets),
    "answer": votes.classes,
    "answerRuns": votes.counts,
  }
  found |= _over_training(study, result)
  margins = study.margins(result)
  if margins is not None:
    for name, column in zip(("margin", "marginLow", "marginHigh"), margins):
      found[name] = margins[column].to_numpy()
  return found


def _over_training(study, result: groups.GroupScores) -> dict[str, Any]:
  """Epochs, and scores with intervals `[E * N]`; empty without any."""
  own = result.group
  for found in study.epochs:
    table = found.scores[found.scores["model"] == own.label]
    same = (found.recipe, found.subsets) == (own.recipe, own.subsets)
    if same and len(table) == len(found.epochs) * len(study.train):
      columns = {"Score": "memorization", "Low": "ci_low", "High": "ci_high"}
      return {"epochs": list(found.epochs)} | {
        f"epoch{name}": table[column].to_numpy()
        for name, column in columns.items()
      }
  return {}


def _right(accuracy: np.ndarray, count: np.ndarray) -> np.ndarray:
  """How many of `count` runs were right, `[N]` int."""
  return np.rint(np.nan_to_num(accuracy) * count).astype(int)


def _tests_named(study) -> list[int]:
  """Test examples of pairs that may be named, and of duplicates; by id."""
  found: set[int] = set()
  for result in study.scored:
    pairs = result.influence
    if pairs is not None:
      found |= set(pairs.test_ids[evidence.is_named(pairs.q_value)].tolist())
  for column, (_, split) in TWINS.items():
    if split == "test" and column in study.train:
      found |= set(study.train[column].to_numpy().tolist()) - {-1}
  return sorted(found)


def _tests(study, tests, slots) -> dict[str, Any]:
  """By id: label, slot, file, and what all models of each group say."""
  sources = study.names.get("test", [])
  found: dict[str, Any] = {}
  answers = [
    votes_lib.count(r.stack.test_predicted[:, tests]) for r in study.scored
  ]
  labels = study.primary.stack.test_labels
  for place, (t, slot) in enumerate(zip(tests, slots)):
    found[str(t)] = {
      "label": int(labels[t]),
      "slot": int(slot),
      "answers": [_most(votes.of(place), int(labels[t])) for votes in answers],
    }
    if t < len(sources):
      found[str(t)]["source"] = sources[t]
  return found


def _most(answers: list[tuple[int, int]], label: int) -> list[tuple[int, int]]:
  """The most frequent answers, and the label's wherever it is."""
  rest = [a for a in answers[MOST_ANSWERS:] if a[0] == label]
  return answers[:MOST_ANSWERS] + rest


def _proxies(study) -> list[dict[str, Any]]:
  """Proxies of the first group: name, sign, values `[N]`."""
  model, recipe, _ = study.primary.group
  return [
    {
      "name": proxy.name.replace("_", " "),
      "sign": proxy.sign or 1,
      "values": proxy.ranked(),
    }
    for found in study.compared
    if found.recipe == recipe
    for group in found.groups
    if group.result.group.model == model
    for proxy in group.found
  ]


def _sizes(study) -> list[dict[str, Any]]:
  """Per ladder: its groups, and each image's change, q-value and class."""
  found = []
  for ladder in study.studies:
    changes = ladder.example_changes
    shapes = list(classify.SHAPE_CLASSES)
    found.append(
      {
        # A ladder has its models' labels, which are not always their names.
        "groups": [
          index
          for label in ladder.models
          for index, r in enumerate(study.scored)
          if (r.group.label, r.group.recipe, r.group.subsets)
          == (label, ladder.recipe, ladder.subsets)
        ],
        "change": changes.change,
        "low": changes.change_ci_low,
        "high": changes.change_ci_high,
        "q": changes.change_q_value,
        "shape": np.array(
          [
            shapes.index(s) if s in shapes else len(shapes)
            for s in ladder.classes.shape_class
          ]
        ),
      }
    )
  return found


def _influence(study) -> list[dict[str, Any]]:
  """Per group with pairs: those that may be named, most influential first."""
  found = []
  for index, result in enumerate(study.scored):
    pairs = result.influence
    if pairs is None:
      continue
    named = evidence.is_named(pairs.q_value)
    entry = {
      "group": index,
      "train": pairs.train_ids[named],
      "test": pairs.test_ids[named],
      "value": pairs.influence[named],
      "error": pairs.standard_error[named],
      "q": pairs.q_value[named],
    }
    if result.margin_influence is not None:
      entry["marginQ"] = result.margin_influence.q_value[named]
    found.append(entry)
  return found


def _histogram(study) -> charts.Chart:
  """That of the first group; its bins hold the scores of every group."""
  lowest = min(np.nanmin(r.scores.memorization) for r in study.scored)
  # As the page's script counts: 0.3 is in the bin that starts there, though
  # 0.3 / 0.05 is slightly less than 6.
  nearly = 1e-6
  first = min(0, int(np.floor(lowest / BIN + nearly)))
  edges = np.arange(first, round(1 / BIN) + 1) * BIN
  values = study.primary.scores.memorization
  known = values[~np.isnan(values)]
  index = np.floor((known - edges[0]) / BIN + nearly).astype(int)
  counts = np.bincount(
    np.clip(index, 0, len(edges) - 2), minlength=len(edges) - 1
  )
  return picking.histogram("histogram", edges, counts)
