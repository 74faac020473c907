"""`--num_examples`, in memory and streamed: which examples stay, their ids."""

import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd
from PIL import Image

from memo_tf.data import prepare
from memo_tf.data.sources import load as load_lib
from memo_tf.data.sources import part
from memo_tf.data.stored import reader
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib

STREAM = settings_lib.RunningConfig(storage="stream")


class NumExamplesTest(absltest.TestCase):
  def write(self, data: settings_lib.DataConfig, running=None):
    """`dataset/` of a new study: its arrays, table and info.json."""
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    running = running or settings_lib.RunningConfig()
    config = config_rules.validated(
      config_lib.StudyConfig(data=data, running=running)
    )
    info = prepare.write_dataset(config, directory)
    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    return reader.read_dataset(directory, running), table, info

  def test_images_labels_and_former_ids_stay_together(self):
    whole = load_lib.load(settings_lib.DataConfig())

    data, table, info = self.write(settings_lib.DataConfig(num_examples=100))

    train = table[table["split"] == "train"]
    former = train["source_index"].to_numpy()
    self.assertEqual((info["num_train"], info["num_test"]), (100, 297))
    self.assertEqual(train["example_id"].tolist(), list(range(100)))
    self.assertTrue((np.diff(former) > 0).all())
    self.assertGreater(former[-1], 1000)  # not the first hundred
    np.testing.assert_array_equal(data.train_images, whole.train_images[former])
    np.testing.assert_array_equal(data.train_labels, whole.train_labels[former])
    np.testing.assert_array_equal(data.test_images, whole.test_images)
    np.testing.assert_array_equal(
      np.bincount(data.train_labels),
      part.shares(np.bincount(whole.train_labels), 100),
    )
    self.assertIn("of the 1500 training examples 100 were drawn", info["order"])

  def test_noise_and_copies_come_after(self):
    settings = settings_lib.DataConfig(
      num_examples=100,
      label_noise=0.1,
      planted_exact_duplicates=3,
      planted_noise_images=2,
    )

    data, table, info = self.write(settings)

    train = table[table["split"] == "train"]
    self.assertEqual(info["num_train"], 105)
    self.assertEqual(info["planted"]["wrong_label"], 10)  # of 100, not 1,500
    self.assertEqual(train["source_index"][100:].tolist(), [-1] * 5)
    np.testing.assert_array_equal(
      data.train_images[100:103],
      data.train_images[train["origin_id"][100:103]],
    )

  def test_all_of_them_are_the_whole_set(self):
    data, table, _ = self.write(settings_lib.DataConfig(num_examples=1500))
    whole, plain, info = self.write(settings_lib.DataConfig())

    self.assertEqual(data.digest, whole.digest)
    np.testing.assert_array_equal(
      table["source_index"], [*range(1500), *range(297)]
    )
    self.assertNotIn("source_index", plain.columns)
    self.assertNotIn("drawn", info["order"])

  def test_labels_file_is_by_the_ids_of_the_whole_set(self):
    whole = load_lib.load(settings_lib.DataConfig())
    labels = (whole.train_labels + np.arange(1500) % 2) % 10
    path = pathlib.Path(self.create_tempdir().full_path, "labels.npy")
    np.save(path, labels)
    settings = settings_lib.DataConfig(num_examples=90)

    _, plain, _ = self.write(settings)
    with_file = settings_lib.DataConfig(num_examples=90, labels_file=str(path))
    for running in (None, STREAM):
      data, table, _ = self.write(with_file, running)
      train = table[table["split"] == "train"]
      former = train["source_index"].to_numpy()
      # The same examples as without the file.
      np.testing.assert_array_equal(
        table["source_index"], plain["source_index"]
      )
      np.testing.assert_array_equal(data.train_labels, labels[former])
      np.testing.assert_array_equal(
        train["clean_label"], whole.train_labels[former]
      )
      np.testing.assert_array_equal(train["is_noisy"], former % 2 == 1)

  def test_the_test_examples_are_drawn_first(self):
    settings = {"test_fraction": 0.2, "find_duplicates": "off"}

    whole, whole_table, _ = self.write(settings_lib.DataConfig(**settings))
    data, table, _ = self.write(
      settings_lib.DataConfig(num_examples=60, **settings)
    )

    np.testing.assert_array_equal(data.test_images, whole.test_images)
    former = table["source_index"][:60]
    np.testing.assert_array_equal(data.train_images, whole.train_images[former])
    # What digits calls an example: its row in the package.
    self.assertEqual(
      table["source"][:60].tolist(), whole_table["source"][former].tolist()
    )

  def test_streamed_and_held_are_the_same(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    rng = np.random.default_rng(0)
    for split, count in (("train", 9), ("test", 2)):
      for name in ("cat", "dog"):
        place = folder / split / name
        place.mkdir(parents=True)
        for number in range(count):
          pixels = rng.integers(0, 256, (10, 12, 3), np.uint8)
          Image.fromarray(pixels).save(place / f"{number}.png")
    for fraction in (0.0, 0.25):
      settings = settings_lib.DataConfig(
        dataset=f"folder:{folder}",
        num_examples=7,
        test_fraction=fraction,
        planted_exact_duplicates=2,
      )

      held, held_table, held_info = self.write(settings)
      stored, stored_table, stored_info = self.write(settings, STREAM)

      self.assertEqual(held_info["num_train"], 9)
      self.assertNotIsInstance(stored.train_images, np.ndarray)
      np.testing.assert_array_equal(stored.train_images[:], held.train_images)
      np.testing.assert_array_equal(stored.test_images[:], held.test_images)
      pd.testing.assert_frame_equal(stored_table, held_table)
      self.assertEqual(stored_info["order"], held_info["order"])

  def test_a_part_of_what_memory_would_not_hold_is_read_into_memory(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    pixels = np.zeros((8, 8, 3), np.uint8)
    for split, count in (("train", 20), ("test", 2)):
      for name in ("cat", "dog"):
        place = folder / split / name
        place.mkdir(parents=True)
        for number in range(count):
          Image.fromarray(pixels + number).save(place / f"{number}.png")
    # 40 + 4 images of 192 bytes are too many; 6 + 4 are not.
    running = settings_lib.RunningConfig(memory_budget_gb=2000 / 1e9)
    settings = settings_lib.DataConfig(
      dataset=f"folder:{folder}", num_examples=6, find_duplicates="off"
    )

    data, _, info = self.write(settings, running)

    self.assertIsInstance(data.train_images, np.ndarray)
    self.assertIn("encoding", info)  # read and written one by one
    self.assertEqual(data.train_images.shape, (6, 8, 8, 3))

  def test_larger_than_the_set(self):
    with self.assertRaisesRegex(errors.UsageError, "--num_examples=1501"):
      self.write(settings_lib.DataConfig(num_examples=1501))
    with self.assertRaisesRegex(ValueError, "--num_examples must be 0 or more"):
      config_rules.validated(
        config_lib.StudyConfig(data=settings_lib.DataConfig(num_examples=-1))
      )


if __name__ == "__main__":
  absltest.main()
