"""Which examples each run trains on."""

import dataclasses

from memo_tf.experiment import subsets as subsets_lib
from memo_tf.experiment.settings import field

_field = field.field
# Every unit of a plan takes memory, long before any of them is run.
MOST_SUBSETS = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubsetsConfig:
  """Which examples each run trains on."""

  num_subsets: int = _field(
    40,
    "M, the number of subsets, and so of runs per model and recipe; at least "
    "2. A larger number extends a study.",
    "grows",
    rule=[
      (
        lambda x: x >= 2,
        "must be at least 2: memorization compares runs that saw an example "
        "with runs that did not",
      ),
      field.at_most(MOST_SUBSETS),
    ],
    short=True,
  )
  target_ci_width: float = _field(
    0.0,
    "Extend the study by whole blocks of subsets, from --num_subsets on, until "
    "the 95 % intervals of --estimator are this wide on average in every model "
    "and recipe, or --max_subsets is reached; below 2. 0: train --num_subsets.",
    "free",
    rule=(lambda x: 0 <= x < 2, "must be 0 (off), or above 0 and below 2"),
    short=True,
  )
  target_examples: str = _field(
    "ambiguous",
    "Images whose intervals --target_ci_width is about: ambiguous (held-out "
    "accuracy of 0.3 to 0.7) or all.",
    "free",
    choices=("ambiguous", "all"),
  )
  max_subsets: int = _field(
    1000,
    "Most subsets to which --target_ci_width extends a study.",
    "free",
    rule=[field.at_least(2), field.at_most(MOST_SUBSETS)],
  )
  subset_ratio: float = _field(
    0.7,
    "Fraction of the training examples in a subset, in (0, 1).",
    rule=[
      (
        lambda x: 0 < x < 1,
        "must be strictly between 0 and 1, or no example is ever held out",
      ),
      (lambda x: round(x, 6) == x, "takes at most six decimals"),
    ],
    short=True,
  )
  subset_scheme: str = _field(
    "balanced",
    "balanced: every example is in the same number of subsets of each complete "
    "block; uniform: subsets drawn independently (Feldman & Zhang, 2020); "
    "bernoulli: each example drawn independently; complementary: bernoulli "
    "halves and their complements; two_sizes: sizes s and s - 1 alternately, "
    "as in Feldman & Zhang's definition.",
    choices=subsets_lib.SCHEMES,
  )
  subset_families: tuple[str, ...] = _field(
    (),
    "Subset families besides that of --subset_ratio, by name: r0.50, "
    "r0.30-uniform, full; r0.70-complement holds what r0.70 holds out.",
    "union",
    rule=[field.NAMED_ONCE, field.parsed_by(subsets_lib.parse_family)],
  )
