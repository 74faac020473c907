"""What scores show: from arrays to findings."""

from memo_tf.analysis.proxies.measured import from_recording_runs
from memo_tf.analysis.proxies.measured import from_subset_runs
from memo_tf.analysis.proxies.measured import Measured
from memo_tf.analysis.proxies.tables import compare_proxies
from memo_tf.analysis.proxies.tables import ProxyFindings
from memo_tf.analysis.ranking import auroc
from memo_tf.analysis.ranking import correlation
from memo_tf.analysis.ranking import top_overlap
from memo_tf.analysis.trajectories.classify import classify_trajectories
from memo_tf.analysis.trajectories.classify import TrajectoryClasses
from memo_tf.analysis.trajectories.shares import shape_shares

__all__ = [
  "Measured",
  "ProxyFindings",
  "TrajectoryClasses",
  "auroc",
  "classify_trajectories",
  "compare_proxies",
  "correlation",
  "from_recording_runs",
  "from_subset_runs",
  "shape_shares",
  "top_overlap",
]
