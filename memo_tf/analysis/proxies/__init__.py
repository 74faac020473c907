"""How well proxies agree with memorization, at one size and over sizes."""

from memo_tf.analysis.proxies.criteria import ComparisonSettings
from memo_tf.analysis.proxies.measured import from_recording_runs
from memo_tf.analysis.proxies.measured import from_subset_runs
from memo_tf.analysis.proxies.measured import Measured
from memo_tf.analysis.proxies.tables import compare_proxies
from memo_tf.analysis.proxies.tables import ProxyFindings
from memo_tf.analysis.proxies.verdicts import VerdictSettings

__all__ = [
  "ComparisonSettings",
  "Measured",
  "ProxyFindings",
  "VerdictSettings",
  "compare_proxies",
  "from_recording_runs",
  "from_subset_runs",
]
