"""Which examples each run trains on: subset families and their `in_mask`.

A family is a named rule for subsets m = 0, 1, …; subset m depends on (seed,
family, block of m) only, so that more subsets extend a study and all sizes and
recipes of a study share them (their differences are paired).

The schemes, and the estimand (docs/method.md) that each one serves:

* `uniform`: each subset holds `round(ratio * N)` examples drawn without
  replacement, independently (Feldman & Zhang, 2020, arXiv:2008.03703,
  algorithm 1).
* `balanced`: the same, but in blocks in which every example is in the same
  number of subsets, with rows and columns otherwise random. The number of runs
  that trained on an example is then fixed, not binomial, so that no example is
  estimated from few held-out runs.
* `bernoulli`: every example is in a subset with probability `ratio`,
  independently of all others; the law of the others is then the same for runs
  with an example and without it.
* `complementary`: at ratio 0.5 only. Subset 2k is drawn as by `bernoulli`, and
  subset 2k + 1 is its complement, so that every example is in exactly one of
  the two.
* `two_sizes`: even m as in `uniform`, with s = `round(ratio * N)` examples; odd
  m likewise with s - 1: the sizes that Feldman & Zhang's definition compares.

Two further families need no scheme: `full`, whose subsets hold everything, and
`r0.70-complement`, whose subset m is what subset m of `r0.70` holds out. Both
are of use for the teachers of another family's students.
"""

import dataclasses
import fractions
import math
import re

import numpy as np

from memo_tf.experiment import random_streams

