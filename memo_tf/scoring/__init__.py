"""Scores of every group of a study, from its finished runs, and their files.

Imports no TensorFlow: whoever has predictions can score them.
"""

from memo_tf.scoring.groups import GroupScores
from memo_tf.scoring.study import score_study
from memo_tf.scoring.summary import summary_lines

__all__ = ["GroupScores", "score_study", "summary_lines"]
