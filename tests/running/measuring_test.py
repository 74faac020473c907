"""What `--dry_run` times: all data in memory, or a sample of streamed data."""

import dataclasses
import pathlib
from unittest import mock

from absl.testing import absltest
import numpy as np
import pytest

from memo_tf.data.sources import load
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.running import measuring
from memo_tf.running.unit import session as session_lib
from memo_tf.store import directory as directory_lib

CONFIG = config_lib.StudyConfig(
  data=settings_lib.DataConfig(label_noise=0.1, planted_noise_images=30),
  models=settings_lib.ModelsConfig(models=("cifar_resnet-8-w0.125",)),
  running=settings_lib.RunningConfig(storage="stream"),
)


class MeasuringTest(absltest.TestCase):
  @pytest.mark.slow
  def test_streamed_data_are_timed_on_their_first_images(self):
    whole = load.load(CONFIG.data)

    sample = measuring.sample_data(CONFIG)

    self.assertEqual((sample.num_train, sample.num_test), (1530, 297))
    self.assertAlmostEqual(sample.share, (512 + 297) / (1530 + 297))
    self.assertNotIsInstance(sample.data.train_images, np.ndarray)
    np.testing.assert_array_equal(
      sample.data.train_images[:], whole.train_images[:512]
    )
    np.testing.assert_array_equal(
      sample.data.test_labels, whole.test_labels[:512]
    )

    directory = directory_lib.StudyDirectory(pathlib.Path("/nowhere"))
    session = session_lib.Session(CONFIG, directory, sample.data)
    told = []
    with (
      mock.patch.object(measuring, "TOTAL_SECONDS", 0.01),
      mock.patch.object(measuring, "SLICE_SECONDS", 0.01),
    ):
      found = [
        measuring.measure(
          session, "cifar_resnet-8-w0.125", "one_hot", share, 1e12, told.append
        )
        for share in (sample.share, sample.share / 1000)
      ]
    self.assertGreater(found[1]["fixed"], 50 * found[0]["fixed"])
    self.assertGreater(found[0]["step"], 0)

  def test_data_in_memory_are_timed_whole(self):
    config = dataclasses.replace(CONFIG, running=settings_lib.RunningConfig())

    sample = measuring.sample_data(config)

    self.assertEqual(sample.share, 1.0)
    self.assertLen(sample.data.train_images, 1530)
    self.assertIsInstance(sample.data.train_images, np.ndarray)

  def test_a_model_of_which_nothing_is_counted_is_timed(self):
    config = dataclasses.replace(CONFIG, running=settings_lib.RunningConfig())
    directory = directory_lib.StudyDirectory(pathlib.Path("/nowhere"))
    data = measuring.sample_data(config).data
    session = session_lib.Session(config, directory, data)
    with mock.patch.object(measuring.cost, "multiply_adds", lambda model: 0):
      found = measuring.measure(
        session,
        CONFIG.models.models[0],
        "one_hot",
        1.0,
        1e12,
        lambda told: None,
      )

    self.assertGreater(found["step"], 0)

  def test_long_steps_are_timed_in_part(self):
    config = dataclasses.replace(
      CONFIG,
      running=settings_lib.RunningConfig(),
      proxies=settings_lib.ProxiesConfig(proxies=("grand", "curvature")),
    )
    directory = directory_lib.StudyDirectory(pathlib.Path("/nowhere"))
    data = measuring.sample_data(config).data
    session = session_lib.Session(config, directory, data)
    told = []

    found = measuring.measure(
      session, "cifar_resnet-8-w0.125", "one_hot", 1.0, 1e4, told.append
    )

    self.assertEqual(found.keys(), {"trace", "step", "fixed", "recording"})
    # With ten thousand multiply-adds per second it would take much longer.
    self.assertGreater(told[0]["step"], 20 * found["step"])
    # Three passes for GraNd, 22 for curvature, of five checkpoints.
    forward = found["fixed"] / (1530 + 297)
    self.assertAlmostEqual(
      found["recording"] / forward / 1530, 5 * (3 + 22), delta=1e-6
    )


if __name__ == "__main__":
  absltest.main()