FULL = "full"
_COMPLEMENT = "-complement"
SCHEMES = ("balanced", "uniform", "bernoulli", "complementary", "two_sizes")
MAX_BLOCK = 100
# What the memorization scores of a scheme's runs converge to.
ESTIMANDS = {
  "balanced": "conditional",
  "uniform": "conditional",
  "bernoulli": "bernoulli",
  "complementary": "bernoulli",
  "two_sizes": "paper",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubsetFamily:
  """A named family of subsets.

  Attributes:
    name: also the name of its folder: `r0.70`, `r0.70-uniform`, `full`,
      `r0.70-complement`.
    ratio: fraction of the training examples in a subset; 1.0 for `full`.
    scheme: one of `SCHEMES`, or `full`; that of the complement of a family is
      the family's own, which the complement of a subset keeps.
    complement_of: the family whose subsets it holds the complements of; "" of
      any other.
  """

  name: str
  ratio: float
  scheme: str
  complement_of: str = ""

  @property
  def estimand(self) -> str:
    """What scores from its runs converge to: a key of docs/method.md."""
    return ESTIMANDS.get(self.scheme, "conditional")

  @property
  def block(self) -> int:
    """How many consecutive subsets depend on each other."""
    return block_of(self.ratio, self.scheme)

  def in_mask(self, num_examples: int, num_subsets: int, seed: int):
    """bool `[M, N]`: which training examples are in which subset."""
    if self.scheme == FULL:
      return np.ones((num_subsets, num_examples), bool)
    if self.complement_of:
      family = parse_family(self.complement_of)
      return ~family.in_mask(num_examples, num_subsets, seed)
    return in_masks(
      num_examples, num_subsets, self.ratio, scheme=self.scheme, seed=seed
    )


def family_name(ratio: float, scheme: str = "balanced") -> str:
  """The name of the family of a ratio: two decimals, more where needed."""
  text = f"{ratio:.6f}".rstrip("0").ljust(4, "0")
  return f"r{text}" + ("" if scheme == "balanced" else f"-{scheme}")


def parse_family(name: str) -> SubsetFamily:
  """Parses a family's name, or raises a `ValueError` that states the rule."""
  if name == FULL:
    return SubsetFamily(name=name, ratio=1.0, scheme=FULL)
  if name.endswith(_COMPLEMENT):
    return _complement(name)
  schemes = "|".join(s for s in SCHEMES if s != "balanced")
  match = re.fullmatch(rf"r(0\.\d{{2,6}})(?:-({schemes}))?", name)
  if not match or float(match[1]) == 0:
    raise ValueError(
      "A subset family is `r0.70` (balanced), `r0.70-uniform` (or -bernoulli, "
      "-complementary, -two_sizes), `r0.70-complement` or `full`. "
      f"Received: {name!r}"
    )
  ratio, scheme = float(match[1]), match[2] or "balanced"
  check_scheme(ratio, scheme)
  if family_name(ratio, scheme) != name:
    raise ValueError(
      f"This subset family is written {family_name(ratio, scheme)!r}. "
      f"Received: {name!r}"
    )
  return SubsetFamily(name=name, ratio=ratio, scheme=scheme)


def complement_name(family: str) -> str:
  """The name of the family of what each subset of a family holds out.

  Raises:
    ValueError: if `family` is none that has such a family.
  """
  return _complement(family + _COMPLEMENT).name


def _complement(name: str) -> SubsetFamily:
  """Parses the name of a family's complement; raises as `parse_family`."""
  family = parse_family(name.removesuffix(_COMPLEMENT))
  refusals = {
    FULL: "its subsets hold nothing out",
    "complementary": "its subsets are complements of each other",
    "two_sizes": "its sizes would not be those of the definition",
  }
  if family.complement_of:
    refusals[family.scheme] = f"that is {family.complement_of!r} itself"
  if family.scheme in refusals:
    raise ValueError(
      f"The subset family {family.name!r} has no complement: "
      f"{refusals[family.scheme]}. Received: {name!r}"
    )
  return SubsetFamily(
    name=name,
    ratio=round(1 - family.ratio, 6),
    scheme=family.scheme,
    complement_of=family.name,
  )


def same_masks(found: np.ndarray, expected: np.ndarray) -> bool:
  """Whether two masks, both bool `[M, N]`, are equal to the bit.

  NumPy compares any nonzero byte as True, so it would miss a flipped bit.
  """
  return (
    found.dtype == bool
    and found.shape == expected.shape
    and np.array_equal(
      np.ascontiguousarray(found).view(np.uint8),
      np.ascontiguousarray(expected).view(np.uint8),
    )
  )


def check_scheme(ratio: float, scheme: str) -> None:
  """Raises a `ValueError` if the scheme does not allow the ratio."""
  if scheme == "complementary" and ratio != 0.5:
    raise ValueError(
      "Complementary subsets are halves: `subset_ratio` must be 0.5. Received: "
      f"subset_ratio={ratio}"
    )


def block_size(ratio: float) -> int:
  """How many subsets make a balanced block: the denominator of the ratio.

  0.7 gives 10, 0.5 gives 2. A ratio whose denominator is above 100 gets blocks
  of 100, in which an example is in `floor(100 * ratio)` or one more subsets.
  """
  return min(fractions.Fraction(repr(float(ratio))).denominator, MAX_BLOCK)


def block_of(ratio: float, scheme: str) -> int:
  """How many consecutive subsets of a scheme depend on each other."""
  if scheme == "balanced":
    return block_size(ratio)
  return 2 if scheme in ("complementary", "two_sizes") else 1


# Over 60 lines, most of which say what goes in and comes out.
def in_masks(
  num_examples: int,
  num_subsets: int,
  ratio: float,
  *,
  scheme: str = "balanced",
  seed: int = 0,
) -> np.ndarray:
  """Draws the subsets of a study.

  Args:
    num_examples: N, at least 2.
    num_subsets: M, at least 1. The first rows do not depend on it.
    ratio: fraction of the examples in each subset, strictly between 0 and 1.
    scheme: one of `SCHEMES`, see the module.
    seed: of the study.

  Returns:
    bool `[M, N]`; row m is the m-th subset. `uniform`: every row holds
    `round(ratio * N)` examples. `balanced`: in a complete block of
    `block_size(ratio)` rows every column holds exactly `ratio * block_size`,
    and every row `ratio * N` where that is whole, else its floor or ceiling.
    `bernoulli` and `complementary`: no subset is empty or holds everything
    (such a draw, of probability below 2^(1 - N) at 0.5, is drawn again).

  Raises:
    ValueError: for a ratio outside (0, 1), an unknown scheme, or so few
      examples that a subset would be empty or hold everything.

  Example:
    >>> from memo_tf.experiment import subsets
    >>> in_mask = subsets.in_masks(num_examples=20, num_subsets=10, ratio=0.7)
    >>> in_mask.shape, set(in_mask.sum(axis=0)), set(in_mask.sum(axis=1))
    ((10, 20), {np.int64(7)}, {np.int64(14)})
  """
  if not 0 < ratio < 1:
    raise ValueError(
      "`subset_ratio` must be strictly between 0 and 1, or no example is ever "
      f"held out. Received: subset_ratio={ratio}"
    )
  if scheme not in SCHEMES:
    raise ValueError(
      f"`subset_scheme` must be one of {', '.join(SCHEMES)}. "
      f"Received: {scheme!r}"
    )
  if num_subsets < 1:
    raise ValueError(
      f"`num_subsets` must be at least 1. Received: {num_subsets}"
    )
  check_scheme(ratio, scheme)
  size = round(ratio * num_examples)
  smallest = size - 1 if scheme == "two_sizes" else size
  largest = size
  if scheme == "balanced":
    exact = fractions.Fraction(repr(float(ratio))) * num_examples
    smallest, largest = math.floor(exact), math.ceil(exact)
  if scheme in ("bernoulli", "complementary"):
    smallest, largest = 1, min(max(size, 1), num_examples - 1)
  if smallest < 1 or largest >= num_examples or num_examples < 2:
    raise ValueError(
      "Every subset needs at least one example in and one held out. Received: "
      f"ratio={ratio} of num_examples={num_examples}"
    )
  if scheme != "balanced":
    rows = [
      _row(num_examples, m, ratio, size, scheme, seed)
      for m in range(num_subsets)
    ]
    return np.stack(rows)
  block = block_size(ratio)
  blocks = [
    _balanced_block(
      num_examples,
      block,
      ratio,
      random_streams.generator(seed, "subsets", family_name(ratio), b),
    )
    for b in range(-(-num_subsets // block))
  ]
  return np.concatenate(blocks)[:num_subsets]


def _row(num_examples, m, ratio, size, scheme, seed) -> np.ndarray:
  """Subset m of a scheme other than balanced, bool [N]."""
  draw = m - m % 2 if scheme == "complementary" else m
  rng = random_streams.generator(
    seed, "subsets", family_name(ratio, scheme), draw
  )
  if scheme in ("uniform", "two_sizes"):
    row = np.zeros(num_examples, bool)
    smaller = m % 2 if scheme == "two_sizes" else 0
    row[rng.permutation(num_examples)[: size - smaller]] = True
    return row
  row = rng.random(num_examples) < ratio
  while row.all() or not row.any():
    row = rng.random(num_examples) < ratio
  return ~row if draw != m else row


def _balanced_block(
  num_examples: int, block: int, ratio: float, rng: np.random.Generator
) -> np.ndarray:
  """A random bool [block, N] with the margins of a balanced block."""
  total = round(fractions.Fraction(repr(float(ratio))) * block * num_examples)
  column_sums = _spread(total, num_examples, rng)
  row_sums = _spread(total, block, rng)
  # Random columns with the right sums: the smallest of random keys are in.
  keys = rng.random((block, num_examples))
  ranks = keys.argsort(axis=0).argsort(axis=0)
  mask = ranks < column_sums
  # Then rows: move examples from a row with too many to one with too few, in
  # random columns that have one and not the other, which keeps the columns.
  while True:
    excess = mask.sum(axis=1) - row_sums
    over, under = int(excess.argmax()), int(excess.argmin())
    count = min(excess[over], -excess[under])
    if count == 0:
      return mask
    columns = np.flatnonzero(mask[over] & ~mask[under])
    moved = rng.choice(columns, min(count, len(columns)), replace=False)
    mask[over, moved] = False
    mask[under, moved] = True


def _spread(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
  """`parts` integers of sum `total` that differ by at most one."""
  sums = np.full(parts, total // parts)
  sums[rng.permutation(parts)[: total % parts]] += 1
  return sums
