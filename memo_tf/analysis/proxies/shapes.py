"""Shapes of a proxy's trajectories over sizes beside memorization's.

The classifier is an argument: any function from trajectories to names.
"""

from collections.abc import Callable
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis.proxies import measured

NORMALIZATIONS = ("min_max", "rank")
COLUMNS = ["proxy", "memorization_class", "proxy_class", "num_examples"]


def normalized(values: np.ndarray, how: str = "min_max") -> np.ndarray:
  """A score over sizes, scaled to [0, 1].

  Args:
    values: `[S, N]`, oriented; NaN where there is no score.
    how: `min_max`: minus the minimum, divided by the range, of all sizes
      together, so that means still differ between sizes. `rank`: the share of
      the size's other examples with a lower score, ties counting half; every
      size then has the same distribution, and only ranks differ.

  Returns:
    `[S, N]` float64.
  """
  if how not in NORMALIZATIONS:
    raise ValueError(
      f"`how` must be one of {NORMALIZATIONS}. Received: {how!r}"
    )
  values = np.asarray(values, np.float64)
  if how == "min_max":
    known = values[~np.isnan(values)]
    least = known.min() if len(known) else 0.0
    size = known.max() - least if len(known) else 0.0
    return (values - least) / (size or 1.0)
  found = np.full(values.shape, np.nan)
  for row, target in zip(values, found):
    known = ~np.isnan(row)
    target[known] = (stats.rankdata(row[known]) - 1) / max(known.sum() - 1, 1)
  return found


def shapes(
  memorization_classes: np.ndarray,
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  classify: Callable[[np.ndarray], np.ndarray],
  how: str = "min_max",
) -> pd.DataFrame:
  """Contingency tables of memorization's shape classes and proxies'.

  Args:
    memorization_classes: `[N]` str, of memorization over the sizes.
    memorization: by size, from small to large.
    proxies: by name, then by size; those that lack a size are left out.
    signs: by name.
    classify: maps `[S, N]` on [0, 1] to `[N]` str.
    how: as in `normalized`.

  Returns:
    A table with one row per proxy and occurring pair of classes: `proxy`,
    `memorization_class`, `proxy_class`, `num_examples`.
  """
  memorization_classes = np.asarray(memorization_classes).astype(str)
  tables = []
  for name, by_size in proxies.items():
    if set(by_size) != set(memorization):
      continue
    values = np.stack(
      [(signs[name] or 1) * by_size[size].values for size in memorization]
    )
    known = ~np.isnan(values).any(axis=0)
    if not known.any():
      continue
    found = np.asarray(classify(normalized(values, how)[:, known])).astype(str)
    table = (
      pd.DataFrame(
        {
          "memorization_class": memorization_classes[known],
          "proxy_class": found,
        }
      )
      .value_counts(sort=False)
      .rename("num_examples")
      .reset_index()
    )
    table.insert(0, "proxy", name)
    tables.append(table)
  if not tables:
    return pd.DataFrame(columns=COLUMNS)
  return pd.concat(tables, ignore_index=True)[COLUMNS]


def shape_agreement(
  table: pd.DataFrame, *, constant: str = "constant"
) -> pd.DataFrame:
  """Agreement of each proxy's shape classes with memorization's.

  Args:
    table: from `shapes`.
    constant: name of the class of trajectories that do not change.

  Returns:
    A table with one row per proxy: `agreement`, the share of examples of the
    same class; `agreement_moving`, the same among those whose memorization is
    not constant (NaN without any); and `kappa`, Cohen's (1960): 0 for agreement
    by chance, 1 for full agreement; NaN if both have a single class.
  """
  rows = []
  for name, part in table.groupby("proxy", sort=False):
    counts = part.pivot_table(
      index="memorization_class",
      columns="proxy_class",
      values="num_examples",
      aggfunc="sum",
      fill_value=0,
    )
    classes = counts.index.union(counts.columns)
    square = counts.reindex(index=classes, columns=classes, fill_value=0)
    share = square.to_numpy(np.float64) / square.to_numpy().sum()
    same, chance = np.trace(share), share.sum(axis=1) @ share.sum(axis=0)
    moving = share[np.asarray(classes) != constant]
    right = np.diag(share)[np.asarray(classes) != constant]
    rows.append(
      {
        "proxy": name,
        "agreement": same,
        "agreement_moving": (
          right.sum() / moving.sum() if moving.sum() else np.nan
        ),
        "kappa": (
          (same - chance) / (1 - chance) if chance < 1 - 1e-12 else np.nan
        ),
      }
    )
  return pd.DataFrame(
    rows, columns=["proxy", "agreement", "agreement_moving", "kappa"]
  )
