"""A small data set, part of the digits, and settings for it."""

import dataclasses

from memo_tf.data.sources import image_source
from memo_tf.data.sources import load
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib


def config(noise: float = 0.2) -> config_lib.StudyConfig:
  """The settings of a study with a fraction of wrong labels."""
  return config_lib.StudyConfig(data=settings_lib.DataConfig(label_noise=noise))


def digits() -> image_source.ImageDataset:
  """The first 50 training and 7 test images of the digits."""
  whole = load.load(settings_lib.DataConfig())
  return dataclasses.replace(
    whole,
    train_images=whole.train_images[:50],
    train_labels=whole.train_labels[:50],
    test_images=whole.test_images[:7],
    test_labels=whole.test_labels[:7],
  )
