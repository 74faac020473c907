"""What scores show: from arrays to findings."""

from memo_tf.analysis.comparison import auroc
from memo_tf.analysis.comparison import correlation
from memo_tf.analysis.comparison import top_overlap
from memo_tf.analysis.measured import from_recording_runs
from memo_tf.analysis.measured import from_subset_runs
from memo_tf.analysis.measured import Measured
from memo_tf.analysis.proxy_findings import compare_proxies
from memo_tf.analysis.proxy_findings import ProxyFindings

__all__ = [
  "Measured",
  "ProxyFindings",
  "auroc",
  "compare_proxies",
  "correlation",
  "from_recording_runs",
  "from_subset_runs",
  "top_overlap",
]
