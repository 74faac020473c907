"""Sheets: each cell is its image."""

import io

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from PIL import Image

from memo_tf.report import sprites


def pixels(content: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


class SpritesTest(parameterized.TestCase):
  def test_a_cell_is_its_image(self):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, 4, 6, 3), np.uint8)
    order = np.array([5, 0, 3, 6, 1])

    found = sprites.sheets(images, order, 255)

    self.assertLen(found.contents, 1)
    self.assertEqual((found.height, found.width), (4, 6))
    sheet = pixels(found.contents[0])
    for slot, n in enumerate(order):
      row, column = divmod(slot, found.columns)
      cell = sheet[4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
      np.testing.assert_array_equal(cell, images[n])

  def test_more_than_a_sheet(self):
    images = np.zeros((1030, 2, 2, 1), np.uint8)
    images[1025] = 200

    found = sprites.sheets(images, np.arange(1030), 255)

    self.assertLen(found.contents, 2)
    row, column = divmod(1025 - found.cells, found.columns)
    sheet = pixels(found.contents[1])
    self.assertEqual(sheet.shape[:2], (2 * found.rows, 2 * found.columns))
    self.assertEqual(sheet[2 * row, 2 * column, 0], 200)

  @parameterized.parameters((1, 15), (3, 255), (4, 65535), (2, 255))
  def test_any_channels_and_depth(self, channels, max_pixel):
    image = np.full((4, 4, channels), max_pixel)
    image[0, 0] = 0

    found = pixels(sprites.single(image, max_pixel))

    self.assertEqual(found[3, 3].tolist(), [255, 255, 255])

  def test_large_images_are_shrunk_in_their_proportions(self):
    image = np.zeros((300, 150, 3), np.uint8)

    self.assertEqual(pixels(sprites.single(image, 255)).shape, (64, 32, 3))

  def test_many_pixels_are_not_kept_exactly_but_nearly(self):
    grid = np.linspace(0, 200, 64)
    smooth = (grid[:, None] + grid[None] / 4).astype(np.uint8)
    images = np.tile(smooth[None, ..., None], (400, 1, 1, 3))

    found = sprites.sheets(images, np.arange(400), 255)

    self.assertLess(len(found.contents[0]), 400 * 64 * 64 * 3 / 20)
    cell = pixels(found.contents[0])[:64, :64].astype(int)
    self.assertLess(np.abs(cell[..., 0] - smooth).mean(), 4)


if __name__ == "__main__":
  absltest.main()
