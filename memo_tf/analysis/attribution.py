"""How well an attribution predicts what training on a subset does.

An attribution says how much training example n adds to the output of a model on
test example t. The runs of a study say what happened when n was left out:

* linear datamodeling score (LDS; Park, Georgiev, Ilyas, Leclerc & Madry, 2023,
  arXiv:2303.14186): over runs m, Spearman's correlation of the output of run m
  on t with the sum of the attributions of its subset, averaged over t.
* recall@k: the share of the k training examples with the largest influence on t
  (mean output of the runs in which they are, minus that of the others) that are
  among the k largest attributions to t; k / N by chance.

Beside an attribution stands `influence`: that of other runs, judged by the same
runs as the attribution. It says what noise lets one see.

**Intervals** are over runs and test examples. The variance of the mean over
test examples is that of a bootstrap of blocks of runs, plus what test examples
vary beyond it, / T. The quantile is Student's of B - 1 degrees for B blocks.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from memo_tf.analysis import ranking
from memo_tf.estimators import resampling

ATTRIBUTION, INFLUENCE, DIFFERENCE = "attribution", "influence", "difference"
RESAMPLES = 100
# Blocks of runs that are drawn from, at most; further ones are joined.
MAX_GROUPS = 40
# Of the sums per group of runs that are held at a time.
_BYTES = 2**26


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
  """M runs on subsets, and what they make of T test examples.

  Attributes:
    in_mask: `[M, N]` bool, whether run m trained on example n.
    outputs: `[M, T]` float, larger if the test example is predicted better: its
      margin, the probability of its label, or correctness.
  """

  in_mask: np.ndarray
  outputs: np.ndarray

  def __post_init__(self):
    mask, outputs = np.asarray(self.in_mask), np.asarray(self.outputs)
    if (
      mask.ndim != 2
      or outputs.ndim != 2
      or len(mask) != len(outputs)
      or mask.dtype != bool
    ):
      raise ValueError(
        "`in_mask` must be [M, N] bool and `outputs` [M, T]. Received: "
        f"{mask.dtype} {mask.shape} and {outputs.shape}"
      )
    if not np.isfinite(outputs).all():
      raise ValueError("`outputs` must be finite")


def judge(
  attribution: np.ndarray,
  runs: Runs,
  *,
  block: int | np.ndarray = 1,
  others: Runs | None = None,
  top_k: int = 10,
  num_resamples: int = RESAMPLES,
  seed: int = 0,
  progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
  """Linear datamodeling score and recall@k of an attribution.

  Args:
    attribution: `[N, T]` finite, larger if training on n makes the output on t
      larger.
    runs: that judge it.
    block: as in `resampling.block_of_run`: runs that depend on each other.
    others: runs of the same examples, from which `influence` is estimated.
    top_k: k, from 1 to N - 1.
    num_resamples: R, of the bootstrap.
    seed: of its draws.
    progress: told how many of the T test examples are done.

  Returns:
    One row per `method` (attribution; with `others` also influence, and the
    difference, attribution minus influence) and `measure` (lds, recall):
    `value` with its 95 % interval `ci_low`, `ci_high` (NaN with fewer than two
    runs or test examples), what `chance` gives, `num_runs`, and `num_tests`:
    test examples on which all runs put out the same say nothing and are left
    out. An attribution that is the same for all subsets has an LDS of 0.

  Raises:
    ValueError: if shapes do not fit, or a value is not finite.
  """
  attribution = _checked(attribution, runs, others, top_k)
  num_train = runs.in_mask.shape[1]
  group = _groups(len(runs.in_mask), block)
  weights, num_groups = _draws(group, num_resamples, seed)
  varies = np.ptp(runs.outputs, axis=0) > 0
  names = [ATTRIBUTION, *([INFLUENCE] if others else [])]
  found: dict[tuple[str, str], list[np.ndarray]] = {
    (name, measure): [] for name in names for measure in ("lds", "recall")
  }
  tests = np.flatnonzero(varies)
  for part in _parts(tests, 8 * num_groups * num_train):
    matrices = {ATTRIBUTION: np.asarray(attribution[:, part], np.float64)}
    if others:
      matrices[INFLUENCE] = mean_differences(
        others.in_mask, others.outputs[:, part]
      )
    outputs = np.asarray(runs.outputs[:, part], np.float64)
    recalls = _recalls(matrices, runs.in_mask, outputs, group, weights, top_k)
    for name, matrix in matrices.items():
      found[name, "lds"].append(
        _correlations(matrix, runs.in_mask, outputs, weights)
      )
      found[name, "recall"].append(recalls[name])
    if progress:
      progress(int(part[-1]) + 1, len(varies))
  whole = {
    key: np.concatenate(rows, axis=1)
    if rows
    else np.full((len(weights), 0), np.nan)
    for key, rows in found.items()
  }
  if others:
    for measure in ("lds", "recall"):
      whole[DIFFERENCE, measure] = (
        whole[ATTRIBUTION, measure] - whole[INFLUENCE, measure]
      )
  chance = {"lds": 0.0, "recall": top_k / num_train}
  rows = [
    {
      "method": name,
      "measure": measure,
      **_interval(values, num_groups, _bounds(name, measure)),
      "chance": 0.0 if name == DIFFERENCE else chance[measure],
      "num_runs": len(group),
      "num_tests": values.shape[1],
    }
    for (name, measure), values in whole.items()
  ]
  return pd.DataFrame(rows)


def mean_differences(in_mask: np.ndarray, outputs: np.ndarray) -> np.ndarray:
  """Influence: mean output of the runs with an example, minus the others'.

  Args:
    in_mask: `[M, N]` bool.
    outputs: `[M, T]`.

  Returns:
    `[N, T]` float64; 0 for an example that all runs trained on, or none.
  """
  # Not centred: in float64 such sums of float32 outputs are exact, and examples
  # of equal influence stay tied.
  outputs = np.asarray(outputs, np.float64)
  inside = in_mask.T.astype(np.float64) @ outputs
  num_in = in_mask.sum(axis=0)[:, None]
  return _difference(inside, outputs.sum(axis=0), num_in, len(in_mask))


def _difference(inside, total, num_in, num_runs) -> np.ndarray:
  """Mean in the runs with an example minus that of the others; 0 without."""
  with np.errstate(invalid="ignore", divide="ignore"):
    found = inside / num_in - (total - inside) / (num_runs - num_in)
  return np.where((num_in > 0) & (num_in < num_runs), found, 0.0)


def _checked(attribution, runs, others, top_k) -> np.ndarray:
  attribution = np.asarray(attribution)
  shape = runs.in_mask.shape[1], runs.outputs.shape[1]
  if attribution.shape != shape:
    raise ValueError(
      "`attribution` must be [N, T], training examples by test examples: "
      f"{shape[0]} x {shape[1]}. Received: {attribution.shape}"
    )
  if not np.isfinite(attribution).all():
    count = int((~np.isfinite(attribution)).sum())
    raise ValueError(
      f"`attribution` must be finite. Received: {count} values that are not"
    )
  if others and (others.in_mask.shape[1], others.outputs.shape[1]) != shape:
    raise ValueError("`others` must be runs of the same examples")
  if not 1 <= top_k < shape[0]:
    raise ValueError(
      f"`top_k` must be from 1 to N - 1, {shape[0] - 1}. Received: {top_k}"
    )
  return attribution


def _groups(num_runs: int, block: int | np.ndarray) -> np.ndarray:
  """Group of each run that is drawn as one, int `[M]`."""
  group = resampling.block_of_run(num_runs, block)
  count = int(group.max(initial=-1)) + 1
  if count < resampling.MIN_BLOCKS:
    group, count = np.arange(num_runs), num_runs
  return group * MAX_GROUPS // count if count > MAX_GROUPS else group


def _draws(group, num_resamples: int, seed: int) -> tuple[np.ndarray, int]:
  """How often each run counts, `[R + 1, M]`, and the number of groups drawn."""
  found = resampling.paired_bootstrap(
    len(group),
    block=group,
    num_resamples=num_resamples,
    min_blocks=2,
    seed=seed,
  )
  if found is None:
    return np.ones((1, len(group))), 1
  return found.weights, found.num_blocks


def _parts(tests: np.ndarray, bytes_each: int) -> Iterator[np.ndarray]:
  """The test examples, as many at a time as memory is meant to hold."""
  size = max(1, _BYTES // max(bytes_each, 1))
  for start in range(0, len(tests), size):
    yield tests[start : start + size]


def _recalls(
  matrices, in_mask, outputs, group, weights, top_k
) -> dict[str, np.ndarray]:
  """Recall `[R + 1, t]` of each matrix, of the influence in each replicate."""
  ids, first = np.unique(group, return_index=True)
  # A group's runs are drawn together: sums over each serve all replicates.
  drawn, rows = weights[:, first], [group == g for g in ids]
  inside = np.stack(
    [outputs[m].T @ in_mask[m].astype(np.float64) for m in rows]
  )
  num_in = drawn @ np.stack([in_mask[m].sum(axis=0) for m in rows])
  total, num_runs = weights @ outputs, weights.sum(axis=1, keepdims=True)
  found = {
    name: np.empty((len(weights), outputs.shape[1])) for name in matrices
  }
  for t in range(outputs.shape[1]):
    truth = _difference(drawn @ inside[:, t], total[:, [t]], num_in, num_runs)
    for name, matrix in matrices.items():
      found[name][:, t] = ranking.top_overlap_rows(matrix.T[[t]], truth, top_k)
  return found


def _correlations(matrix, in_mask, outputs, weights) -> np.ndarray:
  """`[R + 1, t]`: Spearman's, with each run as often as it was drawn."""
  predicted, scale = in_mask @ matrix, np.abs(matrix).sum(axis=0)
  found = np.zeros((len(weights), outputs.shape[1]))
  for t in range(outputs.shape[1]):
    # Equal sums are tied, whatever rounding makes of them.
    one = np.round(predicted[:, t] / (scale[t] or 1.0), 12)
    if np.ptp(one) > 0:
      found[:, t] = _weighted_pearson(
        _weighted_ranks(one, weights),
        _weighted_ranks(outputs[:, t], weights),
        weights,
      )
  return found


