"""Memorization, influence and consistency of examples, from any runs.

NumPy arrays in, frozen dataclasses out; imports nothing else of memo_tf.
"""

from memo_tf.estimators.consistency import consistency_profile
from memo_tf.estimators.consistency import consistency_scores
from memo_tf.estimators.consistency import ConsistencyProfile
from memo_tf.estimators.consistency import ConsistencyScores
from memo_tf.estimators.influence import influence_scores
from memo_tf.estimators.influence import InfluencePairs
from memo_tf.estimators.influence import InfluenceScores
from memo_tf.estimators.influence import influential_pairs
from memo_tf.estimators.influence_tally import InfluenceTally
from memo_tf.estimators.memorization import memorization_scores
from memo_tf.estimators.memorization import MemorizationScores
from memo_tf.estimators.memorization import MemorizationTally
from memo_tf.estimators.reliability import reliability_curve
from memo_tf.estimators.reliability import runs_needed
from memo_tf.estimators.reliability import split_half_reliability

__all__ = [
  "ConsistencyProfile",
  "ConsistencyScores",
  "InfluencePairs",
  "InfluenceScores",
  "InfluenceTally",
  "MemorizationScores",
  "MemorizationTally",
  "consistency_profile",
  "consistency_scores",
  "influence_scores",
  "influential_pairs",
  "memorization_scores",
  "reliability_curve",
  "runs_needed",
  "split_half_reliability",
]
