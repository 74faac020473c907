"""`--labels_file`: labels by id, the data set's own kept beside them."""

import os
import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pandas as pd

from memo_tf.data.sources import load as load_lib
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import directory as directory_lib


class LabelsFileTest(parameterized.TestCase):
  def write(self, name: str, labels) -> str:
    path = os.path.join(self.create_tempdir().full_path, name)
    if name.endswith(".npy"):
      np.save(path, labels)
    else:
      np.savetxt(path, labels, fmt="%s")
    return path

  @parameterized.parameters("human.npy", "human.txt")
  def test_noisy_labels_are_trained_with_and_clean_ones_kept(self, name):
    clean = load_lib.load(settings_lib.DataConfig())
    human = clean.train_labels.copy()
    human[[3, 1499]] = (human[[3, 1499]] + 1) % 10
    settings = settings_lib.DataConfig(labels_file=self.write(name, human))

    data = load_lib.load(settings)
    directory = directory_lib.StudyDirectory(
      pathlib.Path(self.create_tempdir().full_path)
    )
    config = config_lib.StudyConfig(data=settings)
    writer.write_dataset(data, config, directory)

    table = pd.read_parquet(directory.dataset_dir / "examples.parquet")
    train = table[table["split"] == "train"]
    np.testing.assert_array_equal(train["label"], human)
    np.testing.assert_array_equal(train["clean_label"], clean.train_labels)
    self.assertEqual(np.flatnonzero(train["is_noisy"]).tolist(), [3, 1499])
    self.assertEqual(set(train["plant"][train["is_noisy"]]), {"labels_file"})

  @parameterized.parameters(
    (np.zeros(1499, int), "each of the 1500"),
    (np.full(1500, 10), r"--labels_file=.*10 for training example 0"),
    (np.zeros((1500, 1), int), r"\[1500, 1\]"),
    (np.full(1500, np.nan), "whole numbers"),
  )
  def test_bad_files_are_one_clear_line(self, labels, words):
    path = self.write("human.npy", labels)

    with self.assertRaisesRegex(errors.UsageError, words):
      load_lib.load(settings_lib.DataConfig(labels_file=path))

  def test_text_that_is_no_labels(self):
    path = self.write("human.txt", np.full(1500, "cat"))

    with self.assertRaisesRegex(errors.UsageError, "one label per line"):
      load_lib.load(settings_lib.DataConfig(labels_file=path))


if __name__ == "__main__":
  absltest.main()
