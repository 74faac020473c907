"""What scores show: from arrays to findings."""

from memo_tf.analysis.comparison import auroc
from memo_tf.analysis.comparison import correlation
from memo_tf.analysis.comparison import top_overlap
from memo_tf.analysis.measured import from_recording_runs
from memo_tf.analysis.measured import from_subset_runs
from memo_tf.analysis.measured import Measured
from memo_tf.analysis.proxy_findings import compare_proxies
from memo_tf.analysis.proxy_findings import ProxyFindings
from memo_tf.analysis.trajectories import classify_trajectories
from memo_tf.analysis.trajectories import TrajectoryClasses
from memo_tf.analysis.trajectory_shares import shape_shares
from memo_tf.analysis.trajectory_simulation import beta_trajectories

__all__ = [
  "Measured",
  "ProxyFindings",
  "TrajectoryClasses",
  "auroc",
  "beta_trajectories",
  "classify_trajectories",
  "compare_proxies",
  "correlation",
  "from_recording_runs",
  "from_subset_runs",
  "shape_shares",
  "top_overlap",
]
