"""What is asked for: settings, units of work, and the plan of a study."""

from memo_tf.experiment import subsets

__all__ = ["subsets"]
