"""Memorization over training: files, and what they say in words.

    findings/epochs/<model family>/<recipe>/<subsets>/<table>.parquet and .csv

Written where runs kept what they have right after some epochs
(`--score_epochs`) and the sizes of a family have two blocks of runs in common.
`EpochStudy.tables` describes the tables. Imports no TensorFlow.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis import epochs as analysis
from memo_tf.analysis import planted_truth
from memo_tf.estimators import resampling
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import epoch_runs
from memo_tf.findings import epoch_sentences as sentences
from memo_tf.findings import sizes
from memo_tf.findings import table_files
from memo_tf.scoring import groups as groups_lib
from memo_tf.store import directory as directory_lib

_TEST = ("test_accuracy", "test_accuracy_low", "test_accuracy_high")
_SCORES = ("memorization", "in_accuracy", "out_accuracy", "ci_low", "ci_high")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochStudy:
  """One model family, recipe and subset family over training.

  Attributes:
    family, recipe, subsets: the names of what is studied.
    models: S names, ascending by size.
    epochs: E of them, ascending.
    num_runs: M, that every size has.
    scores: one row per model, image and epoch: score, accuracies, interval.
    examples: one row per model and image: the epoch by which it is memorized,
      the earliest and the latest that the runs allow.
    means: one row per model, set of images and epoch: mean score, accuracies,
      with intervals; of all images also test accuracy.
    changes: one row per model, set and change between epochs.
    mean_epochs: one row per model and set: when scores arise.
    order: one row per two sizes and set: `analysis.SizeOrder`.
    sentences: what they say.
  """

  family: str
  recipe: str
  subsets: str
  models: tuple[str, ...]
  epochs: tuple[int, ...]
  num_runs: int
  scores: pd.DataFrame
  examples: pd.DataFrame
  means: pd.DataFrame
  changes: pd.DataFrame
  mean_epochs: pd.DataFrame
  order: pd.DataFrame
  sentences: tuple[str, ...]

  @property
  def name(self) -> str:
    return f"{self.family}/{self.recipe}/{self.subsets}"

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name."""
    names = ("scores", "examples", "means", "changes", "mean_epochs", "order")
    return {
      **{name: getattr(self, name) for name in names},
      "findings": pd.DataFrame({"sentence": self.sentences}),
    }


def study_epochs(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: Sequence[groups_lib.GroupScores],
) -> list[EpochStudy]:
  """Studies every model family whose runs kept epochs; writes the tables.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`, smallest model first.

  Raises:
    DamagedRunError: if a file of a run is damaged.
  """
  ladders: dict[sizes.LadderName, list[epoch_runs.RunsOverEpochs]] = {}
  for group, runs in epoch_runs.read(directory, plan, results).items():
    key = sizes.LadderName(
      plan.models[group.model].ladder, group.recipe, group.subsets
    )
    ladders.setdefault(key, []).append(runs)
  studies = []
  for key, members in ladders.items():
    found = study(key, members)
    if found is not None:
      place = ("findings", "epochs", *key)
      table_files.write(directory, place, found.tables())
      studies.append(found)
  return studies


