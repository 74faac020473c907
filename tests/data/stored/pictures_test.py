"""images.npy and thumbnails.npy: written row by row, by hand."""

import pathlib

from absl.testing import absltest
import numpy as np

from memo_tf.data.stored import pictures


class PicturesTest(absltest.TestCase):
  def write(self, images: np.ndarray, picture) -> np.ndarray:
    """The rows of a file that is written in reverse order."""
    path = pathlib.Path(self.create_tempdir().full_path, "x.npy")
    writer = pictures.Writer(path, len(images), images[0], picture)
    for row in reversed(range(len(images))):
      writer.write(row, images[row])
    writer.close()
    np.testing.assert_array_equal(np.load(path), writer.read())
    return writer.read()

  def test_all_pixels(self):
    images = np.random.default_rng(0).integers(0, 2**16, (5, 3, 4, 2))
    images = images.astype(np.uint16)

    found = self.write(images, pictures.unchanged)

    self.assertEqual(found.dtype, np.uint16)
    np.testing.assert_array_equal(found, images)

  def test_thumbnails_are_means_of_blocks(self):
    # 96 rows become 48, each the mean of two; 3 columns stay.
    rows = np.repeat(np.arange(96), 3).reshape(1, 96, 3, 1)
    images = np.concatenate([2 * rows, rows]).astype(np.uint8)

    found = self.write(images, pictures.thumbnail)

    self.assertEqual((found.shape, found.dtype), ((2, 48, 3, 1), np.uint8))
    # Rows 0 and 1 of the first image are 0 and 2, then 4 and 6, ...
    np.testing.assert_array_equal(found[0, :, 0, 0], np.arange(48) * 4 + 1)

  def test_small_images_are_their_own_thumbnails(self):
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 7, 3), np.uint8)

    np.testing.assert_array_equal(
      self.write(images, pictures.thumbnail), images
    )


if __name__ == "__main__":
  absltest.main()
