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
    auroc = figures["planted_auroc"]
    lines.append(
      f"{result.group.name:40} {figures['num_runs']:5d} "
      f"{figures['in_accuracy']:7.4f} {figures['out_accuracy']:7.4f} "
      f"{figures['test_accuracy']:7.4f} {figures['mean_memorization']:12.4f} "
      + (f"{auroc:13.4f}" if auroc == auroc else f"{'none':>13}")
    )
  return lines
