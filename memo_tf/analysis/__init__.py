"""What scores show: from arrays to findings."""

from memo_tf.analysis.comparison import auroc
from memo_tf.analysis.trajectories import classify_trajectories
from memo_tf.analysis.trajectories import TrajectoryClasses
from memo_tf.analysis.trajectory_shares import shape_shares
from memo_tf.analysis.trajectory_simulation import beta_trajectories

__all__ = [
  "TrajectoryClasses",
  "auroc",
  "beta_trajectories",
  "classify_trajectories",
  "shape_shares",
]
