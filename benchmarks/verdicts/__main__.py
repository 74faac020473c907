r"""Computes the verdicts of docs/studies/plan.md from finished studies.

    python -m benchmarks.verdicts --a=DIR --b=DIR --c=DIR --d=DIR --e=DIR \
        --f=DIR --output=docs/studies/verdicts

Writes OUTPUT.csv, one row per finding, and OUTPUT.md, the same as a table.
Studies that are not given are left out, and their findings with them. Where a
study has stuck runs, give a second folder of it, scored with
`python -m memo_tf.score --experiment_dir=COPY --exclude_flagged_runs`, as
`--a=DIR,COPY`: a verdict that differs between the two is *cannot tell*.
"""

import argparse
from collections.abc import Callable
from collections.abc import Mapping
import pathlib
import sys

import pandas as pd

from benchmarks.verdicts import over_images
from benchmarks.verdicts import over_removal
from benchmarks.verdicts import over_sizes
from benchmarks.verdicts import rules
from benchmarks.verdicts import study as study_lib
from memo_tf.experiment import errors

STUDIES = ("a", "b", "c", "d", "e", "f")
_W2 = over_sizes.WIDTHS[-1]


def _of_a(studies: Mapping[str, study_lib.Study]) -> list[rules.Verdict]:
  a = studies["a"]
  holds, text = over_sizes.conditions(a)
  whole = a.ladder(over_sizes.WIDTHS)
  upper = a.ladder(over_sizes.UPPER)
  return [
    rules.Verdict(
      finding="conditions C1 and C2",
      study="a",
      verdict=rules.SHOWN if holds else rules.NOT_SHOWN,
      beside=(text,),
    ),
    over_sizes.falls_with_size(a, "a", over_sizes.BASE, _W2, holds),
    over_sizes.decreasing_is_largest(upper, "a, widths 0.5 to 2", holds),
    over_sizes.decreasing_is_largest(whole, "a, all widths (beside)", holds),
    over_sizes.shapes_are_diverse(whole, "a"),
    over_sizes.grows_bimodal(whole, "a"),
    over_sizes.grows_bimodal(upper, "a, widths 0.5 to 2"),
    over_sizes.misses_the_trend(a, "cumulative_probability", "a"),
    over_sizes.misses_the_trend(a, "prediction_depth", "a"),
    over_images.memorized_are_rare(a, _W2),
    over_images.pairs_look_alike(a, _W2),
    over_images.scores_are_consistent(a, (over_sizes.BASE, _W2), "a"),
  ]


def _of_d(studies: Mapping[str, study_lib.Study]) -> list[rules.Verdict]:
  d = studies["d"]
  smallest, largest = over_sizes.DIGITS_WIDTHS[0], over_sizes.DIGITS_WIDTHS[-1]
  ladder = d.ladder(over_sizes.DIGITS_WIDTHS)
  return [
    over_sizes.falls_with_size(d, "d", smallest, largest, True),
    over_sizes.decreasing_is_largest(ladder, "d", True),
  ]


def _of_c(studies: Mapping[str, study_lib.Study]) -> list[rules.Verdict]:
  models = ("cifar_resnet-8", "cifar_resnet-14", "mobilenet_v3_small-0.5")
  return [over_images.scores_are_consistent(studies["c"], models, "c")]


def _of_b(studies: Mapping[str, study_lib.Study]) -> list[rules.Verdict]:
  return over_sizes.distillation(studies["b"], studies["a"])


def _of_e(studies: Mapping[str, study_lib.Study]) -> list[rules.Verdict]:
  return [
    over_images.memorized_are_mislabelled(studies["e"], _W2),
    over_sizes.natural_and_planted(studies["e"], studies["a"]),
  ]


def _of_f(studies: Mapping[str, study_lib.Study]) -> list[rules.Verdict]:
  return [over_removal.removal_hurts(studies["f"], over_sizes.BASE)]


# What each set of findings needs.
FINDINGS: tuple[tuple[str, Callable], ...] = (
  ("a", _of_a),
  ("d", _of_d),
  ("c", _of_c),
  ("ab", _of_b),
  ("f", _of_f),
  ("ae", _of_e),
)


def verdicts(
  studies: Mapping[str, study_lib.Study],
) -> list[rules.Verdict]:
  """The verdicts on all findings whose studies are given."""
  found = []
  for needed, compute in FINDINGS:
    if set(needed) <= set(studies):
      found += compute(studies)
  return found


def table(found: list[rules.Verdict]) -> pd.DataFrame:
  """One row per verdict."""
  return pd.DataFrame(
    {
      "finding": [v.finding for v in found],
      "study": [v.study for v in found],
      "verdict": [v.verdict for v in found],
      "evidence": ["; ".join(p.text for p in v.parts) for v in found],
      "beside": ["; ".join(v.beside) for v in found],
    }
  )


HEADING = """# Verdicts on the findings of both papers

Written by `python -m benchmarks.verdicts` from the finished studies of
{doc}`plan`; its section 4 says what the three answers mean.

"""


def markdown(rows: pd.DataFrame) -> str:
  """The table as a page of the documentation."""
  lines = ["| " + " | ".join(rows.columns) + " |"]
  lines.append("|---" * len(rows.columns) + "|")
  for row in rows.itertuples(index=False):
    lines.append(
      "| " + " | ".join(str(x).replace("|", "/") for x in row) + " |"
    )
  return HEADING + "\n".join(lines) + "\n"


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  for name in STUDIES:
    parser.add_argument(f"--{name}", help=f"folder of study ({name})")
  parser.add_argument("--output", required=True)
  arguments = parser.parse_args()
  given = {name for name in STUDIES if getattr(arguments, name)}
  if not any(set(needed) <= given for needed, _ in FINDINGS):
    parser.error(
      "give the folder of a study, such as --a=DIR; (b) and (e) also need (a)"
    )
  if not pathlib.Path(arguments.output).parent.is_dir():
    parser.error(f"--output={arguments.output} is in no folder that exists")
  try:
    _write(arguments)
  except errors.StudyError as error:
    parser.error(str(error))


def _write(arguments: argparse.Namespace) -> None:
  """Reads the studies, and writes and prints the table."""
  first, second = {}, {}
  for name in STUDIES:
    folders = (getattr(arguments, name) or "").split(",")
    if folders != [""]:
      print(f"reading ({name})", file=sys.stderr, flush=True)
      first[name] = study_lib.Study.open(folders[0])
      second[name] = first[name]
      if len(folders) > 1:
        second[name] = study_lib.Study.open(folders[1])
      elif first[name].num_flagged:
        sys.exit(
          f"({name}) has {first[name].num_flagged} stuck runs: give a second "
          "folder of it that is scored without them (see --help)."
        )
  found = verdicts(first)
  if any(second[name] is not first[name] for name in first):
    found = [
      rules.without_stuck_runs(*both) for both in zip(found, verdicts(second))
    ]
  rows = table(found)
  output = pathlib.Path(arguments.output)
  rows.to_csv(output.with_suffix(".csv"), index=False)
  output.with_suffix(".md").write_text(markdown(rows))
  print(markdown(rows))


if __name__ == "__main__":
  main()
