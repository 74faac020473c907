"""Estimators: NumPy in, frozen dataclasses out; nothing else of memo_tf."""

from memo_tf.estimators.memorization import memorization_scores
from memo_tf.estimators.memorization import MemorizationScores
from memo_tf.estimators.memorization import MemorizationTally

__all__ = ["MemorizationScores", "MemorizationTally", "memorization_scores"]
