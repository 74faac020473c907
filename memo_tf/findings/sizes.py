"""Computes the study over sizes: one folder per model family and recipe.

    trajectories/<model family>/<recipe>/<subsets>/<table>.parquet and .csv

Sizes are the models of one family, by number of parameters; only the subsets
that all of them have finished count, so that sizes are paired. The tables are
tidy, one row per observation: see `SizeStudy.tables`. Imports no TensorFlow.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import pandas as pd

from memo_tf.analysis.sizes import distribution
from memo_tf.analysis.sizes import sentences
from memo_tf.analysis.sizes import trends as trends_lib
from memo_tf.analysis.trajectories import changes as changes_lib
from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import planted as planted_lib
from memo_tf.analysis.trajectories import shares as shares_lib
from memo_tf.estimators import in_out
from memo_tf.estimators import resampling
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import table_files
from memo_tf.scoring import groups
from memo_tf.store import directory as directory_lib

# Schemes of subsets whose scores are not followed over sizes.
_WITHOUT_TRAJECTORIES = ("full", "two_sizes")


class LadderName(NamedTuple):
  """What the sizes of one study share: model family, recipe, subsets."""

  family: str
  recipe: str
  subsets: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeStudy:
  """One model family, recipe and subset family over its sizes.

  Attributes:
    family, recipe, subsets: the names of what is studied.
    models: S names, ascending by number of parameters.
    parameters: number of parameters of each.
    examples: one row per training example.
    in_mask: `[M, N]` bool, of the M subsets that all sizes have.
    correct: `[S, M, N]` bool.
    test_correct: `[S, M, T]` bool.
    block: `[M]` int, the block of each run.
    min_change, rule: settings of the shape classes.
  """

  family: str
  recipe: str
  subsets: str
  models: tuple[str, ...]
  parameters: tuple[int, ...]
  examples: pd.DataFrame
  in_mask: np.ndarray
  correct: np.ndarray
  test_correct: np.ndarray
  block: np.ndarray
  min_change: float = 0.2
  rule: str = "default"

  @property
  def name(self) -> str:
    return f"{self.family}/{self.recipe}/{self.subsets}"

  @functools.cached_property
  def evidence(self) -> shares_lib.TrajectoryEvidence:
    return shares_lib.evidence(self.correct, self.in_mask)

  @functools.cached_property
  def classes(self) -> classify.TrajectoryClasses:
    return classify.classify_trajectories(
      self.evidence.memorization,
      self.evidence.standard_error,
      correlation=self.evidence.correlation,
      min_change=self.min_change,
      rule=self.rule,
    )

  @functools.cached_property
  def example_changes(self) -> changes_lib.ExampleChanges:
    return changes_lib.example_changes(self.correct, self.in_mask)

  @functools.cached_property
  def shares(self) -> list[shares_lib.ShapeShare]:
    return shares_lib.shape_shares(
      self.correct,
      self.in_mask,
      block=self.block,
      min_change=self.min_change,
      rule=self.rule,
    )

  @functools.cached_property
  def bootstrap(self) -> resampling.PairedBootstrap:
    found = resampling.paired_bootstrap(len(self.in_mask), block=self.block)
    if found is None:  # `gather` returns None with fewer
      raise ValueError(
        "A study over sizes needs at least two blocks of runs. Received: "
        f"block={np.unique(self.block).tolist()}"
      )
    return found

  @functools.cached_property
  def trends(self) -> tuple[pd.DataFrame, pd.DataFrame]:
    return trends_lib.mean_trends(self.correct, self.in_mask, self.bootstrap)

  @functools.cached_property
  def modes(self) -> tuple[pd.DataFrame, pd.DataFrame]:
    return distribution.bimodality(self.correct, self.in_mask, self.bootstrap)

  @functools.cached_property
  def class_means(self) -> pd.DataFrame:
    return trends_lib.class_means(
      self.correct,
      self.in_mask,
      self.classes.shape_class,
      classify.SHAPE_CLASSES,
      self.bootstrap,
    )

  @functools.cached_property
  def accuracies(self) -> pd.DataFrame:
    return trends_lib.run_accuracies(
      self.correct, self.in_mask, self.test_correct
    )

  @functools.cached_property
  def sensitivity(self) -> pd.DataFrame:
    return classify.sensitivity(
      self.evidence.memorization,
      self.evidence.standard_error,
      correlation=self.evidence.correlation,
    )

  @functools.cached_property
  def planted(self) -> pd.DataFrame:
    """Planted wrong labels by class; no rows if none were planted."""
    return planted_lib.planted_by_class(
      self.classes.shape_class,
      self.examples["is_noisy"].to_numpy(dtype=bool),
    )

  @functools.cached_property
  def findings(self) -> list[sentences.Finding]:
    return sentences.findings(
      list(self.models), *self.trends, self.modes[0], self.shares
    )

  @functools.cached_property
  def noise_statement(self) -> str:
    carried = sentences.what_the_runs_carry(
      self.evidence.memorization,
      shares_lib.flat_standard_error(self.correct, self.in_mask),
      self.evidence.correlation,
      self.min_change,
      self.shares,
    )
    return sentences.noise_statement(
      carried, len(self.in_mask), self.min_change
    )

  @functools.cached_property
  def named_statement(self) -> str:
    return sentences.named_statement(
      self.example_changes.named(), len(self.in_mask), len(self.models)
    )

  def tables(self) -> dict[str, pd.DataFrame]:
    """Every table by its file's name.

    One row per: example and size (trajectories); example (classes, with the
    change over sizes, its interval and q-value); size, with
    means, accuracies and bi-modality (sizes); pair of sizes (changes); size
    and bin (histograms); class (shares, planted); class and size
    (class_means); rule and threshold (sensitivity); sentence (findings).
    """
    label = self.examples["label"].to_numpy()
    classes = self.classes.to_dataframe()
    classes.insert(1, "label", label)
    classes["is_noisy"] = self.examples["is_noisy"].to_numpy(dtype=bool)
    classes = pd.concat([classes, self.example_changes.to_dataframe()], axis=1)
    sizes = pd.concat([self.trends[0], self.modes[0]], axis=1)
    runs = self.accuracies
    sizes["test_accuracy"] = runs["test_accuracy"]
    for column in runs.columns:
      if column.endswith("_sd"):
        sizes[column] = runs[column]
    changes = self.trends[1].copy()
    for column in ("from_size", "to_size"):
      changes.insert(
        list(changes.columns).index(column) + 1,
        column.replace("size", "model"),
        [self.models[s] for s in changes[column]],
      )
    return {
      "trajectories": self._trajectories(label),
      "classes": classes,
      "sizes": self._with_models(
        pd.concat([pd.Series(range(len(sizes)), name="size"), sizes], axis=1)
      ),
      "changes": changes,
      "histograms": self._with_models(self.modes[1]),
      "shares": pd.DataFrame([dataclasses.asdict(s) for s in self.shares]),
      "class_means": self._with_models(self.class_means),
      "sensitivity": self.sensitivity,
      "planted": self.planted,
      "findings": pd.DataFrame([dataclasses.asdict(f) for f in self.findings]),
    }

  def _trajectories(self, label) -> pd.DataFrame:
    num_sizes, num_examples = self.evidence.memorization.shape
    inside, outside = [], []
    for outcome in self.correct:
      in_mean, out_mean = in_out.in_out_means(outcome, self.in_mask)
      inside.append(in_mean)
      outside.append(out_mean)
    return self._with_models(
      pd.DataFrame(
        {
          "example_id": np.tile(np.arange(num_examples), num_sizes),
          "label": np.tile(label, num_sizes),
          "size": np.repeat(np.arange(num_sizes), num_examples),
          "memorization": self.evidence.memorization.ravel(),
          "in_accuracy": np.ravel(inside),
          "out_accuracy": np.ravel(outside),
          "standard_error": self.evidence.standard_error.ravel(),
        }
      )
    )

  def _with_models(self, frame: pd.DataFrame) -> pd.DataFrame:
    """A table with the model and its parameters inserted after `size`."""
    if "size" not in frame:
      return frame
    frame = frame.copy()
    place = list(frame.columns).index("size") + 1
    frame.insert(place, "model", [self.models[s] for s in frame["size"]])
    frame.insert(
      place + 1, "parameters", [self.parameters[s] for s in frame["size"]]
    )
    return frame


def study_sizes(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  results: list[groups.GroupScores],
) -> list[SizeStudy]:
  """Studies every model family with two sizes or more, and writes its tables.

  Args:
    directory: of the study.
    plan: of the study.
    results: `scoring.score_study`.

  Returns:
    One study for each model family, recipe and subset family that has two sizes
    with at least two blocks of runs in common.
  """
  families: dict[LadderName, list[groups.GroupScores]] = {}
  for result in results:
    model, recipe, subsets = result.group
    key = LadderName(plan.models[model].ladder, recipe, subsets)
    families.setdefault(key, []).append(result)
  studies = []
  for key, members in families.items():
    study = gather(key, members, plan.config.outputs)
    if study is not None:
      write_study(directory, study)
      studies.append(study)
  return studies


def gather(
  key: LadderName,
  members: list[groups.GroupScores],
  outputs: settings_lib.OutputsConfig,
) -> SizeStudy | None:
  """The study of the runs that all sizes share; None if they are too few.

  Args:
    key: names the ladder.
    members: one group per size; of own models in the order of the ladder.
    outputs: settings of the shape classes.
  """
  family = subsets_lib.parse_family(key.subsets)
  if len(members) < 2 or family.scheme in _WITHOUT_TRAJECTORIES:
    return None
  if key.family != model_names.OWN_LADDER:
    members = sorted(members, key=lambda m: (m.parameters, m.group))
  indices = [[unit.index for unit in m.stack.units] for m in members]
  shared = sorted(set.intersection(*map(set, indices)))
  block = np.array(shared, int) // family.block
  if len(np.unique(block)) < 2:
    return None
  rows = [[own.index(m) for m in shared] for own in indices]
  return SizeStudy(
    **key._asdict(),
    models=tuple(m.group.label for m in members),
    parameters=tuple(m.parameters for m in members),
    examples=members[0].examples,
    in_mask=members[0].stack.in_mask[rows[0]],
    correct=np.stack([m.stack.correct[r] for m, r in zip(members, rows)]),
    test_correct=np.stack(
      [m.stack.test_correct[r] for m, r in zip(members, rows)]
    ),
    block=block,
    min_change=outputs.min_change,
    rule=outputs.trajectory_rule,
  )


def write_study(
  directory: directory_lib.StudyDirectory, study: SizeStudy
) -> None:
  """Writes each table as Parquet and as CSV."""
  place = ("trajectories", study.family, study.recipe, study.subsets)
  table_files.write(directory, place, study.tables())
