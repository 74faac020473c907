"""Resizing: the shorter side, then the centre, in whole pixel values."""

from absl.testing import absltest
import numpy as np

from memo_tf.data import resizing


class ResizingTest(absltest.TestCase):
  def test_the_shorter_side_then_the_centre(self):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = 200  # the middle half

    found = resizing.resize(image, 10)

    self.assertEqual(found.shape, (10, 10, 3))
    self.assertEqual(found.dtype, np.uint8)
    self.assertTrue((found[:, 1:-1] == 200).all())

  def test_constant_images_stay_constant_in_16_bit(self):
    image = np.full((9, 7, 1), 60_000, np.uint16)

    for size in (8, 7, 5, 30):
      found = resizing.resize(image, size)
      self.assertEqual(found.shape, (size, size, 1))
      self.assertTrue((found == 60_000).all())


if __name__ == "__main__":
  absltest.main()
