"""Every family at its smallest allowed image, and a pixel below it."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import models
from memo_tf.experiment import model_names

SMALLEST = {
  "cifar_resnet-8": 8,
  "cifar_resnet-8-v2-shortcutB": 8,
  "mobilenet_v3_large-0.25": 8,
  "mobilenet_v3_small-0.25": 8,
  "resnet-18-w0.125": 32,
}


class SmallestImagesTest(parameterized.TestCase):
  def test_every_family_is_here(self):
    families = {model_names.parse(name).family for name in SMALLEST}

    self.assertEqual(families, set(models.list_models()))

  @parameterized.parameters(*SMALLEST.items())
  def test_at_the_smallest_images_depend_on_every_quarter(self, name, size):
    model = models.build_model(name, image_shape=(size, size, 1), num_classes=3)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(size, size, 1)).astype(np.float32)
    half = size // 2
    batch = [image]
    for rows in (slice(half), slice(half, None)):
      for columns in (slice(half), slice(half, None)):
        other = image.copy()
        other[rows, columns] += 1
        batch.append(other)

    logits = model.predict_on_batch(np.stack(batch))

    self.assertTrue(np.isfinite(logits).all())
    self.assertTrue((np.abs(logits[1:] - logits[0]).max(axis=1) > 0).all())

  @parameterized.parameters(*SMALLEST.items())
  def test_a_pixel_below_is_a_clear_error(self, name, size):
    for shape in ((size - 1, size, 1), (size, size - 1, 1)):
      with self.assertRaisesRegex(
        ValueError, f"{name} takes images .* at least {size}x{size}"
      ):
        models.build_model(name, image_shape=shape, num_classes=3)


if __name__ == "__main__":
  absltest.main()
