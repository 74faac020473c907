"""How sure the scores are, what surer ones cost, and the command for it."""

import shlex

import numpy as np

from memo_tf.estimators import widths
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.report import charts
from memo_tf.report import material
from memo_tf.report.sections import section
from memo_tf.scoring import groups
from memo_tf.scoring import spending


def make(study: material.Material) -> section.Section | None:
  """Widths, reliability, and the cost of halving the widths."""
  if study.primary is None:
    return None
  found = _reliability(study)
  widths_chart = _widths(study)
  if widths_chart:
    found.append(widths_chart)
  titles = {r.group: study.title(r) for r in study.results}
  return section.Section(
    name="certainty",
    title="How sure is this?",
    short="How sure",
    content={
      "rows": [
        {
          "model": study.title(r),
          "text": r.certainty(study.config.outputs.interval_width),
        }
        for r in study.scored
      ],
      "targets": [
        {"model": titles[p.group], "text": p.text()}
        for p in spending.progress(study.config, study.results)
      ],
      "cost": cost(study),
      "charts": [chart.name for chart in found],
    },
    charts=tuple(found),
  )


def _reliability(study) -> list[charts.Chart]:
  """A chart of the groups that are measured at the same numbers of runs."""
  together: dict[tuple[int, ...], list[charts.Line]] = {}
  for result in study.scored:
    curve = result.reliability_curve
    if len(curve) > 1:
      line = charts.Line(
        name=study.title(result), values=[point.reliability for point in curve]
      )
      runs = tuple(point.num_runs for point in curve)
      together.setdefault(runs, []).append(line)
  return [
    charts.lines(
      f"reliability-{index}",
      "Reliability: the share of the scores' variance that is not noise",
      runs,
      lines,
      x_label="runs",
      y_label="reliability",
      alt="Reliability of the scores by number of runs; the text has the last "
      "value",
    )
    for index, (runs, lines) in enumerate(together.items())
  ]


def cost(study: material.Material) -> dict | None:
  """Runs, time and command that halve the ambiguous interval's width.

  Of runs made elsewhere neither time nor command is known: 0 and "".
  """
  result = study.primary
  if result is None or np.isnan(result.widths.ambiguous):
    return None
  width = result.widths.ambiguous
  block = subsets_lib.parse_family(result.group.subsets).block
  more = widths.runs_needed(result.scores, width / 2, block=block)
  if not more:
    return None
  groups_alike = [r for r in study.results if r.group.subsets != "full"]
  seconds = sum(
    r.seconds / max(1, len(r.stack.units)) * more for r in groups_alike
  )
  name = study.directory.root.name or "STUDY"
  total = len(result.stack.units) + more
  command = (
    "python -m memo_tf.launch "
    f"--flagfile={shlex.quote(f'{name}/resolved.flags')} "
    f"--experiment_dir={shlex.quote(name)} --num_subsets={total}"
  )
  if study.config.subsets.target_ci_width:
    command += " --target_ci_width=0"
  return {
    "width": width,
    "half": width / 2,
    "more": more,
    "total": total,
    "groups": len(groups_alike),
    "seconds": seconds,
    "folder": name,
    "command": "" if study.config.is_made_elsewhere else command,
  }


def _widths(study) -> charts.Chart | None:
  """Width of an ambiguous interval over runs: theirs now, and planned."""
  result: groups.GroupScores = study.primary
  now = len(result.stack.units)
  width = result.widths.ambiguous
  if np.isnan(width):
    return None
  block = subsets_lib.parse_family(result.group.subsets).block
  x, y = [now], [width]
  for factor in (0.8, 0.65, 0.5, 0.4):
    more = widths.runs_needed(result.scores, width * factor, block=block)
    if more and now + more > x[-1]:
      x.append(now + more)
      y.append(width * factor)
  return charts.lines(
    "widths",
    f"Width of an ambiguous image's 95 % interval ({study.title(result)}): the "
    "first point is measured, the others are computed from it",
    x,
    [charts.Line(name="width", values=y, color=charts.PURPLE)],
    x_label="runs",
    y_label="width",
    alt="Interval width by number of runs; the text names the cost of halving",
  )
