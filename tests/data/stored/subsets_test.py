"""Materialized subsets: written once, read back, checked."""

import dataclasses
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

    writer.write_dataset(
      small_data.digits(), small_data.config(), self.directory
    )
    self.data = reader.read_dataset(self.directory)
    self.mask = np.random.default_rng(0).random(50) < 0.7
    self.ids = np.flatnonzero(self.mask)
    self.folder = self.directory.subset_shard_dir("r0.70", 4)
    self.materialize()

  def materialize(self, data=None):
    subsets.materialize(
      data or self.data, self.mask, self.directory, "r0.70", 4
    )

  def read(self, ids=None, data=None):
    ids = self.ids if ids is None else ids
    return subsets.read(self.directory, "r0.70", 4, ids, data or self.data)

  def relabelled(self):
    """The same images with other labels, as of another --label_noise."""
    labels = (self.data.train_labels + 1) % 10
    return dataclasses.replace(self.data, train_labels=labels, digest="e" * 32)

  def test_materialized_subset_holds_the_subset(self):
    images, labels = self.read()

    np.testing.assert_array_equal(images, self.data.train_images[self.ids])
    np.testing.assert_array_equal(labels, self.data.train_labels[self.ids])

  def test_another_subset_is_refused(self):
    with self.assertRaisesRegex(
      errors.StudyError, "not hold subset 4 .* its subset_digest is"
    ):
      self.read(ids=np.flatnonzero(np.roll(self.mask, 1)))

  def test_shards_of_another_data_set_are_refused(self):
    with self.assertRaisesRegex(errors.StudyError, "its dataset_digest is"):
      self.read(data=self.relabelled())

  def test_shards_of_another_data_set_are_written_anew(self):
    self.materialize(self.relabelled())

    _, labels = self.read(data=self.relabelled())

    np.testing.assert_array_equal(
      labels, self.relabelled().train_labels[self.ids]
    )
    moved = self.directory.root / "damaged/subsets/r0.70/00004-0"
    self.assertTrue((moved / "info.json").exists())

  def test_shards_that_are_there_are_left_alone(self):
    before = (self.folder / "info.json").stat().st_mtime_ns

    self.materialize()

    self.assertEqual((self.folder / "info.json").stat().st_mtime_ns, before)

  def test_a_shard_without_info_is_refused_and_written_anew(self):
    (self.folder / "info.json").unlink()
    with self.assertRaisesRegex(errors.StudyError, "info.json is missing"):
      self.read()

    self.materialize()

    self.read()

  def test_a_flipped_bit_is_found(self):
    (path,) = self.folder.glob("*.tfrecord")
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)

    with self.assertRaisesRegex(errors.StudyError, "its recorded digest"):
      self.read()


if __name__ == "__main__":
  absltest.main()
