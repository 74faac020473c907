"""Simulated studies of compressed models that forget by margin, or beyond it.

Images of a group (12 % of them, as the most memorized) have smaller margins
than the others. A right prediction is lost with a probability that falls with
its margin and differs from run to run:

    logit P(lost) = (shift - margin) / scale + run + extra * (in the group)
"""

import numpy as np

from memo_tf.analysis import forgetting
from memo_tf.estimators import resampling
from memo_tf.experiment import subsets

SHARE = 0.12
# (what it stands for, changes of the defaults of `study`).
LAWS = {
  "few lost": {"shift": 1.0},
  "many lost": {"shift": 3.0},
  "margins far apart": {"shift": 1.0, "middle": 10.0},
  "steep": {"shift": 1.0, "scale": 0.3},
  "few members": {"shift": 1.0, "share": 0.03},
  "few others": {"shift": 1.0, "share": 0.5},
}


def study(
  rng: np.random.Generator,
  *,
  num_subsets: int = 60,
  num_examples: int = 1500,
  share: float = SHARE,
  middle: float = 8.0,
  shift: float = 1.0,
  scale: float = 0.8,
  extra: float = 0.0,
) -> forgetting.Forgetting:
  """What is found of the group in one simulated study.

  Args:
    rng: of the study.
    num_subsets: M.
    num_examples: N.
    share: of the images that are in the group.
    middle: mean margin of the others; that of the group is 3.
    shift: the margin at which half of the predictions are lost.
    scale: of the margins, over which losses fade.
    extra: log odds of being lost that the group has beside its margins.
  """
  group = np.arange(num_examples) < share * num_examples
  in_mask = subsets.in_masks(
    num_examples,
    num_subsets,
    0.7,
    scheme="balanced",
    seed=int(rng.integers(2**31)),
  )
  own = rng.normal(0, 1, num_examples)
  noise = rng.normal(0, 1, (num_subsets, num_examples))
  spread = np.where(group, 1.5, 2.5) * np.sqrt(0.5)
  margin = np.where(group, 3.0, middle) + spread * (own + noise)
  before = margin > 0
  run = rng.normal(0, 0.5, (num_subsets, 1))
  odds = (shift - margin) / scale + run + extra * group
  lost = rng.random(margin.shape) < 1 / (1 + np.exp(-odds))
  bootstrap = resampling.paired_bootstrap(num_subsets, block=10)
  return forgetting.forgetting(
    before, margin, before & ~lost, in_mask, group, bootstrap
  )


def rates(num_studies: int, seed: int = 0, **law) -> dict[str, float]:
  """How often a law's studies find more, or less, than margins predict."""
  rng = np.random.default_rng(seed)
  found = [study(rng, **law) for _ in range(num_studies)]
  return {
    "more": float(np.mean([f.excess_low > 0 for f in found])),
    "less": float(np.mean([f.excess_high < 0 for f in found])),
    "excess": float(np.mean([f.excess for f in found])),
    "share_of_forgotten": float(np.mean([f.share_of_forgotten for f in found])),
    "share_of_right": float(np.mean([f.share_of_right for f in found])),
  }
