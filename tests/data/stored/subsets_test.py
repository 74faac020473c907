"""Materialized subsets: written once, read back, checked."""

import pathlib

from absl.testing import absltest
import numpy as np

from memo_tf.data.stored import reader
from memo_tf.data.stored import subsets
from memo_tf.data.stored import writer
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from tests.support import small_data


class SubsetShardsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)

  def test_materialized_subset_holds_the_subset(self):
    writer.write_dataset(
      small_data.digits(), small_data.config(), self.directory
    )
    arrays = reader.read_dataset(self.directory)
    mask = np.random.default_rng(0).random(50) < 0.7
    ids = np.flatnonzero(mask)
    subsets.materialize(arrays, mask, self.directory, "r0.70", 4)

    images, labels = subsets.read(self.directory, "r0.70", 4, ids, (8, 8, 1))

    np.testing.assert_array_equal(images, arrays.train_images[ids])
    np.testing.assert_array_equal(labels, arrays.train_labels[ids])
    with self.assertRaisesRegex(errors.StudyError, "subset 4"):
      others = np.flatnonzero(np.roll(mask, 1))
      subsets.read(self.directory, "r0.70", 4, others, (8, 8, 1))


if __name__ == "__main__":
  absltest.main()
