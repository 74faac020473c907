"""One unit of work in one process: train it and publish its run."""

from memo_tf.running.unit.fit import DivergedError
from memo_tf.running.unit.run import run_unit
from memo_tf.running.unit.session import Session

__all__ = ["DivergedError", "Session", "run_unit"]
