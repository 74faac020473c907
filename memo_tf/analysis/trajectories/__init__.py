"""How each example's memorization changes with model size."""

from memo_tf.analysis.trajectories.classify import classify_trajectories
from memo_tf.analysis.trajectories.classify import SHAPE_CLASSES
from memo_tf.analysis.trajectories.classify import TrajectoryClasses
from memo_tf.analysis.trajectories.shares import shape_shares
from memo_tf.analysis.trajectories.shares import ShapeShare

__all__ = [
  "SHAPE_CLASSES",
  "ShapeShare",
  "TrajectoryClasses",
  "classify_trajectories",
  "shape_shares",
]
