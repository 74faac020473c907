"""Studies over two sizes with proxies whose worth is known.

Memorization changes from the first size to the second by an amount of each
example's own, and comes from balanced subset runs. Three proxies:

* `perfect`: the true memorization at each size, as five recording runs with
  little noise of their own give it;
* `useless`: ranks as memorization does at each size, but its changes have
  nothing to do with memorization's; its mean moves as memorization's does;
* `shared`: minus the held-out accuracy, the C-score turned over, from the runs
  of memorization.
"""

import dataclasses

import numpy as np

from memo_tf.analysis.proxies import measured
from memo_tf.estimators import in_out
from memo_tf.estimators import reliability as reliability_lib
from memo_tf.estimators import resampling
from memo_tf.experiment import subsets

SIZES = ("small", "large")
BLOCK = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxyStudy:
  """Scores as `compare_proxies` takes them.

  Attributes:
    memorization: by size, from all runs.
    even: by size, from the even blocks.
    perfect, useless, shared: proxies by size; `shared` of the odd blocks.
    reliability: of the change of memorization, the true one.
  """

  memorization: dict[str, measured.Measured]
  even: dict[str, measured.Measured]
  perfect: dict[str, measured.Measured]
  useless: dict[str, measured.Measured]
  shared: dict[str, measured.Measured]
  reliability: float


def draw(
  *,
  num_subsets: int,
  spread: float,
  num_examples: int = 600,
  shift: float = 0.05,
  seed: int = 0,
) -> ProxyStudy:
  """Draws a study.

  Args:
    num_subsets: M, a multiple of 40 or 100.
    spread: standard deviation of the true changes.
    num_examples: N.
    shift: mean of the true changes.
    seed: of every draw.
  """
  rng = np.random.default_rng(seed)
  out = np.empty((2, num_examples))
  out[0] = rng.beta(1.5, 1.0, num_examples)
  out[1] = np.clip(out[0] - rng.normal(shift, spread, num_examples), 0, 1)
  truth = 0.99 - out
  change = truth[1] - truth[0]
  in_mask = subsets.in_masks(num_examples, num_subsets, 0.7, seed=seed)
  correct = np.stack(
    [rng.random(in_mask.shape) < np.where(in_mask, 0.99, p) for p in out]
  )
  block = np.arange(num_subsets) // BLOCK
  odd = block % 2 == 1
  other = truth[0] + rng.permutation(change)
  noise = np.mean(out * (1 - out)) / (0.3 * num_subsets) * 2
  return ProxyStudy(
    memorization=_memorization(correct, in_mask, block),
    even=_memorization(correct[:, ~odd], in_mask[~odd], block[~odd]),
    perfect=_recorded(truth, rng),
    useless=_recorded(np.stack([truth[0], other]), rng),
    shared=_held_out(correct[:, odd], in_mask[odd], block[odd]),
    reliability=float(change.var() / (change.var() + noise)),
  )


def _recorded(truth, rng) -> dict[str, measured.Measured]:
  return {
    size: measured.from_recording_runs(
      values + 0.02 * rng.standard_normal((5, len(values)))
    )
    for size, values in zip(SIZES, truth)
  }


def _memorization(correct, in_mask, block) -> dict[str, measured.Measured]:
  found = {}
  ids, group = np.unique(block, return_inverse=True)
  weights = _weights(block)
  for size, outcome in zip(SIZES, correct):
    inside, outside = in_out.in_out_means(outcome, in_mask, weights)
    parts = measured.Parts(
      ids=tuple(ids.tolist()),
      runs=np.bincount(group),
      scores_of=reliability_lib.memorization_of_blocks(outcome, in_mask, group),
    )
    halves = parts.reliability()
    scores = inside - outside
    found[size] = measured.from_subset_runs(
      scores[0],
      scores[1:],
      num_blocks=len(ids),
      reliability=halves.reliability,
      rank_reliability=halves.rank_reliability,
      parts=parts,
    )
  return found


def _held_out(correct, in_mask, block) -> dict[str, measured.Measured]:
  found = {}
  for size, outcome in zip(SIZES, correct):
    scores = -in_out.held_out_mean(outcome, in_mask, _weights(block))
    found[size] = measured.from_subset_runs(
      scores[0],
      scores[1:],
      num_blocks=len(np.unique(block)),
      shares_runs=True,
    )
  return found


def _weights(block) -> np.ndarray:
  bootstrap = resampling.paired_bootstrap(
    len(block), block=block, num_resamples=100, min_blocks=1, draw="indices"
  )
  return bootstrap.weights
