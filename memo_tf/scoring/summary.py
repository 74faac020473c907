"""The figures of a study as a text table."""

from memo_tf.analysis import planted_truth
from memo_tf.scoring import groups


def summary_lines(results: list[groups.GroupScores]) -> list[str]:
  """The study's figures as a small text table, one line per group.

  Under it, where copies or noise images were planted, a table of expected and
  measured scores for each group.
  """
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
  for result in results:
    kinds = result.planted_summary()
    if {row.kind for row in kinds} <= {
      planted_truth.CLEAN,
      planted_truth.WRONG,
    }:
      continue
    lines += [
      "",
      f"{'planted: ' + result.group.name:40} {'images':>6} {'in':>7} "
      f"{'out':>7} {'memorization':>12} {'95 % interval':>18} {'expected':>15}",
    ]
    for row in kinds:
      interval = f"[{row.ci_low:.4f}, {row.ci_high:.4f}]"
      lines.append(
        f"{row.kind:40} {row.num_examples:6d} {row.in_accuracy:7.4f} "
        f"{row.out_accuracy:7.4f} {row.memorization:12.4f} {interval:>18} "
        f"{row.expected(4):>15}"
      )
  return lines