def study(
  key: sizes.LadderName, members: Sequence[epoch_runs.RunsOverEpochs]
) -> EpochStudy | None:
  """The study of the runs that all sizes share; None if they are too few.

  Args:
    key: names the ladder.
    members: one per size, with the same epochs; of own models in the order of
      the ladder.
  """
  if key.family != model_names.OWN_LADDER:
    members = sorted(members, key=lambda m: m.result.parameters)
  shared = sorted(set.intersection(*(set(m.indices) for m in members)))
  block = np.array(shared, int) // subsets_lib.parse_family(key.subsets).block
  if len(np.unique(block)) < 2:
    return None
  members = [member.of(shared) for member in members]
  bootstrap = resampling.paired_bootstrap(len(shared), block=block)
  if bootstrap is None:
    return None
  kinds = _kinds(members[0].result)
  chosen = np.stack(list(kinds.values()))
  models = [member.result.group.label for member in members]
  epochs, in_mask = members[0].epochs, members[0].in_mask
  tables: dict[str, list[pd.DataFrame]] = {}
  firsts, told = [], []
  for model, runs in zip(models, members):
    drawn = analysis.replicates(runs, in_mask, chosen, bootstrap.weights)
    firsts.append(drawn.first)
    found = analysis.means_table(drawn.means, list(kinds), epochs, bootstrap)
    found[0][list(_TEST)] = _test_accuracy(runs, bootstrap, len(found[0]))
    images = analysis.example_epochs(runs, in_mask, epochs)
    told.append(images)
    for name, table in zip(
      ("means", "changes", "mean_epochs", "scores", "examples"),
      (*found, *_of_images(images, epochs, runs.result.stack.labels)),
    ):
      table.insert(0, "model", model)
      tables.setdefault(name, []).append(table)
  whole = {
    name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()
  }
  order = _order(models, members, firsts, kinds, block, bootstrap)
  lines = sentences.of(whole, order, dict(zip(models, told)), epochs)
  return EpochStudy(
    **key._asdict(),
    models=tuple(models),
    epochs=epochs,
    num_runs=len(shared),
    order=order,
    sentences=tuple(lines),
    scores=whole["scores"],
    examples=whole["examples"],
    means=whole["means"],
    changes=whole["changes"],
    mean_epochs=whole["mean_epochs"],
  )


def _kinds(result: groups_lib.GroupScores) -> dict[str, np.ndarray]:
  """bool `[N]` by set: all images, and where wrong labels are known, these."""
  kind, _ = result.kinds()
  found = {sentences.ALL: np.ones(len(kind), bool)}
  if (kind == planted_truth.WRONG).any():
    found[sentences.NATURAL] = kind == planted_truth.CLEAN
    found[sentences.WRONG] = kind == planted_truth.WRONG
  return found


def _test_accuracy(
  runs: epoch_runs.RunsOverEpochs,
  bootstrap: resampling.PairedBootstrap,
  num_rows: int,
) -> np.ndarray:
  """`[num_rows, 3]`: mean test accuracy after each epoch, with its interval.

  NaN in rows after the first E, which are not of all images, and without test
  images.
  """
  found = np.full((num_rows, 3), np.nan)
  if len(runs.result.stack.test_labels):
    single = [runs.test_correct(e).mean(axis=1) for e in range(len(runs))]
    weights = bootstrap.weights
    drawn = weights @ np.stack(single, 1) / weights.sum(axis=1, keepdims=True)
    found[: len(runs)] = bootstrap.intervals(drawn)
  return found


def _of_images(
  images: analysis.ExampleEpochs, epochs: Sequence[int], labels: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """One row per image and epoch, and one per image."""
  ids = np.arange(len(labels))
  scores = [
    pd.DataFrame(
      {"example_id": ids, "label": labels, "epoch": epoch}
      | {name: getattr(found, name) for name in _SCORES}
    )
    for epoch, found in zip(epochs, images.scores)
  ]
  return pd.concat(scores, ignore_index=True), pd.DataFrame(
    {
      "example_id": ids,
      "label": labels,
      "epoch": images.epoch,
      "earliest": images.earliest,
      "latest": images.latest,
      "is_told": images.is_told,
    }
  )


def _order(models, members, firsts, kinds, block, bootstrap) -> pd.DataFrame:
  """One row per set and two sizes: each and the next, and the two ends."""
  pairs = [(s, s + 1) for s in range(len(models) - 1)]
  if len(models) > 2:
    pairs.append((0, len(models) - 1))
  rows = []
  for s, t in pairs:
    for name, chosen in kinds.items():
      found = analysis.size_order(
        members[s],
        members[t],
        members[s].in_mask,
        members[s].epochs,
        first=(firsts[s], firsts[t]),
        members=chosen,
        block=block,
        bootstrap=bootstrap,
      )
      rows.append(
        {"smaller": models[s], "larger": models[t], "examples": name}
        | dataclasses.asdict(found)
      )
  return pd.DataFrame(rows)
