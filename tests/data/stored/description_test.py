"""`examples.parquet` and `info.json`: what was planted, and duplicates."""

import pathlib

from absl.testing import absltest
import numpy as np
import pandas as pd

from memo_tf.data.stored import normalization
from memo_tf.data.stored import reader
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib
from tests.support import small_data


class DescriptionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)

  def test_examples_table_records_what_was_planted(self):
    data = small_data.digits()
    writer.write_dataset(data, small_data.config(0.2), self.directory)

    table = pd.read_parquet(self.directory.dataset_dir / "examples.parquet")

    train = table[table["split"] == "train"]
    noisy = train["is_noisy"].to_numpy()
    self.assertEqual(noisy.sum(), 10)
    np.testing.assert_array_equal(train["clean_label"], data.train_labels)
    np.testing.assert_array_equal(
      noisy, train["label"].to_numpy() != data.train_labels
    )
    self.assertEqual(set(train["plant"][noisy]), {"wrong_label"})
    self.assertFalse(table["is_noisy"][table["split"] == "test"].any())
    arrays = reader.read_dataset(self.directory)
    np.testing.assert_array_equal(arrays.train_labels, train["label"])

  def test_what_is_appended_is_written_and_recorded_like_the_rest(self):
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(
        label_noise=0.2,
        planted_exact_duplicates=4,
        planted_near_duplicates=3,
        planted_noise_images=2,
      )
    )
    data = small_data.digits()
    info = writer.write_dataset(data, config, self.directory)

    arrays = reader.read_dataset(self.directory)

    table = pd.read_parquet(self.directory.dataset_dir / "examples.parquet")
    train = table[table["split"] == "train"]
    self.assertEqual((info["num_train"], info["num_test"]), (59, 7))
    np.testing.assert_array_equal(train["example_id"], np.arange(59))
    np.testing.assert_array_equal(train["label"], arrays.train_labels)
    np.testing.assert_array_equal(arrays.train_images[:50], data.train_images)
    np.testing.assert_array_equal(arrays.test_images, data.test_images)
    copies = train[train["plant"] == "exact_duplicate"]
    np.testing.assert_array_equal(
      arrays.train_images[copies["example_id"]],
      data.train_images[copies["origin_id"]],
    )
    np.testing.assert_array_equal(
      copies["duplicate_of_train"], copies["origin_id"]
    )
    self.assertEqual(
      info["planted"],
      {
        "wrong_label": 10,
        "exact_duplicate": 4,
        "near_duplicate": 3,
        "noise_image": 2,
      },
    )
    # Both of each pair are flagged; the near pairs only as near.
    self.assertEqual(info["duplicates"]["duplicate_of_train"], 8)
    self.assertGreaterEqual(info["duplicates"]["near_duplicate_of_train"], 14)
    self.assertEqual(
      info["normalization"], normalization.normalization(arrays.train_images)
    )

  def test_duplicates_that_are_not_looked_for_leave_no_column(self):
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(find_duplicates="off")
    )
    info = writer.write_dataset(small_data.digits(), config, self.directory)

    table = pd.read_parquet(self.directory.dataset_dir / "examples.parquet")
    self.assertNotIn("duplicate_of_train", table.columns)
    self.assertNotIn("near_duplicate_of_train", table.columns)
    self.assertEqual(info["duplicates"], {})


if __name__ == "__main__":
  absltest.main()
