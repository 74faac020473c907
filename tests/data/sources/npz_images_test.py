"""Images of arrays keep their pixels, whatever their type and scale."""

import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.data.sources import npz_images

RNG = np.random.default_rng(0)
# Grey images; what is refused is in `npz_test`.
PIXELS = {
  "train_images": RNG.integers(0, 256, (20, 8, 8), np.uint8),
  "test_images": RNG.integers(0, 256, (8, 8, 8), np.uint8),
}


def images(content: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  return npz_images.images(content, pathlib.Path("mine.npz"), False)


class NpzImagesTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("whole numbers", lambda x: x.astype(np.int64), 1),
    ("whole floats", lambda x: x.astype(np.float32), 1),
    ("fractions", lambda x: x / 255.0, 1),
    ("fractions from -1", lambda x: x / 127.5 - 1, 1),
    ("16 bits", lambda x: x.astype(np.uint16) * 257, 257),
  )
  def test_pixels_of_other_types(self, change, factor):
    found = images({name: change(pixels) for name, pixels in PIXELS.items()})

    for split, pixels in found.items():
      np.testing.assert_array_equal(
        pixels[..., 0], PIXELS[f"{split}_images"].astype(int) * factor
      )

  def test_fractions_of_which_one_split_has_0_and_1_only_are_fractions(self):
    found = images(
      {
        "train_images": np.full((20, 8, 8), 0.5),
        "test_images": np.ones((8, 8, 8)),
      }
    )

    self.assertEqual(found["train"].max(), 128)
    self.assertEqual(found["test"].min(), 255)

  def test_without_test_images_there_are_none(self):
    found = images({"train_images": PIXELS["train_images"] / 255.0})

    self.assertEqual(found["test"].shape, (0, 8, 8, 1))
    self.assertEqual(found["test"].dtype, np.uint8)


if __name__ == "__main__":
  absltest.main()
