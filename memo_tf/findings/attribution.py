"""How well a user's attribution predicts what the runs of a study do.

    findings/attribution/<model>/<recipe>/<subsets>/<name>.parquet and .csv

The runs of one group judge an attribution (`analysis.attribution`): all of
them, and the even blocks alone beside the influence that the odd blocks give.
The attribution must not come from these runs. Imports no TensorFlow.
"""

from collections.abc import Callable
import dataclasses
import io
import os
import pathlib
import re

import numpy as np
import pandas as pd

from memo_tf.analysis import attribution as attribution_lib
from memo_tf.analysis import evidence
from memo_tf.estimators import resampling
from memo_tf.experiment import errors
from memo_tf.experiment import model_names
from memo_tf.experiment import plan as plan_lib
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment import work_units
from memo_tf.findings import table_files
from memo_tf.interchange import attribution as files_lib
from memo_tf.interchange import files as interchange_files
from memo_tf.store import checkup
from memo_tf.store import directory as directory_lib
from memo_tf.store import predictions
from memo_tf.store import survey as survey_lib

_NAME = re.compile(r"\w[\w.-]*")
_MEASURES = {
  "lds": "The linear datamodeling score",
  "recall": "Recall of the {k} most influential training images",
}
_WORDS = {
  evidence.RISES: "predicts these runs better than",
  evidence.FALLS: "predicts these runs worse than",
  evidence.UNSURE: "is not shown to differ from",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judges:
  """The finished runs of one group, which judge attributions.

  Attributes:
    group: (model, recipe, subsets).
    outcome: what a run puts out for a test example.
    runs: of the group, on the test examples `test_ids`.
    blocks: int `[M]`, the block of each run.
    test_ids: int `[T]`.
  """

  group: work_units.Group
  outcome: str
  runs: attribution_lib.Runs
  blocks: np.ndarray
  test_ids: np.ndarray

  def read_attribution(
    self, path: str | os.PathLike, orientation: str
  ) -> np.ndarray:
    """The attribution `[N, T]` of a file.

    Raises:
      UsageError: if it does not fit these runs.
    """
    try:
      return files_lib.read_attribution(
        path,
        orientation=orientation,
        num_train=self.runs.in_mask.shape[1],
        num_test=len(self.test_ids),
      )
    except interchange_files.InterchangeError as error:
      raise errors.UsageError(f"--attribution: {error}") from error

  def write_truth(self, path: str | os.PathLike) -> None:
    """Writes what dattri and quanda take as the truth.

    Raises:
      UsageError: if the subsets are not of one size.
    """
    try:
      files_lib.write_attribution_truth(
        path, self.runs.in_mask, self.runs.outputs, test_ids=self.test_ids
      )
    except interchange_files.InterchangeError as error:
      raise errors.UsageError(f"--truth: {error}") from error

  def judge(
    self,
    attribution: np.ndarray,
    *,
    top_k: int,
    progress: Callable[[int, int], None] | None = None,
  ) -> pd.DataFrame:
    """The rows of `analysis.attribution.judge`, with `judged_by`.

    Args:
      attribution: `[N, T]`.
      top_k: k of the recall.
      progress: as for `judge`; called for all runs, then for half of them.
    """
    whole = attribution_lib.judge(
      attribution, self.runs, block=self.blocks, top_k=top_k, progress=progress
    )
    parts = [whole.assign(judged_by="all runs")]
    odd = resampling.block_of_run(len(self.blocks), self.blocks) % 2 > 0
    if not odd.any():  # one block
      odd = np.arange(len(odd)) % 2 > 0
    if odd.sum() > 1:
      half = attribution_lib.judge(
        attribution,
        _some(self.runs, ~odd),
        block=self.blocks[~odd],
        others=_some(self.runs, odd),
        top_k=top_k,
        progress=progress,
      )
      parts.append(half.assign(judged_by="half of the runs"))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(outcome=self.outcome, top_k=top_k)


def _some(runs: attribution_lib.Runs, rows: np.ndarray) -> attribution_lib.Runs:
  return attribution_lib.Runs(
    in_mask=runs.in_mask[rows], outputs=runs.outputs[rows]
  )


def judges_of_study(
  directory: directory_lib.StudyDirectory,
  plan: plan_lib.Plan,
  *,
  group: str = "",
  outcome: str = "",
  test_ids: np.ndarray | None = None,
) -> Judges:
  """Reads the finished runs of one group.

  Args:
    directory: of the study.
    plan: of the study.
    group: MODEL, MODEL/RECIPE or MODEL/RECIPE/SUBSETS; empty: the only one.
    outcome: correctness, label_probability or margin; empty: the margin, or
      correctness where it is not known.
    test_ids: int `[T]`, test examples of the attribution; None: all.

  Raises:
    UsageError: if these do not fit the study.
    StudyError: if it has fewer than two finished runs, or one is damaged.
  """
  chosen = _chosen_group(plan, group)
  family = subsets_lib.parse_family(chosen.subsets)
  if family.scheme == "full":
    raise errors.UsageError(
      "--group must be one of runs on subsets: runs on all data say nothing of "
      f"single examples. Received: {chosen.name}"
    )
  units = [
    unit
    for unit in survey_lib.survey(directory, plan).done
    if unit.group == chosen
  ]
  if len(units) < 2:
    raise errors.StudyError(
      f"{chosen.name} has {len(units)} finished runs: two or more are needed"
    )
  units.sort(key=lambda unit: unit.index)
  stack = predictions.stack_runs(directory, units)
  name, outputs = _outputs(stack, outcome)
  if not outputs.shape[1]:
    raise errors.UsageError(
      f"{directory.root} has no test examples, to which training examples "
      "could be attributed"
    )
  ids = _checked_ids(test_ids, outputs.shape[1])
  return Judges(
    group=chosen,
    outcome=name,
    runs=attribution_lib.Runs(in_mask=stack.in_mask, outputs=outputs[:, ids]),
    blocks=np.array([unit.index for unit in units]) // family.block,
    test_ids=ids,
  )


def _chosen_group(plan: plan_lib.Plan, name: str) -> work_units.Group:
  groups = list(plan.scored_groups())
  parts = name.split("/") if name else []
  fit = [
    group
    for group in groups
    if len(parts) <= len(group)
    and all(
      part in (own, model_names.label(own) if place == 0 else own)
      for place, (own, part) in enumerate(zip(group, parts))
    )
  ]
  if len(fit) != 1:
    raise errors.UsageError(
      "--group must name one group, as MODEL, MODEL/RECIPE or "
      f"MODEL/RECIPE/SUBSETS, of: {', '.join(g.name for g in groups)}. "
      f"Received: {name or 'none'}"
    )
  return fit[0]


def _outputs(
  stack: predictions.RunStack, outcome: str
) -> tuple[str, np.ndarray]:
  """The outcome and its values `[M, T]`, if they are known."""
  known = {
    "margin": stack.test_margin,
    "label_probability": stack.test_label_prob,
    "correctness": stack.test_correct,
  }
  for name, values in known.items():
    if outcome in ("", name) and not np.isnan(values).any():
      return name, values.astype(np.float32)
  raise errors.UsageError(
    f"--outcome must be one of {', '.join(known)}, and known of these runs. "
    f"Received: {outcome}"
  )


def _checked_ids(test_ids: np.ndarray | None, num_test: int) -> np.ndarray:
  if test_ids is None:
    return np.arange(num_test)
  ids = np.asarray(test_ids)
  if (
    ids.ndim != 1
    or ids.dtype.kind not in "iu"
    or not len(ids)
    or ids.min() < 0
    or ids.max() >= num_test
    or len(np.unique(ids)) != len(ids)
  ):
    raise errors.UsageError(
      f"--test_ids must hold different ids from 0 to {num_test - 1}. Received: "
      f"{ids.dtype} {ids.shape}"
    )
  return ids.astype(np.int64)


def check_name(name: str) -> None:
  """Refuses a name that results cannot have.

  Raises:
    UsageError: if the name cannot be that of a file.
  """
  if not _NAME.fullmatch(name):
    raise errors.UsageError(
      "--attribution must be a file whose name starts with a letter or digit "
      f"and has no spaces: its results get that name. Received: {name!r}"
    )


def write(
  directory: directory_lib.StudyDirectory,
  group: work_units.Group,
  name: str,
  table: pd.DataFrame,
) -> pathlib.Path:
  """Writes what runs say of an attribution; returns the path of the CSV file.

  Raises:
    UsageError: as `check_name`.
  """
  check_name(name)
  place = ("findings", "attribution", *group)
  table_files.write(directory, place, {name: table})
  path = directory.root.joinpath(*place, f"{name}.csv")
  checkup.record_written(directory, (path, path.with_suffix(".parquet")))
  return path


def read(
  directory: directory_lib.StudyDirectory,
) -> dict[tuple[work_units.Group, str], pd.DataFrame | None]:
  """The tables that were written, by group and name; None where damaged."""
  found: dict[tuple[work_units.Group, str], pd.DataFrame | None] = {}
  root = directory.root / "findings" / "attribution"
  for path in sorted(root.glob("*/*/*/*.parquet")):
    key = work_units.Group(*path.relative_to(root).parts[:3]), path.stem
    try:
      found[key] = pd.read_parquet(
        io.BytesIO(checkup.read_derived(directory, path))
      )
    except (errors.StudyError, ValueError, OSError):
      found[key] = None
  return found


def sentences(table: pd.DataFrame) -> list[str]:
  """What the rows of `Judges.judge` say, with intervals."""
  rows = {
    (row["judged_by"], row["method"], row["measure"]): row
    for row in table.to_dict("records")
  }
  found = []
  for measure, words in _MEASURES.items():
    row = rows["all runs", attribution_lib.ATTRIBUTION, measure]
    chance = row["chance"]
    text = f"{words.format(k=row['top_k'])} is {_shown(row)}"
    if measure == "recall":
      text += f"; by chance it is {chance:.4f}"
    if not row["ci_low"] > chance:
      text += ". That it is better than chance is not shown"
    found.append(f"{text}.")
    half = ("half of the runs", attribution_lib.DIFFERENCE, measure)
    if half in rows:
      row = rows[half]
      other = rows[half[0], attribution_lib.INFLUENCE, measure]
      verdict = _WORDS[evidence.direction(row["ci_low"], row["ci_high"])]
      found.append(
        f"By this measure the attribution {verdict} the influence that the "
        f"other half of the runs gives ({_shown(other)}): {_shown(row, '+')}."
      )
  return found


def _shown(row: dict, sign: str = "") -> str:
  """A value with its interval; of a single test image there is none."""
  value, low, high = (
    f"{row[name]:{sign}.4f}" for name in ("value", "ci_low", "ci_high")
  )
  if np.isnan(row["ci_low"]):
    return f"{value} (no interval)"
  return f"{value} [{low}, {high}]"
