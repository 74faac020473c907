"""How subsets look as if they were drawn, from their masks alone."""

import numpy as np

from memo_tf.experiment import subsets as subsets_lib


def scheme_of(in_mask: np.ndarray) -> tuple[str, float]:
  """How subsets look as if they were drawn, and their ratio.

  What scores converge to, and which runs depend on each other, depends on how
  subsets were drawn (`experiment.subsets`). Masks from `in_masks` are seen to
  be of their scheme; other ones count as the scheme that allows what they do:
  subsets of one size as uniform, of several sizes as bernoulli.

  Args:
    in_mask: bool `[M, N]`.
  """
  sizes = in_mask.sum(axis=1)
  for block in range(2, min(len(in_mask), 100) + 1):
    counts = in_mask[:block].sum(axis=0)
    ratio = int(counts[0]) / block
    if (counts != counts[0]).any() or not 0 < ratio < 1:
      continue
    if ratio != round(ratio, 6) or subsets_lib.block_size(ratio) != block:
      continue  # no block of `in_masks`, which a longer one may be
    complete = in_mask[: len(in_mask) // block * block]
    sums = complete.reshape(-1, block, in_mask.shape[1]).sum(axis=1)
    if (sums != counts[0]).any():
      continue
    if sizes.max() - sizes.min() <= 1:
      return "balanced", ratio
    if block == 2:
      return "complementary", 0.5
  ratio = float(in_mask.mean())
  ratio = round(ratio, 2) if 0.005 <= ratio < 0.995 else round(ratio, 6)
  if sizes.min() == sizes.max():
    return "uniform", ratio
  if _alternate(sizes):
    return "two_sizes", ratio
  return "bernoulli", ratio


def _alternate(sizes: np.ndarray) -> bool:
  """Whether subsets have s and s - 1 examples, in turn."""
  steps = np.diff(sizes)
  return bool((steps[::2] == -1).all() and (steps[1::2] == 1).all())
