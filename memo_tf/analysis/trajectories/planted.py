"""Planted wrong labels among the shape classes.

Lukasik et al. (2024) find ambiguous and mislabelled images among those with
increasing trajectories. Where wrong labels were planted, they can be counted.
"""

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis.trajectories import classify


def planted_by_class(
  shape_class: np.ndarray, planted: np.ndarray
) -> pd.DataFrame:
  """Number and share of planted wrong labels in each shape class.

  Args:
    shape_class: `[N]` str, as measured; examples with "" are left out.
    planted: `[N]` bool.

  Returns:
    A table with one row per class: shape_class, num_examples, num_planted,
    share with its 95 % Wilson interval (share_low, share_high), enrichment
    (share over the share among all examples) and p_value (two-sided, Fisher's
    exact test of the class against the rest). No rows if no wrong label was
    planted.
  """
  shape_class, planted = np.asarray(shape_class), np.asarray(planted, bool)
  known = shape_class != ""
  if not planted[known].any():
    return pd.DataFrame()
  rows, base = [], planted[known].mean()
  for name in classify.SHAPE_CLASSES:
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
    rows.append(row)
  return pd.DataFrame(rows)
