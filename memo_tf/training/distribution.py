"""The `tf.distribute` strategy that a run trains under."""

import functools

import tensorflow as tf


def jit_compile(setting: str, strategy: tf.distribute.Strategy) -> bool:
  """Whether XLA compiles the training loop.

  Args:
    setting: `on`, `off` or `auto`: on for one replica on an accelerator. On a
      CPU, XLA is slower than oneDNN's kernels; with several replicas it fails
      or hangs.
    strategy: that the run trains under.
  """
  if setting != "auto":
    return setting == "on"
  on_accelerator = bool(tf.config.list_logical_devices("GPU"))
  return on_accelerator and strategy.num_replicas_in_sync == 1


@functools.cache  # a process can have only one multi_worker strategy
def make_strategy(name: str) -> tf.distribute.Strategy:
  """The strategy of a setting: `one_device`, `mirrored` or `multi_worker`.

  `one_device` is the first GPU if there is one, else the CPU; `mirrored` is all
  GPUs, else all logical devices of the CPU; the processes of `multi_worker`
  find each other through TF_CONFIG.
  """
  if name == "multi_worker":  # before devices are listed, which starts them
    return tf.distribute.MultiWorkerMirroredStrategy()
  devices = tf.config.list_logical_devices("GPU")
  devices = devices or tf.config.list_logical_devices("CPU")
  if name == "mirrored":
    return tf.distribute.MirroredStrategy([d.name for d in devices])
  return tf.distribute.OneDeviceStrategy(devices[0].name)


def one_device() -> tf.distribute.Strategy:
  """One replica: the first GPU if there is one, else the CPU."""
  return make_strategy("one_device")


def divide_cpu(count: int) -> None:
  """Divides the CPU into logical devices; call it before TensorFlow starts."""
  if count > 1:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
      cpu, [tf.config.LogicalDeviceConfiguration()] * count
    )
