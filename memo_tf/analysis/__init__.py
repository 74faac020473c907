"""What scores show: trajectories, sizes, proxies, planted examples."""

from memo_tf.analysis.proxies import compare_proxies
from memo_tf.analysis.proxies import from_recording_runs
from memo_tf.analysis.proxies import from_subset_runs
from memo_tf.analysis.proxies import Measured
from memo_tf.analysis.proxies import ProxyFindings
from memo_tf.analysis.ranking import auroc
from memo_tf.analysis.ranking import correlation
from memo_tf.analysis.ranking import top_overlap
from memo_tf.analysis.trajectories import classify_trajectories
from memo_tf.analysis.trajectories import example_changes
from memo_tf.analysis.trajectories import ExampleChanges
from memo_tf.analysis.trajectories import shape_shares
from memo_tf.analysis.trajectories import TrajectoryClasses

__all__ = [
  "ExampleChanges",
  "Measured",
  "ProxyFindings",
  "TrajectoryClasses",
  "auroc",
  "classify_trajectories",
  "compare_proxies",
  "correlation",
  "example_changes",
  "from_recording_runs",
  "from_subset_runs",
  "shape_shares",
  "top_overlap",
]
