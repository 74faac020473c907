"""Encodings of an image: lossless but JPEG, which is close."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from memo_tf.data import encoding

RNG = np.random.default_rng(0)


class EncodingTest(parameterized.TestCase):
  @parameterized.product(
    kind=["raw", "png"], dtype=[np.uint8, np.uint16], channels=[1, 3, 4]
  )
  def test_lossless(self, kind, dtype, channels):
    image = RNG.integers(0, np.iinfo(dtype).max, (6, 5, channels), dtype)

    content = encoding.encode(image, kind)
    found = encoding.decode(
      tf.constant(content), kind, image.shape, image.dtype.name
    )

    self.assertEqual(found.dtype, tf.as_dtype(dtype))
    np.testing.assert_array_equal(found, image)

  def test_a_better_quality_is_nearer(self):
    ramp = np.linspace(0, 255, 40 * 40 * 3).reshape(40, 40, 3).astype(np.uint8)
    errors = []

    for quality in (10, 95):
      content = encoding.encode(ramp, "jpeg", quality)
      found = encoding.decode(tf.constant(content), "jpeg", ramp.shape, "uint8")
      errors.append(np.abs(found.numpy().astype(int) - ramp).mean())

    self.assertLess(errors[1], 2.0)
    self.assertLess(errors[1], errors[0])

  @parameterized.parameters((np.uint16, 3), (np.uint8, 4))
  def test_what_jpeg_cannot_hold(self, dtype, channels):
    with self.assertRaisesRegex(ValueError, "8 bits with 1 or 3 channels"):
      encoding.encode(np.zeros((8, 8, channels), dtype), "jpeg")

  def test_another_shape_is_an_error(self):
    content = encoding.encode(np.zeros((4, 5, 3), np.uint8), "png")

    with self.assertRaises((ValueError, tf.errors.InvalidArgumentError)):
      encoding.decode(tf.constant(content), "png", (5, 5, 3), "uint8")


if __name__ == "__main__":
  absltest.main()
