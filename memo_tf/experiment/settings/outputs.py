"""What is kept, scored and shown."""

import dataclasses

from memo_tf.experiment.settings import field

_field = field.field

# As the estimators name them; correctness is always scored.
OUTCOMES = ("correctness", "label_probability", "margin")
ESTIMATORS = ("plain", "margin", "margin_sizes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputsConfig:
  """What is kept and shown."""

  keep_logits: bool = _field(
    False, "Keep every run's logits, float16 [N + T, C].", "free"
  )
  keep_weights: bool = _field(
    False, "Keep every run's final weights, as Keras's .weights.h5.", "free"
  )
  score_epochs: tuple[int, ...] = _field(
    (),
    "Follow memorization over training: score every run after these epochs "
    "too, beside its last, such as 5,10. May be added to a finished study, "
    "whose runs are then repeated.",
    "union",
    rule=[
      field.NAMED_ONCE,
      (lambda x: all(e >= 1 for e in x), "must be epochs, from 1"),
    ],
  )
  materialize_subsets: bool = _field(
    False,
    "Write each subset as separate TFRecord shards and train from those, for "
    "storage where reading all examples to use a part is too slow.",
    "free",
  )
  exclude_flagged_runs: bool = _field(
    False,
    "Exclude stuck runs from the scores (they are listed either way).",
    "free",
  )
  report_images: str = _field(
    "shown",
    "Whether the page has images of the data set: shown, or none.",
    "free",
    choices=("shown", "none"),
  )
  outcomes: tuple[str, ...] = _field(
    ("correctness",),
    "Outcomes to score: correctness (always scored; Feldman's memorization), "
    "label_probability, margin.",
    "free",
    rule=(
      lambda x: set(x) <= set(OUTCOMES),
      f"must be among: {', '.join(OUTCOMES)}",
    ),
  )
  estimator: str = _field(
    "plain",
    "Memorization scores that the figures are made of: plain (shares of right "
    "runs, as in the papers); margin (the same quantity from margins of runs, "
    "with about half the squared error); margin_sizes (margin, from all sizes "
    "of a model together). Score files have all of them.",
    "free",
    choices=ESTIMATORS,
  )
  influence_top_k: int = _field(
    0,
    "Keep the k most influential training examples of every test example, of "
    "any class; 0: keep the pairs above the thresholds instead.",
    "free",
    rule=field.at_least(0),
  )
  min_memorization: float = _field(
    0.25,
    "Keep influential pairs only of training examples with at least this "
    "memorization (Feldman & Zhang, 2020).",
    "free",
    rule=(lambda x: -1 <= x <= 1, "must be in [-1, 1]"),
  )
  min_influence: float = _field(
    0.15,
    "Keep pairs with at least this influence (Feldman & Zhang, 2020).",
    "free",
    rule=(lambda x: -1 <= x <= 1, "must be in [-1, 1]"),
  )
  trajectory_rule: str = _field(
    "default",
    "Rule that assigns a shape class to an example's memorization over sizes; "
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
