"""How well cheap scores follow memorization at one size, with intervals.

Each criterion has an estimate, an interval over redrawn runs (module
`measured`), and for the correlations a version corrected for the noise of both
scores, r / sqrt(reliability * reliability) (Spearman, 1904). It may exceed 1:
reliabilities are estimates, taken as known. Proxies must be oriented, larger
meaning more memorized; an unsigned one is compared as it is.
"""

from collections.abc import Mapping
import dataclasses

import numpy as np
import pandas as pd

from memo_tf.analysis import ranking
from memo_tf.analysis.proxies import measured
from memo_tf.estimators import resampling

# Numbers of replicates' rows that are processed at once.
_AT_ONCE = 2**21
COLUMNS = (
  "criterion",
  "estimate",
  "ci_low",
  "ci_high",
  "corrected",
  "corrected_low",
  "corrected_high",
  "reliability",
  "reliability_low",
  "reliability_high",
  "ceiling",
  "num_examples",
  "drawn",
  "shares_runs",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
  """Settings of the comparison of proxies with memorization.

  Attributes:
    memorized: least memorization of an example that counts as memorized
      (Feldman & Zhang's 0.25).
    top_fraction: k of the top-k overlap, as a fraction of the examples.
    bins: inner edges of the bins of memorization within which correlations are
      computed.
    min_bin: least number of examples of such a bin.
    kendall_resamples: number of replicates for Kendall's interval, which is
      slow.
    confidence: of the intervals, in (0, 1).
  """

  memorized: float = 0.25
  top_fraction: float = 0.1
  bins: tuple[float, ...] = (0.25, 0.5, 0.75)
  min_bin: int = 20
  kendall_resamples: int = 50
  confidence: float = 0.95


def compare_at_size(
  memorization: measured.Measured,
  proxy: measured.Measured,
  *,
  planted: np.ndarray | None = None,
  settings: ComparisonSettings | None = None,
) -> pd.DataFrame:
  """Every criterion of one proxy at one size.

  Args:
    memorization: of N examples.
    proxy: of the same examples, oriented.
    planted: `[N]` bool, planted wrong labels; None if there are none.
    settings: None for the defaults.

  Returns:
    A table with `COLUMNS` and one row per criterion: spearman, pearson,
    kendall, top_overlap, auroc_memorized, auroc_planted, spearman_within (the
    mean over bins of memorization, weighted by their examples) and
    spearman_within_LOW_HIGH for each bin. NaN where a criterion is undefined;
    `corrected` for spearman and pearson.
  """
  settings = settings or ComparisonSettings()
  known, one, other = measured.replicate_rows(memorization, proxy)
  count = int(known.sum())
  rank = _ranks(other)
  found = _by_rows(one, other, rank, settings)
  if planted is not None and count:
    flags = np.asarray(planted, bool)[known][None]
    found["auroc_planted"] = (
      _rows(rank, lambda r: ranking.auroc_rows(r, flags)),
      count,
    )
  drawn = ", ".join(d for d in (memorization.drawn, proxy.drawn) if d)
  table = []
  for name, (values, number) in found.items():
    scores = (proxy,) if name == "auroc_planted" else (memorization, proxy)
    row = criterion(name, values, number, settings, measured.fewest(*scores))
    row |= corrected(row, memorization, proxy) | ceiling(row, memorization)
    row |= {
      "drawn": proxy.drawn if name == "auroc_planted" else drawn,
      "shares_runs": proxy.shares_runs,
    }
    table.append(row)
  return pd.DataFrame(table, columns=list(COLUMNS))


def compare_sizes(
  memorization: Mapping[str, measured.Measured],
  proxies: Mapping[str, Mapping[str, measured.Measured]],
  signs: Mapping[str, int | None],
  *,
  planted: np.ndarray | None = None,
  settings: ComparisonSettings | None = None,
) -> pd.DataFrame:
  """Every criterion of every proxy at every size.

  Args:
    memorization: by size.
    proxies: by name, then by size; not oriented. A proxy may lack sizes.
    signs: by name: +1, -1, or None for an unsigned one.
    planted, settings: as in `compare_at_size`.

  Returns:
    The rows of `compare_at_size` with `proxy` and `size` before them.
  """
  tables = []
  for name, by_size in proxies.items():
    for size, proxy in by_size.items():
      table = compare_at_size(
        memorization[size],
        proxy.turned(signs[name]),
        planted=planted,
        settings=settings,
      )
      table.insert(0, "proxy", name)
      table.insert(1, "size", size)
      tables.append(table)
  if not tables:
    return pd.DataFrame(columns=["proxy", "size", *COLUMNS])
  return pd.concat(tables, ignore_index=True)


def criterion(
  name: str,
  values: np.ndarray,
  count: int,
  settings: ComparisonSettings,
  num_drawn: int | None,
) -> dict:
  """Row of a criterion with its estimate and interval.

  Args:
    name: of the criterion.
    values: `[R + 1]`, the estimate and its replicates.
    count: number of examples.
    settings: of the comparison.
    num_drawn: how many blocks or runs the replicates draw from.
  """
  signed = name.startswith(("spearman", "pearson", "kendall"))
  low, high = resampling.interval(
    values[0],
    values[1:],
    num_drawn=num_drawn,
    bounds=(-1, 1) if signed else (0, 1),
    confidence=settings.confidence,
  )
  return {
    "criterion": name,
    "estimate": float(values[0]),
    "ci_low": low,
    "ci_high": high,
    "num_examples": count,
  }


def corrected(
  row: dict, one: measured.Measured, other: measured.Measured
) -> dict:
  """Columns of a correlation corrected for noise; NaN if that is unknown.

  Args:
    row: from `criterion`.
    one, other: the two scores, for their reliabilities.
  """
  kind = {
    "spearman": "rank_reliability",
    "pearson": "reliability",
  }.get(row["criterion"])
  product = float("nan")
  if kind and not other.shares_runs:
    parts = getattr(one, kind), getattr(other, kind)
    if min(parts) > 0:  # False for NaN
      product = float(np.sqrt(parts[0] * parts[1]))
  return {
    "corrected": row["estimate"] / product,
    "corrected_low": row["ci_low"] / product,
    "corrected_high": row["ci_high"] / product,
  }


def ceiling(row: dict, memorization: measured.Measured) -> dict:
  """What noise of memorization leaves of a correlation with the true scores.

  Columns `reliability`, of memorization (or of its change), with
  `reliability_low` and `reliability_high`, and `ceiling`, its square root: what
  a perfect proxy would reach. Of ranks for spearman; NaN for other criteria,
  and where unknown.

  Args:
    row: from `criterion`.
    memorization: of the row.
  """
  nothing = float("nan")
  low = high = reliability = nothing
  if row["criterion"] == "spearman":
    reliability = memorization.rank_reliability
    low, high = memorization.rank_reliability_interval
  elif row["criterion"] == "pearson":
    reliability = memorization.reliability
  return {
    "reliability": reliability,
    "reliability_low": low,
    "reliability_high": high,
    "ceiling": float(np.sqrt(reliability)) if reliability > 0 else nothing,
  }


def correlations(
  one: np.ndarray,
  other: np.ndarray,
  settings: ComparisonSettings,
  rank: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
  """Spearman, Pearson and Kendall of each row of `[R, N]`.

  `rank` may give the ranks of `other`, if they are known.
  """
  some = slice(0, settings.kendall_resamples + 1)
  rank = _ranks(other) if rank is None else rank
  return {
    "spearman": _rows(_ranks(one), ranking.pearson_rows, rank),
    "pearson": _rows(one, ranking.pearson_rows, other),
    "kendall": _rows(one[some], _kendall, other[some]),
  }


def _by_rows(one, other, rank, settings) -> dict[str, tuple[np.ndarray, int]]:
  """Each criterion's `[R + 1]` values and its number of examples."""
  count = one.shape[1]
  if count < 2:
    return {}
  found = {
    name: (values, count)
    for name, values in correlations(one, other, settings, rank).items()
  }
  top = max(1, round(settings.top_fraction * count))
  found["top_overlap"] = (
    _rows(one, lambda m, p: ranking.top_overlap_rows(m, p, top), other),
    count,
  )
  found["auroc_memorized"] = (
    _rows(
      one,
      lambda m, r: ranking.auroc_rows(r, m >= settings.memorized),
      rank,
    ),
    count,
  )
  # All replicates use the bins of the estimate.
  bin_of = np.digitize(one[0], settings.bins)
  edges = ("low", *(f"{edge:.2f}" for edge in settings.bins), "high")
  within, total = np.zeros(()), 0
  bins: dict[str, tuple[np.ndarray, int]] = {}
  for b in range(len(settings.bins) + 1):
    member = bin_of == b
    number = int(member.sum())
    if number < settings.min_bin:
      continue
    values = _rows(one[:, member], _spearman, other[:, member])
    bins[f"spearman_within_{edges[b]}_{edges[b + 1]}"] = values, number
    if not np.isnan(values[0]):
      # A replicate in which the bin is constant counts as the estimate.
      within = within + number * np.where(np.isnan(values), values[0], values)
      total += number
  if total:
    found["spearman_within"] = within / total, total
  return found | bins


def _rows(one, statistic, other=None) -> np.ndarray:
  """A statistic of rows, in chunks; a single row is paired with all others."""
  arrays = [one] if other is None else [one, other]
  rows = max(len(a) for a in arrays)
  step = max(1, _AT_ONCE // max(1, one.shape[1]))
  found = [
    np.broadcast_to(
      statistic(*(a if len(a) == 1 else a[s : s + step] for a in arrays)),
      min(step, rows - s),
    )
    for s in range(0, rows, step)
  ]
  return np.concatenate(found)


def _ranks(rows: np.ndarray) -> np.ndarray:
  """Ranks within rows, in chunks of rows."""
  step = max(1, _AT_ONCE // max(1, rows.shape[1]))
  return np.concatenate(
    [
      ranking.ranks(rows[start : start + step])
      for start in range(0, len(rows), step)
    ]
  )


def _spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  return ranking.pearson_rows(ranking.ranks(one), ranking.ranks(other))


def _kendall(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  one, other = np.broadcast_arrays(one, other)
  return np.array(
    [ranking.correlation(m, p, "kendall") for m, p in zip(one, other)]
  )
