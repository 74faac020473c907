"""The `tf.distribute` strategy that a run trains under."""

import tensorflow as tf


def one_device() -> tf.distribute.Strategy:
  """One replica: the first GPU if there is one, else the CPU."""
  gpus = tf.config.list_logical_devices("GPU")
  return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
