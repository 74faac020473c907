"""Whether memorized examples are needed: training without some of them."""

import dataclasses

from memo_tf.experiment.settings import field

_field = field.field
COMPARISONS = ("same_classes", "random", "targeted")
# Every unit of a plan takes memory, long before any of them is run.
MOST_REPEATS = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemovalConfig:
  """Whether memorized examples are needed."""

  removal_repeats: int = _field(
    0,
    "Train again without memorized examples, so many times per arm, and "
    "compare with as many runs without random examples; 2 or more, 0: not at "
    "all. A larger number extends a study.",
    "grows",
    rule=[
      (lambda x: x == 0 or x >= 2, "must be 0 (no removal) or at least 2"),
      field.at_most(MOST_REPEATS),
    ],
  )
  removal_thresholds: tuple[float, ...] = _field(
    (0.25,),
    "Leave out the examples whose memorization is at least this, one "
    "comparison for each threshold; in (0, 1].",
    "union",
    rule=[
      (lambda x: all(0 < t <= 1 for t in x), "must be in (0, 1]"),
      (
        lambda x: all(round(t, 6) == t for t in x),
        "takes at most six decimals",
      ),
      field.NAMES_ONE,
      field.NAMED_ONCE,
    ],
  )
  removal_comparisons: tuple[str, ...] = _field(
    COMPARISONS,
    "What removal is compared with. same_classes: as many random examples of "
    "the same classes left out; random: as many random ones; targeted: instead "
    "of memorized examples, the training examples of high-influence pairs, "
    "against as many random ones of the same classes.",
    "union",
    rule=[
      field.NAMES_ONE,
      field.NAMED_ONCE,
      (
        lambda x: set(x) <= set(COMPARISONS),
        f"must be among: {', '.join(COMPARISONS)}",
      ),
    ],
  )
  removal_models: tuple[str, ...] = _field(
    (),
    "Models to train again, each without the examples that it memorizes "
    "itself; default: every one of --models.",
    "union",
    rule=field.NAMED_ONCE,
  )
  onion_subsets: int = _field(
    0,
    "Train again on so many of the subsets without the memorized examples of "
    "--removal_thresholds, and without as many random ones of the same "
    "classes, to see whether others become memorized; at most half of "
    "--num_subsets, whose other runs select; 0: not at all. May be added to a "
    "finished study, and stays as given.",
    "once",
    rule=[
      (lambda x: x == 0 or x >= 2, "must be 0 (no onion) or at least 2"),
      field.at_most(MOST_REPEATS),
    ],
  )

  @property
  def is_asked(self) -> bool:
    """Whether models are trained again without some examples."""
    return bool(self.removal_repeats or self.onion_subsets)
