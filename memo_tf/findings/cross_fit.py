"""Which runs measure memorization and which a proxy, so that no run does both.

Where both come from the same runs their errors are correlated, and noise looks
like agreement. So beside a proxy of the runs that recorded, memorization is
taken from the blocks in which no run recorded; and a proxy of all runs, such as
the C-score, is taken from the odd blocks and memorization from the even ones.
"""

import numpy as np

from memo_tf.analysis.proxies import measured
from memo_tf.estimators import exposure
from memo_tf.estimators import in_out
from memo_tf.estimators import reliability as reliability_lib
from memo_tf.estimators import resampling
from memo_tf.experiment import subsets as subsets_lib
from memo_tf.findings import proxy_values
from memo_tf.scoring import groups as groups_lib

NUM_RESAMPLES = 200


def blocks_of(result: groups_lib.GroupScores) -> np.ndarray:
  """Block of each run by its index, int `[M]`; runs may be missing."""
  block = subsets_lib.parse_family(result.group.subsets).block
  return np.array([unit.index for unit in result.stack.units]) // block


def odd_blocks(result: groups_lib.GroupScores) -> np.ndarray:
  """bool `[M]`: the runs of every second block that has runs."""
  return (
    resampling.block_of_run(len(result.stack.units), blocks_of(result)) % 2 > 0
  )


def other_blocks(
  result: groups_lib.GroupScores, used: np.ndarray
) -> np.ndarray:
  """bool `[M]`: the runs of blocks without a run of `used`, bool `[M]`."""
  blocks = blocks_of(result)
  return ~np.isin(blocks, blocks[used])


def has_two_blocks(result: groups_lib.GroupScores, rows: np.ndarray) -> bool:
  """Whether these runs, bool `[M]`, are of two blocks or more."""
  return len(np.unique(blocks_of(result)[rows])) > 1


def memorization(
  result: groups_lib.GroupScores, rows: np.ndarray | None = None
) -> measured.Measured:
  """Memorization with blocks of its runs drawn again.

  Args:
    result: of a group.
    rows: bool `[M]`, the runs to use; None: all.
  """
  stack, values = result.stack, result.scores.memorization
  if rows is None:
    rows = np.ones(len(stack.units), bool)
  else:
    in_mean, out_mean = in_out.in_out_means(
      stack.correct[rows], stack.in_mask[rows]
    )
    values = in_mean - out_mean
  blocks = blocks_of(result)[rows]
  bootstrap = _bootstrap(blocks)
  if bootstrap is None:
    return measured.Measured(values=values)
  correct, in_mask = stack.correct[rows], stack.in_mask[rows]
  in_mean, out_mean = in_out.in_out_means(correct, in_mask, _drawn(bootstrap))
  ids, group = np.unique(blocks, return_inverse=True)
  parts = measured.Parts(
    ids=tuple(ids.tolist()),
    runs=np.bincount(group),
    scores_of=reliability_lib.memorization_of_blocks(correct, in_mask, group),
  )
  halves = parts.reliability()
  return measured.from_subset_runs(
    values,
    in_mean - out_mean,
    num_blocks=bootstrap.num_blocks,
    reliability=halves.reliability,
    rank_reliability=halves.rank_reliability,
    parts=parts,
  )


def held_out_mean(
  result: groups_lib.GroupScores, outcome: str, rows: np.ndarray
) -> measured.Measured:
  """Mean outcome of the runs that held an example out, as a proxy.

  Args:
    result: of a group.
    outcome: of `RunStack.outcome`.
    rows: bool `[M]`, the runs to use.
  """
  stack = result.stack
  values, in_mask = stack.outcome(outcome)[rows], stack.in_mask[rows]
  mean = in_out.held_out_mean(values, in_mask)
  bootstrap = _bootstrap(blocks_of(result)[rows])
  if bootstrap is None:
    return measured.Measured(values=mean, shares_runs=True)
  return measured.from_subset_runs(
    mean,
    in_out.held_out_mean(values, in_mask, _drawn(bootstrap)),
    num_blocks=bootstrap.num_blocks,
    shares_runs=True,
  )


def membership_separation(
  result: groups_lib.GroupScores, rows: np.ndarray
) -> measured.Measured:
  """d' of LiRA (`exposure.separation`), as a proxy.

  Args:
    result: of a group.
    rows: bool `[M]`, the runs to use.
  """
  values = proxy_values.confidence(result.stack, rows).astype(np.float64)
  in_mask = result.stack.in_mask[rows]
  if not len(values):  # of a single block
    nothing = np.full(in_mask.shape[1], np.nan)
    return measured.Measured(values=nothing, shares_runs=True)
  found = exposure.separation(values, in_mask)
  bootstrap = _bootstrap(blocks_of(result)[rows])
  if bootstrap is None:
    return measured.Measured(values=found, shares_runs=True)
  return measured.from_subset_runs(
    found,
    exposure.separation(values, in_mask, bootstrap.weights[1:]),
    num_blocks=bootstrap.num_blocks,
    shares_runs=True,
  )


def _bootstrap(blocks: np.ndarray) -> resampling.PairedBootstrap | None:
  """Draws of blocks of runs; None with fewer than two blocks.

  The same for all groups of as many blocks, so that draws are paired.
  """
  return resampling.paired_bootstrap(
    len(blocks),
    block=blocks,
    num_resamples=NUM_RESAMPLES,
    min_blocks=1,
    draw="indices",
  )


def _drawn(bootstrap: resampling.PairedBootstrap) -> np.ndarray:
  """Weights `[R, M]` of the replicates; float32 halves memory and time."""
  return bootstrap.weights[1:].astype(np.float32, order="C")
