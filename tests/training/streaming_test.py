"""Images on disk: the same batches as from memory, and no others decoded."""

import os
import pathlib
import resource
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from memo_tf.data import augmentation
from memo_tf.data import encoding
from memo_tf.data.stored import images as images_lib
from memo_tf.data.stored import records as records_lib
from memo_tf.data.stored import shards
from memo_tf.experiment import errors
from memo_tf.experiment import recipes
from memo_tf.experiment import settings as settings_lib
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

RNG = np.random.default_rng(0)
COUNT, SHAPE = 90, (12, 10, 3)
IMAGES = RNG.integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
LABELS = RNG.integers(0, 4, COUNT).astype(np.int32)


def store(test, kind: str = "png", images=IMAGES) -> images_lib.StoredImages:
  """Images written to shards, in a random order, and opened again."""
  folder = pathlib.Path(test.create_tempdir().full_path, "shards")
  folder.mkdir()
  with shards.Writer(folder, "train", len(images)) as writer:
    for n in RNG.permutation(len(images)):
      content = encoding.encode(images[n], kind)
      writer.add(int(n), int(LABELS[n % COUNT]), content)
    writer.finish()
  return open_stored(folder, kind, images.shape[1:])


def open_stored(folder, kind, shape) -> images_lib.StoredImages:
  index = np.load(folder / "train-index.npy")
  paths = sorted(folder.glob("*.tfrecord"))
  found = records_lib.Records(index, paths)
  return images_lib.StoredImages(found, kind, shape)


def shard_of(stored: images_lib.StoredImages) -> pathlib.Path:
  return stored.records._paths[0]


