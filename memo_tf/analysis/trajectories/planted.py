"""Planted wrong labels among the shape classes.

Lukasik et al. (2024) find ambiguous and mislabelled images among those with
increasing trajectories. Where wrong labels were planted this can be counted.
"""

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis.trajectories import classify


def planted_by_class(
  shape_class: np.ndarray, probability: np.ndarray | None, planted: np.ndarray
) -> pd.DataFrame:
  """How many of each class have a planted wrong label.

  Args:
    shape_class: `[N]` str, as measured; "" is left out.
    probability: `[N, 6]` of the true class, or None.
    planted: `[N]` bool.

  Returns:
    A row a class: shape_class, num_examples, num_planted, share with its 95 %
    Wilson interval (share_low, share_high), enrichment (share over the share
    among all), p_value (two-sided, Fisher's exact test of the class against the
    rest), and, with probabilities, expected_share: planted among the true
    members, each example counted by its probability. No rows if nothing was
    planted.
  """
  shape_class, planted = np.asarray(shape_class), np.asarray(planted, bool)
  known = shape_class != ""
  if not planted[known].any():
    return pd.DataFrame()
  rows, base = [], planted[known].mean()
  for place, name in enumerate(classify.SHAPE_CLASSES):
    member = known & (shape_class == name)
    count, hits = int(member.sum()), int((member & planted).sum())
    rest = known & ~member
    other = int((rest & planted).sum())
    row = {
      "shape_class": name,
      "num_examples": count,
      "num_planted": hits,
      "share": hits / count if count else float("nan"),
      "share_low": float("nan"),
      "share_high": float("nan"),
      "enrichment": hits / count / base if count else float("nan"),
      "p_value": float("nan"),
    }
    if count:
      interval = stats.binomtest(hits, count).proportion_ci(method="wilson")
      row["share_low"], row["share_high"] = interval.low, interval.high
      table = [[hits, count - hits], [other, int(rest.sum()) - other]]
      row["p_value"] = float(stats.fisher_exact(table)[1])
    if probability is not None:
      weight = np.nan_to_num(probability[known, place])
      total = weight.sum()
      row["expected_share"] = (
        float((weight * planted[known]).sum() / total)
        if total > 0.5
        else float("nan")
      )
    rows.append(row)
  return pd.DataFrame(rows)
