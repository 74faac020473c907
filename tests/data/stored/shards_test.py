"""TFRecord shards: written once with ids, read back by id, checked."""

import dataclasses
import json
import pathlib
import random
from unittest import mock

from absl.testing import absltest
import numpy as np
import pandas as pd
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.data.sources import bundled
from memo_tf.data.sources import image_source
from memo_tf.data.sources import load
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import normalization
from memo_tf.data.stored import reader
from memo_tf.data.stored import shards
from memo_tf.data.stored import subsets as subset_shards
from memo_tf.data.stored import writer
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib


def small_config(noise: float = 0.2) -> config_lib.StudyConfig:
  return config_lib.StudyConfig(data=settings_lib.DataConfig(label_noise=noise))


def small_dataset() -> image_source.ImageDataset:
  whole = load.load(settings_lib.DataConfig())
  return dataclasses.replace(
    whole,
    train_images=whole.train_images[:50],
    train_labels=whole.train_labels[:50],
    test_images=whole.test_images[:7],
    test_labels=whole.test_labels[:7],
  )


class ShardsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)

  def test_what_was_written_is_read_back_by_id(self):
    data = small_dataset()
    info = writer.write_dataset(data, small_config(0.0), self.directory)

    arrays = reader.read_dataset(self.directory)

    np.testing.assert_array_equal(arrays.train_images, data.train_images)
    np.testing.assert_array_equal(arrays.train_labels, data.train_labels)
    np.testing.assert_array_equal(arrays.test_images, data.test_images)
    np.testing.assert_array_equal(arrays.test_labels, data.test_labels)
    self.assertEqual(arrays.num_classes, 10)
    self.assertEqual((info["num_train"], info["num_test"]), (50, 7))
    images = np.load(self.directory.dataset_dir / "images.npy")
    np.testing.assert_array_equal(images[50:], data.test_images)

  def test_processes_share_the_images_of_one_file(self):
    data = small_dataset()
    writer.write_dataset(data, small_config(0.0), self.directory)

    arrays = reader.read_dataset(self.directory)
    tensor = pipeline.on_device(arrays.train_images)

    path = (self.directory.dataset_dir / "images.npy").resolve()
    address = arrays.train_images.ctypes.data
    mapped = [
      line
      for line in open("/proc/self/maps")
      if line.rstrip().endswith(str(path))
    ]
    ranges = [
      [int(end, 16) for end in line.split()[0].split("-")] for line in mapped
    ]
    self.assertTrue(any(low <= address < high for low, high in ranges))
    arrays.train_images[0, 0, 0, 0] = 77  # this process only
    self.assertEqual(int(tensor[0, 0, 0, 0]), 77)
    np.testing.assert_array_equal(np.load(path)[:50], data.train_images)

  def test_without_images_npy_a_worker_reads_its_own_copy(self):
    data = small_dataset()
    writer.write_dataset(data, small_config(0.0), self.directory)
    path = self.directory.dataset_dir / "info.json"
    info = json.loads(path.read_text())
    del info["files"]["images.npy"]
    path.write_text(json.dumps(info))
    (self.directory.dataset_dir / "images.npy").unlink()

    arrays = reader.read_dataset(self.directory)

    np.testing.assert_array_equal(arrays.train_images, data.train_images)

  def test_shards_with_other_images_than_images_npy_are_refused(self):
    data = small_dataset()
    for ids in (np.arange(50)[::-1], np.arange(50) + 1):
      paths = shards.write_shards(
        self.directory.root, "train", ids, data.train_labels, data.train_images
      )
      with self.assertRaisesRegex(errors.StudyError, "images.npy"):
        shards.read_shards(paths, (8, 8, 1), 50, shared=data.train_images)

    paths = shards.write_shards(
      self.directory.root,
      "train",
      np.arange(50)[::-1],
      data.train_labels[::-1],
      data.train_images[::-1],
    )
    found, labels, images = shards.read_shards(
      paths, (8, 8, 1), 50, shared=data.train_images
    )
    np.testing.assert_array_equal(found, np.arange(50))
    np.testing.assert_array_equal(labels, data.train_labels)
    self.assertIs(images, data.train_images)

  def test_records_in_any_order_and_many_shards_come_back_in_order(self):
    data = small_dataset()
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

    self.assertLen(paths, 4)  # 3,200 bytes of pixels
    self.assertEqual(paths[3].name, "train-00003-of-00004.tfrecord")
    np.testing.assert_array_equal(found, np.arange(50))
    np.testing.assert_array_equal(labels, data.train_labels)
    np.testing.assert_array_equal(images, data.train_images)

  def test_records_hold_id_label_and_pixels(self):
    data = small_dataset()
    writer.write_dataset(data, small_config(0.0), self.directory)
    path = self.directory.dataset_dir / "shards/train-00000-of-00001.tfrecord"

    first = next(iter(tf.data.TFRecordDataset(str(path)).skip(3)))
    feature = tf.train.Example.FromString(first.numpy()).features.feature

    self.assertEqual(feature["id"].int64_list.value, [3])
    self.assertEqual(feature["label"].int64_list.value, [data.train_labels[3]])
    self.assertEqual(
      feature["image"].bytes_list.value[0], data.train_images[3].tobytes()
    )

  def test_an_id_that_comes_twice_is_refused(self):
    data = small_dataset()
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
    data = small_dataset()
    paths = shards.write_shards(
      self.directory.root,
      "train",
      np.arange(3),
      data.train_labels[:3],
      data.train_images[:3],
    )

    for count in (2, 4):
      with self.assertRaisesRegex(errors.StudyError, f"do not hold {count}"):
        shards.read_shards(paths, (8, 8, 1), count)

  def test_images_become_a_tensor_without_a_copy(self):
    images = images_lib.aligned_empty((3, 8, 8, 1))
    images[:] = 1

    tensor = pipeline.on_device(images)
    images[0, 0, 0, 0] = 7

    self.assertEqual((tensor.dtype, tensor.shape), (tf.uint8, (3, 8, 8, 1)))
    self.assertEqual(int(tensor[0, 0, 0, 0]), 7)
    # Memory that begins elsewhere is copied.
    odd = np.ones(193, np.uint8)[1:].reshape(3, 8, 8, 1)
    np.testing.assert_array_equal(pipeline.on_device(odd), odd)

  def test_examples_table_records_what_was_planted(self):
    data = small_dataset()
    writer.write_dataset(data, small_config(0.2), self.directory)

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
    data = small_dataset()
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

  def test_with_nothing_appended_the_content_is_that_of_version_0_1(self):
    info = writer.write_dataset(
      load.load(settings_lib.DataConfig()),
      small_config(0.1),
      self.directory,
    )

    # As written before anything but wrong labels could be planted.
    self.assertEqual(info["digest"], "018c8daaceac7bba184d790761c0f91f")
    self.assertEqual(info["planted"], {"wrong_label": 150})

  def test_duplicates_that_are_not_looked_for_leave_no_column(self):
    config = config_lib.StudyConfig(
      data=settings_lib.DataConfig(find_duplicates="off")
    )
    info = writer.write_dataset(small_dataset(), config, self.directory)

    table = pd.read_parquet(self.directory.dataset_dir / "examples.parquet")
    self.assertNotIn("duplicate_of_train", table.columns)
    self.assertNotIn("near_duplicate_of_train", table.columns)
    self.assertEqual(info["duplicates"], {})

  def test_a_wrong_content_with_the_right_files_is_refused(self):
    writer.write_dataset(small_dataset(), small_config(), self.directory)
    path = self.directory.dataset_dir / "info.json"
    text = path.read_text()
    digest = dataset_info.read_info(self.directory)["digest"]
    path.write_text(text.replace(digest, "0" * 32))

    with self.assertRaisesRegex(errors.StudyError, "info.json"):
      reader.read_dataset(self.directory)

  def test_a_failed_write_leaves_nothing(self):
    with mock.patch.object(
      shards, "write_shards", side_effect=OSError(28, "No space")
    ):
      with self.assertRaises(OSError):
        writer.write_dataset(small_dataset(), small_config(), self.directory)

    self.assertEmpty(list(self.directory.root.iterdir()))

  def test_normalization_by_hand(self):
    images = np.array([0, 2, 4, 6], np.uint8).reshape(2, 1, 1, 2)

    found = normalization.normalization(images)

    # Channel 0 holds 0 and 4, channel 1 holds 2 and 6.
    self.assertEqual(found, {"mean": [2.0, 4.0], "std": [2.0, 2.0]})
    constant = normalization.normalization(np.full((3, 2, 2, 1), 7, np.uint8))
    self.assertEqual(constant, {"mean": [7.0], "std": [1.0]})

  def test_materialized_subset_holds_the_subset(self):
    writer.write_dataset(small_dataset(), small_config(), self.directory)
    arrays = reader.read_dataset(self.directory)
    mask = np.random.default_rng(0).random(50) < 0.7
    ids = np.flatnonzero(mask)
    subset_shards.materialize(arrays, mask, self.directory, "r0.70", 4)

    images, labels = subset_shards.read(
      self.directory, "r0.70", 4, ids, (8, 8, 1)
    )

    np.testing.assert_array_equal(images, arrays.train_images[ids])
    np.testing.assert_array_equal(labels, arrays.train_labels[ids])
    with self.assertRaisesRegex(errors.StudyError, "subset 4"):
      others = np.flatnonzero(np.roll(mask, 1))
      subset_shards.read(self.directory, "r0.70", 4, others, (8, 8, 1))


class DigitsTest(absltest.TestCase):
  def test_the_documented_split_of_real_digits(self):
    from sklearn import datasets as sklearn_datasets

    raw = sklearn_datasets.load_digits()
    data = load.load(settings_lib.DataConfig())

    self.assertEqual(data.train_images.shape, (1500, 8, 8, 1))
    self.assertEqual(data.test_images.shape, (297, 8, 8, 1))
    np.testing.assert_array_equal(data.train_images[7, :, :, 0], raw.images[7])
    np.testing.assert_array_equal(data.test_labels, raw.target[1500:])
    self.assertEqual(data.train_images.max(), data.max_pixel)

  def test_every_dataset_name_has_a_loader(self):
    self.assertEqual(set(bundled.LOADERS), set(config_lib.BUNDLED_DATASETS))


if __name__ == "__main__":
  absltest.main()
