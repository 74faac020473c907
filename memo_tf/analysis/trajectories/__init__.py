"""How each example's memorization changes with model size."""

from memo_tf.analysis.trajectories.changes import example_changes
from memo_tf.analysis.trajectories.changes import ExampleChanges
from memo_tf.analysis.trajectories.classify import classify_trajectories
from memo_tf.analysis.trajectories.classify import SHAPE_CLASSES
from memo_tf.analysis.trajectories.classify import TrajectoryClasses
from memo_tf.analysis.trajectories.shares import shape_shares
from memo_tf.analysis.trajectories.shares import ShapeShare

__all__ = [
  "ExampleChanges",
  "SHAPE_CLASSES",
  "ShapeShare",
  "TrajectoryClasses",
  "classify_trajectories",
  "example_changes",
  "shape_shares",
]
