"""The tables of a finished study, with the names of its examples and classes.

Score files have ids only, since they are small and exact; a person wants to see
which file an example is and what its label is called. What is read here was
written by a launch, and is compared with its digests. Imports no TensorFlow.
"""

import io
import json
from typing import Any

import numpy as np
import pandas as pd

from memo_tf.analysis.trajectories import changes as changes_lib
from memo_tf.estimators import in_out
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import work_units
from memo_tf.store import checkup
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import survey as survey_lib

# Of `scores/summary.json`, what a small table shows.
_FIGURES = (
  "model",
  "recipe",
  "subsets",
  "num_runs",
  "in_accuracy",
  "out_accuracy",
  "test_accuracy",
  "mean_memorization",
)
# The column of examples.parquet that names an example's file, if it has one.
_FILE_NAME = "file_name"


def figures(
  directory: directory_lib.StudyDirectory,
) -> pd.DataFrame | None:
  """The figures of a study's groups, one row each; None before scoring."""
  try:
    text = (directory.root / "scores" / "summary.json").read_text()
    rows = [{name: row[name] for name in _FIGURES} for row in json.loads(text)]
  except (OSError, ValueError, LookupError, TypeError):
    return None  # `--check` names what is damaged
  return pd.DataFrame(rows, columns=list(_FIGURES))


def scores(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  *,
  model: str | None = None,
  recipe: str | None = None,
) -> pd.DataFrame:
  """Memorization scores, one row per example and group.

  Args:
    directory: of the study.
    plan: of the study.
    model, recipe: of the groups; None: all.

  Returns:
    Columns model, recipe, subsets, example_id, file_name (if examples have
    names), label, label_name, then those of memorization.parquet.

  Raises:
    UsageError: if the study has no such model or recipe.
    StudyError: if there are no scores yet, or they are damaged.
  """
  frames = _group_tables(
    directory, plan, "memorization.parquet", model, recipe, "scores"
  )
  return _joined(frames, directory, {"": "train"})


def influence(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  *,
  model: str | None = None,
  recipe: str | None = None,
) -> pd.DataFrame:
  """The influential pairs that were kept, one row per pair and group.

  Args, errors: as for `scores`. Columns: model, recipe, subsets, then of the
  training and of the test example id, file name, label and label name, then
  those of influence.parquet.
  """
  frames = _group_tables(
    directory, plan, "influence.parquet", model, recipe, "influential pairs"
  )
  return _joined(frames, directory, {"train_": "train", "test_": "test"})


def trajectories(
  directory: directory_lib.StudyDirectory,
) -> pd.DataFrame:
  """Memorization over sizes, one row per example and size.

  Args:
    directory: of the study.

  Returns:
    Columns family, recipe, subsets, those of the example as in `scores`, those
    of trajectories.parquet, and shape_class.

  Raises:
    StudyError: if the study has no ladder of two sizes that were scored.
  """
  frames = []
  root = directory.root / "trajectories"
  for path in sorted(root.glob("*/*/*/trajectories.parquet")):
    frame = _read(directory, path)
    classes = _read(directory, path.with_name("classes.parquet"))
    shapes = classes.set_index("example_id")["shape_class"]
    frame["shape_class"] = frame["example_id"].map(shapes)
    names = path.relative_to(root).parts[:3]
    for place, (column, name) in enumerate(
      zip(("family", "recipe", "subsets"), names)
    ):
      frame.insert(place, column, name)
    frames.append(frame)
  if not frames:
    raise errors.StudyError(
      f"{directory.root} has no trajectories: they need two sizes of one "
      "family, with two blocks of runs each, and a launch that has scored them"
    )
  return _joined(frames, directory, {"": "train"})


def compare(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  *,
  first: str | None = None,
  second: str | None = None,
) -> pd.DataFrame:
  """Two groups' scores of every example, from the subsets that both have.

  Args:
    directory: of the study.
    plan: of the study.
    first, second: names of groups: MODEL, MODEL/RECIPE or MODEL/RECIPE/SUBSETS;
      None: the only two of the study.

  Returns:
    One row per example: those of the example as in `scores`, memorization in
    each group, and of the change from the first to the second the 95 %
    interval and the q-value (`analysis.trajectories.changes`).

  Raises:
    UsageError: if the names do not fit two groups of the same subsets.
    StudyError: if the two share no finished runs, or one is damaged.
  """
  one, other = _two_groups(plan, first, second)
  found = survey_lib.survey(directory, plan)
  units = [
    {unit.index: unit for unit in found.done if unit.group == group}
    for group in (one, other)
  ]
  shared = sorted(set(units[0]) & set(units[1]))
  if not shared:
    raise errors.StudyError(
      f"{one.name} and {other.name} have no subset on which both are finished"
    )
  stacks = [
    predictions.stack_runs(directory, [mine[m] for m in shared])
    for mine in units
  ]
  correct = np.stack([stack.correct for stack in stacks])
  in_mask = stacks[0].in_mask
  changes = changes_lib.example_changes(correct, in_mask)
  frame = pd.DataFrame(
    {
      "example_id": np.arange(in_mask.shape[1]),
      "label": stacks[0].labels,
      **{
        f"memorization_{name}": _memorization(right, in_mask)
        for name, right in zip(_short_names(one, other), correct)
      },
      "change": changes.change,
      "change_ci_low": changes.change_ci_low,
      "change_ci_high": changes.change_ci_high,
      "change_q_value": changes.change_q_value,
    }
  )
  frame.attrs["num_runs"] = len(shared)
  return _joined([frame], directory, {"": "train"})


