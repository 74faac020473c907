"""The `tf.distribute` strategy that a run trains under."""

import tensorflow as tf


def jit_compile(setting: str, strategy: tf.distribute.Strategy) -> bool:
  """Whether XLA compiles the training loop.

  Args:
    setting: `on`, `off` or `auto`: on for one replica on an accelerator. On a
      CPU XLA loses against the kernels of oneDNN; with several replicas it fails
      or hangs.
    strategy: that the run trains under.
  """
  if setting != "auto":
    return setting == "on"
  on_accelerator = bool(tf.config.list_logical_devices("GPU"))
  return on_accelerator and strategy.num_replicas_in_sync == 1


def one_device() -> tf.distribute.Strategy:
  """One replica: the first GPU if there is one, else the CPU."""
  gpus = tf.config.list_logical_devices("GPU")
  return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