def _weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Average ranks `[R, M]` where value m occurs `weights[r, m]` times."""
  order = np.argsort(values, kind="stable")
  ordered = values[order]
  starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
  ends = np.r_[starts[1:], len(values)]
  below = np.concatenate(
    [np.zeros((len(weights), 1)), np.cumsum(weights[:, order], axis=1)], axis=1
  )
  middle = (below[:, starts] + below[:, ends] + 1) / 2
  ranks = np.empty(weights.shape)
  ranks[:, order] = np.repeat(middle, ends - starts, axis=1)
  return ranks


def _weighted_pearson(one, other, weights) -> np.ndarray:
  """Pearson's correlation of each row; 0 where one does not vary."""
  total = weights.sum(axis=1, keepdims=True)
  one, other = (
    v - (weights * v).sum(axis=1, keepdims=True) / total for v in (one, other)
  )
  product = (weights * one * other).sum(axis=1)
  size = (weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1)
  return np.where(size > 0, product / np.sqrt(np.where(size > 0, size, 1)), 0)


def _bounds(name: str, measure: str) -> tuple[float, float]:
  """The range of a value; that of a difference is twice as wide."""
  low, high = (0.0, 1.0) if measure == "recall" else (-1.0, 1.0)
  return (low - high, high - low) if name == DIFFERENCE else (low, high)


def _interval(values, num_groups, bounds) -> dict[str, float]:
  """Mean over test examples with its interval, from `[R + 1, T]`."""
  found = dict.fromkeys(("value", "ci_low", "ci_high"), float("nan"))
  if not values.shape[1]:
    return found
  means = values.mean(axis=1)
  found["value"] = float(means[0])
  if len(means) < 3 or values.shape[1] < 2:
    return found
  widen = num_groups / (num_groups - 1)
  of_runs = means[1:].var(ddof=1) * widen
  # How test examples vary, less what runs make them vary, which is counted.
  noise = values[1:].var(axis=0, ddof=1).mean() * widen
  of_tests = max(values[0].var(ddof=1) - noise, 0.0) / values.shape[1]
  half = stats.t.ppf(0.975, num_groups - 1) * np.sqrt(of_runs + of_tests)
  low, high = np.clip([means[0] - half, means[0] + half], *bounds)
  return found | {"ci_low": float(low), "ci_high": float(high)}
