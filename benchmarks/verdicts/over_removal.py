"""Finding 10 of docs/studies/plan.md: accuracy without memorized images."""

import pandas as pd

from benchmarks.verdicts import rules
from benchmarks.verdicts import study as study_lib
from memo_tf.experiment import errors
from memo_tf.experiment import removal
from memo_tf.findings import removal as removal_files

THRESHOLD = 0.25
# Section 8.4 of the plan: fewer repeats than this are no study (f).
LEAST_REPEATS = 12


def removal_hurts(study: study_lib.Study, model: str) -> rules.Verdict:
  """10: without them accuracy is lower than without others of their classes.

  Args:
    study: (f).
    model: whose memorized images were left out.

  Raises:
    StudyError: if the comparison is not in the files, or not yet whole.
  """
  effects = study.table(f"findings/removal/{model}/one_hot/effects.parquet")
  first = _rows(effects, removal.SAME_CLASSES, THRESHOLD)
  decides = first[first["tests"] == removal_files.ALL]
  if len(decides) != 1:
    raise errors.StudyError(
      f"{study.directory.root} does not compare {model} without its images "
      f"with memorization of at least {THRESHOLD} to random ones of their "
      "classes (--removal_comparisons=same_classes)"
    )
  wanted = study.plan.config.removal.removal_repeats
  fewest = int(effects["num_repeats"].min())
  if fewest < max(wanted, LEAST_REPEATS):
    raise errors.StudyError(
      "verdicts are computed after the last run of a study, and need "
      f"{LEAST_REPEATS} repeats. {study.directory.root} has {fewest} of "
      f"{wanted}"
    )
  part = _part(
    f"test accuracy of random ones of the same classes left out, less that of "
    f"the {int(decides['num_removed'].iloc[0])} memorized ones",
    decides.iloc[0],
    0.003,
  )
  others = pd.concat(
    [
      first[first["tests"] != removal_files.ALL],
      _rows(effects, removal.RANDOM, THRESHOLD),
      effects[effects["comparison"] == removal.TARGETED],
    ]
  )
  return rules.Verdict(
    finding="10 removal hurts",
    study="f",
    verdict=part.answer,
    parts=(part,),
    beside=tuple(
      _part(f"{row['comparison']}, tests: {row['tests']}", row, 0).text
      + _explained(row)
      for _, row in others.iterrows()
    ),
  )


def _rows(
  effects: pd.DataFrame, comparison: str, threshold: float
) -> pd.DataFrame:
  is_of = effects["comparison"] == comparison
  return effects[is_of & (effects["threshold"] == threshold)]


def _part(name: str, row: pd.Series, delta: float) -> rules.Part:
  return rules.Part(
    name=name,
    theta=float(row["difference"]),
    low=float(row["ci_low"]),
    high=float(row["ci_high"]),
    delta=delta,
  )


def _explained(row: pd.Series) -> str:
  """The share of the whole drop, of the pairs' test images; else nothing."""
  share = row.get("explained_share", float("nan"))
  if pd.isna(share):
    return ""
  return (
    f", {share:.2f} [{row['explained_ci_low']:.2f}, "
    f"{row['explained_ci_high']:.2f}] of the whole drop"
  )
