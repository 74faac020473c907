"""The record of a study: what is to be done, what is done, where it lies."""

from memo_tf.experiment import subsets

__all__ = ["subsets"]
