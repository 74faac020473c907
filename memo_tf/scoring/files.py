"""The score files of a study, with metadata that describes them.

    scores/<model>/<recipe>/<subsets>/memorization.parquet
    scores/<model>/<recipe>/<subsets>/memorization_<outcome>.parquet
    scores/<model>/<recipe>/<subsets>/influence.parquet
    scores/<model>/<recipe>/consistency.parquet

The first has the scores from margins beside the plain ones (`margin_columns`).
The second is written for every further outcome in `--outcomes`, the last if
the study has subset families of two or more ratios. Where the images of a data
set are files, their names follow the ids: file_name, and for pairs
train_file_name and test_file_name. Imports no TensorFlow.
"""

import io
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memo_tf.estimators import consistency
from memo_tf.estimators import memorization
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.scoring import file_names
from memo_tf.store import directory as directory_lib
from memo_tf.store import files
from memo_tf.store import predictions

_INTERVALS = {
  "correctness": "95 % Newcombe hybrid score",
  "label_probability": "95 % Welch",
  "margin": "95 % Welch",
}


def memorization_file(outcome: str) -> str:
  """Name of the file with the scores of one outcome."""
  return (
    "memorization.parquet"
    if outcome == "correctness"
    else f"memorization_{outcome}.parquet"
  )


def write_memorization(
  directory: directory_lib.StudyDirectory,
  group: work_units.Group,
  scores: memorization.MemorizationScores,
  labels: np.ndarray,
  about: dict,
  further: dict[str, np.ndarray] | None = None,
) -> None:
  """Writes the scores of one outcome of a group.

  Args:
    directory: of the study.
    group: (model, recipe, subsets).
    scores: over the N training examples.
    labels: `[N]`, the given labels.
    about: metadata of the group, see `describe`.
    further: columns to add, by name, `[N]` each.
  """
  frame = scores.to_dataframe().assign(**(further or {}))
  frame.insert(1, "label", labels)
  file_names.add(frame, file_names.read(directory))
  _write_table(
    directory.scores_dir(group) / memorization_file(scores.outcome),
    frame,
    about
    | {
      "outcome": scores.outcome,
      "estimand": scores.estimand,
      "interval": _INTERVALS[scores.outcome],
    },
  )


def write_influence(
  directory: directory_lib.StudyDirectory,
  group: work_units.Group,
  pairs,
  outputs: settings_lib.OutputsConfig,
  about: dict,
  from_margins=None,
) -> None:
  """Writes the pairs that were kept, an `InfluencePairs`.

  `from_margins`, a `MarginInfluence` of the same pairs, adds the columns
  influence_margin and margin_q_value.
  """
  frame = pairs.to_dataframe()
  if from_margins is not None:
    frame["influence_margin"] = from_margins.influence
    frame["margin_q_value"] = from_margins.q_value
    about = about | {
      "margin_null": "margins do not depend on which runs saw the training "
      "example; one-sided t-test with moderated variances, Benjamini & "
      "Hochberg over num_tested pairs",
      "margin_prior_degrees": from_margins.prior_degrees,
    }
  limits = {
    "min_memorization": outputs.min_memorization,
    "min_influence": outputs.min_influence,
    "same_class": True,
  }
  if outputs.influence_top_k:
    limits = {"top_k": outputs.influence_top_k, "same_class": False}
  file_names.add(frame, file_names.read(directory))
  _write_table(
    directory.scores_dir(group) / "influence.parquet",
    frame,
    about
    | {
      "outcome": pairs.outcome,
      "estimand": pairs.estimand,
      "interval": "none",
      "null": "outcomes do not depend on which runs saw the training example; "
      "one-sided Fisher's exact test, Benjamini & Hochberg over num_tested "
      "pairs",
      "num_tested": pairs.num_tested,
      "selection": "pairs kept for a high estimate: their influence is "
      "overstated on average; above q = 0.05 it may be chance",
    }
    | limits,
  )


def write_consistency(
  directory: directory_lib.StudyDirectory,
  stacks: dict[work_units.Group, predictions.RunStack],
  config: config_lib.StudyConfig,
) -> None:
  """Writes C-scores of every model and recipe with two or more subset ratios.

  Columns: example_id, label, c_score (the unweighted mean over the ratios),
  standard_error, and consistency_<ratio> for each (Jiang et al., 2021,
  arXiv:2002.03206).

  Args:
    directory: of the study.
    stacks: runs by group.
    config: of the study.
  """
  by_recipe: dict[tuple[str, str], dict[float, predictions.RunStack]] = {}
  for (model, recipe, subsets), stack in stacks.items():
    family = subsets_lib.parse_family(subsets)
    if family.scheme in ("full", "two_sizes"):
      continue
    # Where two schemes share a ratio, the first by name.
    by_recipe.setdefault((model, recipe), {}).setdefault(family.ratio, stack)
  for (model, recipe), families in by_recipe.items():
    if len(families) < 2:
      continue
    profile = consistency.consistency_profile(
      {
        ratio: consistency.consistency_scores(stack.correct, stack.in_mask)
        for ratio, stack in families.items()
      }
    )
    first = next(iter(families.values()))
    frame = pd.DataFrame(
      {
        "example_id": np.arange(len(first.labels)),
        "label": first.labels,
        "c_score": profile.c_score,
        "standard_error": profile.standard_error,
      }
      | {
        f"consistency_{ratio:g}": values
        for ratio, values in zip(profile.ratios, profile.profile)
      }
    )
    about = {
      "outcome": "correctness",
      "model": model,
      "recipe": recipe,
      "ratios": ", ".join(f"{ratio:g}" for ratio in profile.ratios),
      "M": ", ".join(str(len(families[r].units)) for r in profile.ratios),
      "dataset": config.data.dataset,
      "format_version": config_lib.FORMAT_VERSION,
    }
    file_names.add(frame, file_names.read(directory))
    folder = directory.scores_dir(work_units.Group(model, recipe, ""))
    _write_table(folder / "consistency.parquet", frame, about)


def describe(
  group: work_units.Group,
  num_runs: int,
  config: config_lib.StudyConfig,
) -> dict:
  """Metadata that every score file of a group has."""
  family = subsets_lib.parse_family(group.subsets)
  return {
    "estimator": "plain",
    "model": group.model,
    "recipe": group.recipe,
    "subsets": family.name,
    "scheme": family.scheme,
    "ratio": family.ratio,
    "M": num_runs,
    "dataset": config.data.dataset,
    "format_version": config_lib.FORMAT_VERSION,
  }


def _write_table(path: pathlib.Path, frame: pd.DataFrame, about: dict) -> None:
  """Writes a frame as a Parquet file, with `about` in its metadata."""
  table = pa.Table.from_pandas(frame, preserve_index=False)
  metadata = {key: str(value) for key, value in about.items()}
  table = table.replace_schema_metadata(
    {**(table.schema.metadata or {}), **metadata}
  )
  sink = io.BytesIO()
  pq.write_table(table, sink)
  files.write_atomic(path, sink.getvalue())
