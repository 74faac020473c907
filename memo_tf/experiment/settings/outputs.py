"""What is kept, scored and shown."""

import dataclasses

from memo_tf.experiment.settings import field

_field = field.field

# As the estimators name them; correctness is always scored.
OUTCOMES = ("correctness", "label_probability", "margin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputsConfig:
  """What is kept and shown."""

  keep_logits: bool = _field(
    False, "Keep every run's logits, float16 [N + T, C].", "free"
  )
  keep_weights: bool = _field(
    False, "Keep every run's final weights, as Keras's .weights.h5.", "free"
  )
  materialize_subsets: bool = _field(
    False,
    "Write each subset as TFRecord shards of its own and train from those, for "
    "storage that cannot afford to read all to use a part.",
    "free",
  )
  exclude_flagged_runs: bool = _field(
    False,
    "Leave runs that got stuck out of the scores (they are listed either way).",
    "free",
  )
  report_images: str = _field(
    "shown",
    "shown, or none: the page holds no image of the data set.",
    "free",
    choices=("shown", "none"),
  )
  outcomes: tuple[str, ...] = _field(
    ("correctness",),
    "Outcomes to score: correctness (always there; Feldman's memorization), "
    "label_probability, margin.",
    "free",
    rule=(
      lambda x: set(x) <= set(OUTCOMES),
      f"must be of: {', '.join(OUTCOMES)}",
    ),
  )
  influence_top_k: int = _field(
    0,
    "Keep instead the k most influential training examples of every test "
    "example, of any class; 0: the pairs above the thresholds.",
    "free",
    rule=field.at_least(0),
  )
  min_memorization: float = _field(
    0.25,
    "Influential pairs are kept of training examples of at least this "
    "memorization (Feldman & Zhang, 2020).",
    "free",
    rule=(lambda x: -1 <= x <= 1, "must be in [-1, 1]"),
  )
  min_influence: float = _field(
    0.15,
    "Pairs are kept from this influence on (Feldman & Zhang, 2020).",
    "free",
    rule=(lambda x: -1 <= x <= 1, "must be in [-1, 1]"),
  )
  trajectory_rule: str = _field(
    "default",
    "How an example's memorization over sizes is given a shape class; "
    "docs/method.md has the formulas.",
    "free",
    choices=("default", "endpoints", "argmax", "z", "template"),
  )
  min_change: float = _field(
    0.2,
    "Smallest change of memorization over sizes that counts for its shape "
    "class; in (0, 1].",
    "free",
    rule=(lambda x: 0 < x <= 1, "must be in (0, 1]"),
  )
  interval_width: float = _field(
    0.2,
    "Target width of the 95 % interval of an ambiguous image's score (held-out "
    "accuracy of 0.3 to 0.7); the page and memo_tf.status say how many more "
    "runs it takes. Above 0.",
    "free",
    rule=(lambda x: 0 < x <= 2, "must be in (0, 2]"),
  )
