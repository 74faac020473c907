"""Does a proxy tell over model sizes what memorization tells?

A proxy may rank the examples as memorization does at each size, and still miss
what sizes do: its mean may move the other way, its distribution keep one mode,
its trajectories have other shapes (Lukasik et al., 2024, arXiv:2310.05337).

Proxies are oriented here, larger meaning more memorized; an unsigned one is as
it is. Sizes are in the order of `memorization`, from small to large.
"""

from collections.abc import Callable
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis import measured
from memo_tf.analysis import proxy_comparison

NORMALIZATIONS = ("min_max", "rank")
MEMORIZATION = "memorization"
RISES, FALLS, UNSURE = "rises", "falls", "unsure"
# How much at each end of [0, 1] counts as mass there.
END = 0.1
_ROUNDING = 1e-9


def normalized(values: np.ndarray, how: str = "min_max") -> np.ndarray:
  """A score over sizes, on [0, 1].

  Args:
    values: `[S, N]`, oriented; NaN where there is none.
    how: `min_max`: less the least, over the range, of all sizes together, so
      that means still move. `rank`: the share of the size's other examples that
      are below, ties half; every size then has the same distribution, and what
      moves is an example's place among the others.

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
  for row, place in zip(values, found):
    known = ~np.isnan(row)
    place[known] = (stats.rankdata(row[known]) - 1) / max(known.sum() - 1, 1)
  return found


def bimodality(values: np.ndarray) -> float:
  """Sarle's coefficient, with its correction for few examples.

  (skewness^2 + 1) / (excess kurtosis + 3 (n - 1)^2 / ((n - 2)(n - 3))), both
  moments unbiased; above 5/9, that of a uniform distribution, suggests two
  modes (or much skew), and 1 is the most.

  Args:
    values: `[N]`, NaN left out.

  Returns:
    A number, or NaN for under four examples or a constant.
  """
  values = values[~np.isnan(values)]
  count = len(values)
  if count < 4 or np.ptp(values) == 0:
    return float("nan")
  skew = stats.skew(values, bias=False)
  excess = stats.kurtosis(values, bias=False)
  few = 3 * (count - 1) ** 2 / ((count - 2) * (count - 3))
  return float((skew**2 + 1) / (excess + few))


def distributions(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  confidence: float = 0.95,
) -> pd.DataFrame:
  """Mean and form of every score at every size.

  Returns:
    A row a score and size: `score` (memorization or a proxy), `size`, `mean`
    of the raw values with `ci_low`, `ci_high`, `drawn`; and of the oriented
    values on [0, 1] by `min_max` (memorization: as it is) `normalized_mean`,
    `mass_low` and `mass_high`, the shares up to 0.1 and from 0.9, and
    `bimodality`.
  """
  rows = []
  for score, by_size in {MEMORIZATION: memorization, **proxies}.items():
    sizes = [size for size in memorization if size in by_size]
    if not sizes:
      continue
    raw = np.stack([by_size[size].values for size in sizes])
    if score == MEMORIZATION:
      unit = raw
    else:
      unit = normalized((signs[score] or 1) * raw)
    for size, values in zip(sizes, unit):
      known = values[~np.isnan(values)]
      mean, low, high, drawn = _mean(by_size[size], confidence)
      rows.append(
        {
          "score": score,
          "size": size,
          "mean": mean,
          "ci_low": low,
          "ci_high": high,
          "drawn": drawn,
          "normalized_mean": _share(known),
          "mass_low": _share(known <= END + _ROUNDING),
          "mass_high": _share(known >= 1 - END - _ROUNDING),
          "bimodality": bimodality(values),
        }
      )
  return pd.DataFrame(rows)


def steps(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  confidence: float = 0.95,
) -> pd.DataFrame:
  """How every score's mean moves from one size to the next.

  Returns:
    A row a score and pair of neighbouring sizes: `score`, `from_size`,
    `to_size`, `change` of the oriented mean over the examples that have both,
    `ci_low`, `ci_high`, `drawn`, and `direction`: rises or falls if the
    interval excludes 0, else unsure. Without replicates (one recording run) the
    interval is the normal one over examples, `drawn` says so, and the run's
    own luck is not in it.
  """
  rows = []
  for score, by_size in {MEMORIZATION: memorization, **proxies}.items():
    sign = 1 if score == MEMORIZATION else signs[score]
    sizes = [size for size in memorization if size in by_size]
    for before, after in zip(sizes, sizes[1:]):
      moved = by_size[after].turned(sign) - by_size[before].turned(sign)
      change, low, high, drawn = _mean(moved, confidence)
      rows.append(
        {
          "score": score,
          "from_size": before,
          "to_size": after,
          "change": change,
          "ci_low": low,
          "ci_high": high,
          "drawn": drawn,
          "direction": RISES if low > 0 else FALLS if high < 0 else UNSURE,
        }
      )
  return pd.DataFrame(
    rows,
    columns=[
      "score",
      "from_size",
      "to_size",
      "change",
      "ci_low",
      "ci_high",
      "drawn",
      "direction",
    ],
  )


def changes(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  settings: proxy_comparison.ComparisonSettings | None = None,
) -> pd.DataFrame:
  """Correlation over examples of the changes from the smallest to the largest.

  The reliability of a change is 1 less the mean variance of its replicates over
  its variance; for Spearman's it stands in for that of the ranks.

  Returns:
    For each proxy that has two sizes the rows `change_spearman`,
    `change_pearson` and `change_kendall`, with `proxy`, `size` ("LAST - FIRST")
    and the columns of `proxy_comparison`.
  """
  settings = settings or proxy_comparison.ComparisonSettings()
  table = []
  for name, by_size in proxies.items():
    sizes = [size for size in memorization if size in by_size]
    if len(sizes) < 2:
      continue
    first, last = sizes[0], sizes[-1]
    moved = memorization[last] - memorization[first]
    proxy = by_size[last].turned(signs[name]) - by_size[first].turned(
      signs[name]
    )
    known, one, other = measured.replicate_rows(moved, proxy)
    if known.sum() < 2:
      continue
    for kind, values in proxy_comparison.correlations(
      one, other, settings
    ).items():
      row = proxy_comparison.criterion(kind, values, known.sum(), settings)
      row |= proxy_comparison.corrected(row, moved, proxy)
      row |= {
        "proxy": name,
        "size": f"{last} - {first}",
        "criterion": f"change_{kind}",
        "drawn": ", ".join(d for d in (moved.drawn, proxy.drawn) if d),
        "shares_runs": proxy.shares_runs,
      }
      table.append(row)
  return pd.DataFrame(
    table, columns=["proxy", "size", *proxy_comparison.COLUMNS]
  )


def shapes(
  memorization_classes: np.ndarray,
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  classify: Callable[[np.ndarray], np.ndarray],
  how: str = "min_max",
) -> pd.DataFrame:
  """Shape classes of memorization's trajectories against a proxy's.

  Args:
    memorization_classes: `[N]` str, of memorization over the sizes.
    memorization: by size; its sizes in order.
    proxies: those that lack a size are left out.
    signs: by name.
    classify: from `[S, N]` on [0, 1] to `[N]` str.
    how: of `normalized`.

  Returns:
    A row for each proxy and pair of classes that is there: `proxy`,
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
  columns = ["proxy", "memorization_class", "proxy_class", "num_examples"]
  if not tables:
    return pd.DataFrame(columns=columns)
  return pd.concat(tables, ignore_index=True)[columns]


