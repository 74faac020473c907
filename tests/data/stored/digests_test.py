"""Digests of a data set: frozen, and of all that it holds."""

import pathlib

from absl.testing import absltest
import numpy as np

from memo_tf.data import prepare
from memo_tf.data.sources import load
from memo_tf.data.stored import digests
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib
from tests.support import small_data


class DigestsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)

  def test_with_nothing_appended_the_content_is_that_of_version_0_1(self):
    info = writer.write_dataset(
      load.load(settings_lib.DataConfig()),
      small_data.config(0.1),
      self.directory,
    )

    # As written before anything but wrong labels could be planted.
    self.assertEqual(info["digest"], "018c8daaceac7bba184d790761c0f91f")
    self.assertEqual(info["planted"], {"wrong_label": 150})

  def test_of_encoded_images(self):
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(image_encoding="raw")
    )

    info = prepare.write_dataset(config, self.directory)

    # As written by version 0.1.
    self.assertEqual(info["digest"], "690a48b1e1754c4a1e86487c4294314b")

  def test_every_pixel_label_and_split_counts(self):
    rng = np.random.default_rng(0)
    pixels = {"train": rng.integers(0, 256, (3, 16), np.uint8)}
    pixels["test"] = rng.integers(0, 256, (2, 16), np.uint8)
    labels = {"train": np.array([0, 1, 1]), "test": np.array([1, 0])}
    variants = [(pixels, labels)]
    for split in ("train", "test"):
      variants.append(({**pixels, split: pixels[split][::-1]}, labels))
      variants.append((pixels, {**labels, split: 1 - labels[split]}))
    variants.append(
      (
        {"train": pixels["test"], "test": pixels["train"]},
        {"train": labels["test"], "test": labels["train"]},
      )
    )

    found = [digests.of_images(*variant) for variant in variants]

    self.assertLen(set(found), len(variants))


if __name__ == "__main__":
  absltest.main()
