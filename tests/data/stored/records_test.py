"""The index of a split's files: what is asked for is read, and no other."""

import json
import os
from unittest import mock

from absl.testing import absltest
import numpy as np

from memo_tf.data.sources import load
from memo_tf.data.stored import reader
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from tests.support import stored_data_sets
from tests.support import stored_images


class RecordsTest(absltest.TestCase):
  def test_a_damaged_index_is_named(self):
    directory, info = stored_data_sets.write(
      self, settings_lib.DataConfig(image_encoding="raw")
    )
    self.assertEqual(info["encoding"]["kind"], "raw")
    np.testing.assert_array_equal(
      reader.read_dataset(directory, stored_data_sets.STREAM).train_images[7:9],
      load.load(settings_lib.DataConfig()).train_images[7:9],
    )
    path = directory.dataset_dir / "shards/train-index.npy"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)

    with self.assertRaisesRegex(errors.StudyError, "index.npy"):
      reader.read_dataset(directory, stored_data_sets.STREAM)

    self.assertIn("shards/train-index.npy", json.dumps(info["files"]))

  def test_only_what_is_asked_for_is_read_and_decoded(self):
    stored = stored_images.store(self)
    broken = {4, 17, 60}
    content = bytearray(stored_images.shard_of(stored).read_bytes())
    for n in broken:
      row = stored.records._index[n]
      start, length = int(row["offset"]), int(row["length"])
      content[start : start + length] = bytes(length)
    stored_images.shard_of(stored).write_bytes(content)
    rest = np.array([n for n in range(stored_images.COUNT) if n not in broken])
    stored = stored_images.open_stored(
      stored_images.shard_of(stored).parent, "png", stored_images.SHAPE
    )

    read = []
    original = os.pread
    with mock.patch.object(
      os, "pread", lambda f, n, o: read.append(n) or original(f, n, o)
    ):
      parts = list(stored.batches(rest.reshape(-1, 3)))

    np.testing.assert_array_equal(
      np.concatenate(parts), stored_images.IMAGES[rest]
    )
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
      np.concatenate(list(stored.batches(rest[None, :6]))),
      stored_images.IMAGES[rest[:6]],
    )

  def test_a_truncated_shard_is_named(self):
    stored = stored_images.store(self)
    os.truncate(
      stored_images.shard_of(stored),
      stored_images.shard_of(stored).stat().st_size - 200,
    )
    last = int(np.argmax(stored.records._index["offset"]))

    with self.assertRaisesRegex(errors.StudyError, "ends before"):
      list(stored.batches(np.array([[last]])))


if __name__ == "__main__":
  absltest.main()