def shape_agreement(
  table: pd.DataFrame, *, constant: str = "constant"
) -> pd.DataFrame:
  """How far the shapes of `shapes` agree.

  Returns:
    A row a proxy: `agreement`, the share of examples of the same class;
    `agreement_moving`, of those whose memorization is not constant (NaN if
    none); and `kappa`, Cohen's (1960): 0 for agreement by chance, 1 for full;
    NaN if both have one class only.
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


def _mean(score: measured.Measured, confidence: float):
  """(mean, low, high, what was drawn) of a score over its examples."""
  known = ~np.isnan(score.values)
  values = score.values[known]
  if not len(values):
    return np.nan, np.nan, np.nan, ""
  mean = float(values.mean())
  if score.replicates is not None:
    again = score.replicates[:, known]
    again = np.where(np.isnan(again), values, again).mean(axis=1)
    return (
      mean,
      *measured.interval(mean, again, confidence=confidence),
      score.drawn,
    )
  if len(values) < 2:
    return mean, np.nan, np.nan, ""
  reach = stats.norm.ppf(0.5 + confidence / 2) * stats.sem(values)
  return mean, mean - float(reach), mean + float(reach), "examples"


def _share(values: np.ndarray) -> float:
  return float(np.mean(values)) if len(values) else float("nan")
