"""How memorization, averaged over examples, changes with model size."""

from memo_tf.analysis.sizes.distribution import bimodality
from memo_tf.analysis.sizes.sentences import Finding
from memo_tf.analysis.sizes.sentences import findings
from memo_tf.analysis.sizes.trends import class_means
from memo_tf.analysis.sizes.trends import mean_trends
from memo_tf.analysis.sizes.trends import run_accuracies

__all__ = [
  "Finding",
  "bimodality",
  "class_means",
  "findings",
  "mean_trends",
  "run_accuracies",
]
