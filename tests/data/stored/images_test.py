"""Images on disk: they stand for an array, and yield batches in any order."""

import resource
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from memo_tf.data.stored import images as images_lib
from tests.support import stored_images


class StoredImagesTest(parameterized.TestCase):
  @parameterized.parameters("raw", "png")
  def test_batches_are_those_of_memory_in_any_order(self, kind):
    stored = stored_images.store(self, kind)
    order = stored_images.RNG.permutation(stored_images.COUNT)[:84].reshape(
      12, 7
    )

    with mock.patch.object(images_lib, "CHUNK_BYTES", 5 * 7 * 360):
      parts = list(stored.batches(order))

    self.assertEqual([len(part) for part in parts], [35, 35, 14])
    np.testing.assert_array_equal(
      np.concatenate(parts), stored_images.IMAGES[order.ravel()]
    )
    self.assertEqual(parts[0].dtype, tf.uint8)
    again = np.concatenate(list(stored.batches(order[:2])))
    np.testing.assert_array_equal(
      again, stored_images.IMAGES[order[:2].ravel()]
    )

  def test_it_stands_for_an_array(self):
    stored = stored_images.store(self)

    self.assertEqual(stored.shape, stored_images.IMAGES.shape)
    self.assertLen(stored, stored_images.COUNT)
    self.assertEqual(stored.dtype, np.uint8)
    np.testing.assert_array_equal(stored[5:9], stored_images.IMAGES[5:9])
    np.testing.assert_array_equal(stored[[7, 3]], stored_images.IMAGES[[7, 3]])
    np.testing.assert_array_equal(stored.in_memory(), stored_images.IMAGES)

  def test_shards_are_plain_tfrecords(self):
    stored = stored_images.store(self)
    spec = {
      "id": tf.io.FixedLenFeature([], tf.int64),
      "label": tf.io.FixedLenFeature([], tf.int64),
      "image": tf.io.FixedLenFeature([], tf.string),
    }

    seen = set()
    for record in tf.data.TFRecordDataset(str(stored_images.shard_of(stored))):
      parsed = tf.io.parse_single_example(record, spec)
      n = int(parsed["id"])
      seen.add(n)
      self.assertEqual(int(parsed["label"]), stored_images.LABELS[n])
      np.testing.assert_array_equal(
        tf.io.decode_png(parsed["image"]), stored_images.IMAGES[n]
      )

    self.assertEqual(seen, set(range(stored_images.COUNT)))

  def test_many_shards(self):
    with mock.patch("memo_tf.data.stored.shards.SHARD_BYTES", 5000):
      stored = stored_images.store(self, "raw")

    names = sorted(
      path.name for path in stored_images.shard_of(stored).parent.iterdir()
    )
    self.assertEqual(names[0], f"train-00000-of-{len(names) - 1:05d}.tfrecord")
    self.assertGreater(len(names), 5)
    np.testing.assert_array_equal(stored[:], stored_images.IMAGES)

  def test_memory_is_that_of_some_batches(self):
    # 300 MB decoded, of which a pass may hold a few batches of 2.4 MB.
    picture = stored_images.RNG.integers(0, 256, (16, 160, 160, 3)).astype(
      np.uint8
    )
    stored = stored_images.store(self, "raw", picture)
    order = stored_images.RNG.integers(0, 16, (128, 32))
    list(stored.batches(order[:16]))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(len(part) for part in stored.batches(order))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    self.assertEqual(count * picture[0].nbytes, 4096 * 76_800)
    self.assertLess((after - before) / 1024, 150)


if __name__ == "__main__":
  absltest.main()
