"""The machine that a run trains on, as TensorFlow sees it."""

import platform

import tensorflow as tf

from memo_tf.store import environments


def machine() -> dict[str, str]:
  """Host, processor, accelerators and platform: what results depend on."""
  gpus = tf.config.list_physical_devices("GPU")
  details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
  return {
    "host": platform.node(),
    **environments.processor(),
    "gpu": ", ".join(d.get("device_name", "GPU") for d in details),
    "platform": platform.platform(),
  }
