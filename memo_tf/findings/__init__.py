"""Findings from the scores of a study: over sizes, about proxies, compression.

One module per question. Imports no TensorFlow.
"""

from memo_tf.findings.proxies import compare_study
from memo_tf.findings.proxies import RecipeFindings
from memo_tf.findings.sizes import SizeStudy
from memo_tf.findings.sizes import study_sizes

__all__ = ["RecipeFindings", "SizeStudy", "compare_study", "study_sizes"]
