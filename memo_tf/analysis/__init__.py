"""What scores show: from arrays to findings."""

from memo_tf.analysis.comparison import auroc

__all__ = ["auroc"]