class StoredImagesTest(parameterized.TestCase):
  @parameterized.parameters("raw", "png")
  def test_batches_are_those_of_memory_in_any_order(self, kind):
    stored = store(self, kind)
    order = RNG.permutation(COUNT)[:84].reshape(12, 7)

    with mock.patch.object(images_lib, "CHUNK_BYTES", 5 * 7 * 360):
      parts = list(stored.batches(order))

    self.assertEqual([len(part) for part in parts], [35, 35, 14])
    np.testing.assert_array_equal(np.concatenate(parts), IMAGES[order.ravel()])
    self.assertEqual(parts[0].dtype, tf.uint8)
    again = np.concatenate(list(stored.batches(order[:2])))
    np.testing.assert_array_equal(again, IMAGES[order[:2].ravel()])

  def test_it_stands_for_an_array(self):
    stored = store(self)

    self.assertEqual(stored.shape, IMAGES.shape)
    self.assertLen(stored, COUNT)
    self.assertEqual(stored.dtype, np.uint8)
    np.testing.assert_array_equal(stored[5:9], IMAGES[5:9])
    np.testing.assert_array_equal(stored[[7, 3]], IMAGES[[7, 3]])
    np.testing.assert_array_equal(stored.in_memory(), IMAGES)

  def test_shards_are_plain_tfrecords(self):
    stored = store(self)
    spec = {
      "id": tf.io.FixedLenFeature([], tf.int64),
      "label": tf.io.FixedLenFeature([], tf.int64),
      "image": tf.io.FixedLenFeature([], tf.string),
    }

    seen = set()
    for record in tf.data.TFRecordDataset(str(shard_of(stored))):
      parsed = tf.io.parse_single_example(record, spec)
      n = int(parsed["id"])
      seen.add(n)
      self.assertEqual(int(parsed["label"]), LABELS[n])
      np.testing.assert_array_equal(
        tf.io.decode_png(parsed["image"]), IMAGES[n]
      )

    self.assertEqual(seen, set(range(COUNT)))

  def test_many_shards(self):
    with mock.patch("memo_tf.data.stored.shards.SHARD_BYTES", 5000):
      stored = store(self, "raw")

    names = sorted(path.name for path in shard_of(stored).parent.iterdir())
    self.assertEqual(names[0], f"train-00000-of-{len(names) - 1:05d}.tfrecord")
    self.assertGreater(len(names), 5)
    np.testing.assert_array_equal(stored[:], IMAGES)

  def test_only_what_is_asked_for_is_read_and_decoded(self):
    stored = store(self)
    broken = {4, 17, 60}
    content = bytearray(shard_of(stored).read_bytes())
    for n in broken:
      row = stored.records._index[n]
      start, length = int(row["offset"]), int(row["length"])
      content[start : start + length] = bytes(length)
    shard_of(stored).write_bytes(content)
    rest = np.array([n for n in range(COUNT) if n not in broken])
    stored = open_stored(shard_of(stored).parent, "png", SHAPE)

    read = []
    original = os.pread
    with mock.patch.object(
      os, "pread", lambda f, n, o: read.append(n) or original(f, n, o)
    ):
      parts = list(stored.batches(rest.reshape(-1, 3)))

    np.testing.assert_array_equal(np.concatenate(parts), IMAGES[rest])
    self.assertLen(read, len(rest))
    expected = stored.records._index["length"][rest].sum()
    self.assertEqual(sum(read), expected)
    for n in broken:
      with self.assertRaisesRegex(
        errors.StudyError,
        rf"train-00000-of-00001.tfrecord is damaged: the image of example {n} "
        r".*move the folder .* away",
      ):
        list(stored.batches(np.array([[0, n]])))
    # It goes on after an error.
    np.testing.assert_array_equal(
      np.concatenate(list(stored.batches(rest[None, :6]))), IMAGES[rest[:6]]
    )

  def test_a_truncated_shard_is_named(self):
    stored = store(self)
    os.truncate(shard_of(stored), shard_of(stored).stat().st_size - 200)
    last = int(np.argmax(stored.records._index["offset"]))

    with self.assertRaisesRegex(errors.StudyError, "ends before"):
      list(stored.batches(np.array([[last]])))

  def test_an_example_that_was_not_written_is_an_error(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    with shards.Writer(folder, "train", 3) as writer:
      writer.add(0, 1, b"x")
      writer.add(2, 1, b"y")
      with self.assertRaisesRegex(ValueError, "train example 1"):
        writer.finish()

  def test_memory_is_that_of_some_batches(self):
    # 300 MB decoded, of which a pass may hold a few batches of 2.4 MB.
    picture = RNG.integers(0, 256, (16, 160, 160, 3)).astype(np.uint8)
    stored = store(self, "raw", picture)
    order = RNG.integers(0, 16, (128, 32))
    list(stored.batches(order[:16]))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(len(part) for part in stored.batches(order))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    self.assertEqual(count * picture[0].nbytes, 4096 * 76_800)
    self.assertLess((after - before) / 1024, 150)


def make_trainer(**changes) -> trainer_lib.Trainer:
  settings = {"batch_size": 8, "epochs": 2, **changes}
  return trainer_lib.Trainer(
    "cifar_resnet-8-w0.25",
    recipes.parse("one_hot", settings_lib.TrainingConfig(**settings)),
    image_shape=SHAPE,
    num_classes=4,
    mean=np.full(3, 120, np.float32),
    std=np.full(3, 70, np.float32),
    strategy=distribution.one_device(),
  )


class TrainingTest(absltest.TestCase):
  def test_weights_and_logits_are_those_of_memory_to_the_bit(self):
    stored, labels = store(self), tf.constant(LABELS)
    order = RNG.permutation(COUNT)[:88].reshape(11, 8).astype(np.int32)
    rates = np.linspace(0.1, 0.01, 11).astype(np.float32)
    views = augmentation.views(COUNT, seed=0, family="f", index=0, epoch=0)
    trainer = make_trainer(augmentation="pad_crop_flip")
    found = []

    for images in (tf.constant(IMAGES), stored):
      trainer.initialize(0, "unit")
      with mock.patch.object(images_lib, "CHUNK_BYTES", 3 * 8 * 360):
        told = [
          trainer.train_epoch(images, labels, order, rates, views[order])
          for _ in range(2)
        ]
      state = trainer.state()
      found.append([*state.values(), trainer.predict(images), np.array(told)])

    for one, other in zip(*found):
      np.testing.assert_array_equal(one, other)
    self.assertEqual(trainer._epoch.experimental_get_tracing_count(), 1)

  def test_every_image_is_predicted_once_in_order_of_id(self):
    images = RNG.integers(0, 256, (600, *SHAPE)).astype(np.uint8)
    trainer = make_trainer()
    trainer.initialize(0, "unit")

    for count in (1, 255, 256, 600):
      logits = trainer.predict(store(self, "raw", images[:count]))

      self.assertEqual(logits.shape, (count, 4))
      np.testing.assert_array_equal(
        logits, trainer.predict(tf.constant(images[:count]))
      )


if __name__ == "__main__":
  absltest.main()
