"""TFRecord shards: written with ids, read back in order of id, checked."""

import pathlib
import random
from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from memo_tf.data.stored import shards
from memo_tf.data.stored import writer
from memo_tf.experiment import errors
from memo_tf.store import directory as directory_lib
from tests.support import small_data


class ShardsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)

  def test_records_in_any_order_and_many_shards_come_back_in_order(self):
    data = small_data.digits()
    ids = np.arange(50)
    random.Random(0).shuffle(ids)
    with mock.patch.object(shards, "SHARD_BYTES", 1000):
      paths = shards.write_shards(
        self.directory.root,
        "train",
        ids,
        data.train_labels[ids],
        data.train_images[ids],
      )

    found, labels, images = shards.read_shards(paths, (8, 8, 1), 50)

    # 3,200 bytes of pixels, and what is around them in each record.
    self.assertBetween(len(paths), 4, 9)
    self.assertEqual(paths[3].name, f"train-00003-of-{len(paths):05d}.tfrecord")
    np.testing.assert_array_equal(found, np.arange(50))
    np.testing.assert_array_equal(labels, data.train_labels)
    np.testing.assert_array_equal(images, data.train_images)

  def test_records_hold_id_label_and_pixels(self):
    data = small_data.digits()
    writer.write_dataset(data, small_data.config(0.0), self.directory)
    path = self.directory.dataset_dir / "shards/train-00000-of-00001.tfrecord"

    first = next(iter(tf.data.TFRecordDataset(str(path)).skip(3)))
    feature = tf.train.Example.FromString(first.numpy()).features.feature

    self.assertEqual(feature["id"].int64_list.value, [3])
    self.assertEqual(feature["label"].int64_list.value, [data.train_labels[3]])
    self.assertEqual(
      feature["image"].bytes_list.value[0], data.train_images[3].tobytes()
    )

  def test_an_id_that_comes_twice_is_refused(self):
    data = small_data.digits()
    paths = shards.write_shards(
      self.directory.root,
      "train",
      np.array([0, 1, 1]),
      data.train_labels[:3],
      data.train_images[:3],
    )

    with self.assertRaisesRegex(errors.StudyError, "twice"):
      shards.read_shards(paths, (8, 8, 1), 3)

  def test_missing_and_surplus_records_are_refused(self):
    data = small_data.digits()
    paths = shards.write_shards(
      self.directory.root,
      "train",
      np.arange(3),
      data.train_labels[:3],
      data.train_images[:3],
    )

    for count in (2, 4):
      with self.assertRaisesRegex(
        errors.StudyError, f"must hold {count} .*Received: 3"
      ):
        shards.read_shards(paths, (8, 8, 1), count)

  def test_an_example_that_was_not_written_is_an_error(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    with shards.Writer(folder, "train", 3) as open_shards:
      open_shards.add(0, 1, b"x")
      open_shards.add(2, 1, b"y")
      with self.assertRaisesRegex(ValueError, "train example 1"):
        open_shards.finish()


if __name__ == "__main__":
  absltest.main()
