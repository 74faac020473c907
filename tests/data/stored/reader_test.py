"""`dataset/` read back: by id, shared by processes, checked."""

import pathlib

from absl.testing import absltest
import numpy as np

from memo_tf.data import pipeline
from memo_tf.data.stored import reader
from memo_tf.data.stored import writer
from memo_tf.experiment import errors
from memo_tf.experiment import settings as settings_lib
from memo_tf.store import dataset_info
from memo_tf.store import directory as directory_lib
from memo_tf.store import sealed
from tests.support import small_data


class ReaderTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.create_tempdir().full_path)
    self.directory = directory_lib.StudyDirectory(root)

  def test_what_was_written_is_read_back_by_id(self):
    data = small_data.digits()
    info = writer.write_dataset(data, small_data.config(0.0), self.directory)

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
    data = small_data.digits()
    writer.write_dataset(data, small_data.config(0.0), self.directory)

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

  def test_pixels_that_were_stored_before_there_was_an_index(self):
    data = small_data.digits()
    writer.write_dataset(data, small_data.config(0.2), self.directory)
    new = reader.read_dataset(self.directory)
    path = self.directory.dataset_dir / "info.json"
    info = sealed.loads(path.read_bytes())
    for split in ("train", "test"):
      del info["files"][f"shards/{split}-index.npy"]
      (self.directory.dataset_dir / f"shards/{split}-index.npy").unlink()
    path.write_text(sealed.dumps(info))

    for storage in ("memory", "stream"):
      old = reader.read_dataset(
        self.directory, settings_lib.RunningConfig(storage=storage)
      )
      self.assertEqual(old.digest, new.digest)
      for name in ("train_images", "test_images"):
        np.testing.assert_array_equal(
          getattr(old, name)[:], getattr(data, name)
        )
      np.testing.assert_array_equal(old.train_labels, new.train_labels)
      np.testing.assert_array_equal(old.test_labels, data.test_labels)

  def test_images_of_another_shape_are_refused(self):
    writer.write_dataset(
      small_data.digits(), small_data.config(), self.directory
    )
    path = self.directory.dataset_dir / "info.json"
    info = sealed.loads(path.read_bytes())
    path.write_text(sealed.dumps({**info, "image_shape": [4, 16, 1]}))

    with self.assertRaisesRegex(errors.StudyError, r"\(57, 8, 8, 1\) instead"):
      reader.read_dataset(self.directory)

  def test_a_wrong_content_with_the_right_files_is_refused(self):
    writer.write_dataset(
      small_data.digits(), small_data.config(), self.directory
    )
    path = self.directory.dataset_dir / "info.json"
    text = path.read_text()
    digest = dataset_info.read_info(self.directory)["digest"]
    path.write_text(text.replace(digest, "0" * 32))

    with self.assertRaisesRegex(errors.StudyError, "info.json"):
      reader.read_dataset(self.directory)


if __name__ == "__main__":
  absltest.main()