def _memorization(correct: np.ndarray, in_mask: np.ndarray) -> np.ndarray:
  inside, outside = in_out.in_out_means(correct, in_mask)
  return inside - outside


def _group_tables(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  name: str,
  model: str | None,
  recipe: str | None,
  what: str,
) -> list[pd.DataFrame]:
  """A file of every chosen group that has it, with the group's names."""
  groups = plan.scored_groups()
  for asked, known, word in (
    (model, {g.model for g in groups}, "model"),
    (recipe, {g.recipe for g in groups}, "recipe"),
  ):
    if asked is not None and not any(_is_called(n, asked) for n in known):
      raise errors.UsageError(
        f"`{word}` must be one of the study: {', '.join(sorted(known))}. "
        f"Received: {asked!r}"
      )
  frames = []
  order = sorted(groups, key=lambda g: (plan.models[g.model].relative_cost, g))
  for group in order:
    path = directory.scores_dir(group) / name
    is_chosen = (model is None or _is_called(group.model, model)) and (
      recipe is None or _is_called(group.recipe, recipe)
    )
    if is_chosen and path.exists():
      frame = _read(directory, path)
      for place, column in enumerate(work_units.Group._fields):
        frame.insert(place, column, getattr(group, column))
      frames.append(frame)
  if not frames:
    raise errors.StudyError(
      f"{directory.root} has no {what} yet: they are computed when its runs "
      "are finished"
    )
  return frames


def _is_called(name: str, asked: str) -> bool:
  """Whether a name is the one asked for, which may be that of tables."""
  return asked in (name, model_names.label(name))


def _read(directory: directory_lib.StudyDirectory, path) -> pd.DataFrame:
  content = checkup.read_derived(directory, path)
  return pd.read_parquet(io.BytesIO(content))


def _joined(
  frames: list[pd.DataFrame],
  directory: directory_lib.StudyDirectory,
  splits: dict[str, str],
) -> pd.DataFrame:
  """One table of all frames, with the examples' names after their ids.

  Args:
    frames: each with the ids `<prefix>example_id`, or `<prefix>id`.
    directory: of the study.
    splits: split of the examples by prefix.
  """
  frame = pd.concat(frames, ignore_index=True)
  examples = predictions.read_examples(directory)
  class_names = dataset_info.read_info(directory)["class_names"]
  for prefix, split in splits.items():
    rows = examples[examples["split"] == split].reset_index(drop=True)
    key = f"{prefix}id" if prefix else "example_id"
    rows = rows.iloc[frame[key].to_numpy()]
    labels = rows["label"].to_numpy()
    added: dict[str, Any] = {"label": labels}
    if _FILE_NAME in examples:
      added = {"file_name": rows[_FILE_NAME].to_numpy(), **added}
    added["label_name"] = [class_names[label] for label in labels]
    columns = {f"{prefix}{name}": values for name, values in added.items()}
    frame = frame.drop(columns=[n for n in columns if n in frame])
    place = list(frame.columns).index(key) + 1
    for offset, (name, values) in enumerate(columns.items()):
      frame.insert(place + offset, name, values)
  return frame


def _two_groups(
  plan: plan_lib.Plan, first: str | None, second: str | None
) -> tuple[work_units.Group, work_units.Group]:
  """The groups of two names.

  Raises:
    UsageError: if a name fits none or several, or the two have other subsets.
  """
  groups = list(plan.scored_groups())
  rule = (
    "two groups must be named, as MODEL, MODEL/RECIPE or MODEL/RECIPE/SUBSETS, "
    f"among {', '.join(g.name for g in groups)}"
  )
  if first is None and second is None and len(groups) == 2:
    # Groups are planned costliest first.
    return groups[1], groups[0]
  chosen = []
  for name in (first, second):
    parts = (name or "").split("/")
    fit = [
      group
      for group in groups
      if len(parts) <= 3
      and all(_is_called(own, part) for own, part in zip(group, parts))
    ]
    if len(fit) != 1:
      raise errors.UsageError(f"{rule}. Received: {first!r} and {second!r}")
    chosen += fit
  if chosen[0].subsets != chosen[1].subsets or chosen[0] == chosen[1]:
    raise errors.UsageError(
      "two different groups of the same subsets must be named. Received: "
      f"{chosen[0].name} and {chosen[1].name}"
    )
  return chosen[0], chosen[1]


def _short_names(*groups: work_units.Group) -> list[str]:
  """What sets two groups apart: their models, recipes, or both."""
  models, recipes = ({g[i] for g in groups} for i in (0, 1))
  if len(models) == len(groups):
    return [model_names.label(g.model) for g in groups]
  if len(recipes) == len(groups):
    return [g.recipe for g in groups]
  return [f"{g.model}/{g.recipe}" for g in groups]
