"""The figures of a study as a text table."""

from memo_tf.scoring import groups


def summary_lines(results: list[groups.GroupScores]) -> list[str]:
  """The study's figures as a small text table, one line per group."""
  lines = [
    f"{'model/recipe/subsets':40} {'runs':>5} {'in':>7} {'out':>7} {'test':>7} "
    f"{'memorization':>12} {'AUROC planted':>13}"
  ]
  for result in results:
    figures = result.summary()
    columns = (
      ("in_accuracy", 7),
      ("out_accuracy", 7),
      ("test_accuracy", 7),
      ("mean_memorization", 12),
      ("planted_auroc", 13),
    )
    lines.append(
      f"{result.group.name:40} {figures['num_runs']:5d} "
      + " ".join(_figure(figures[name], width) for name, width in columns)
    )
  return lines


def _figure(value: float, width: int) -> str:
  """A number, or "none" for what the study does not have (NaN)."""
  return f"{value:{width}.4f}" if value == value else f"{'none':>{width}}"
