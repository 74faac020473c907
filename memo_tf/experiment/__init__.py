"""The requested study: its settings, units of work, and plan."""

from memo_tf.experiment import subsets

__all__ = ["subsets"]
