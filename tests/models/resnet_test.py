"""The larger ResNets: published sizes, stems, images that they take."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import pytest
import tensorflow as tf

from memo_tf import models
from memo_tf.experiment import model_names


class ResnetTest(parameterized.TestCase):
  @parameterized.parameters(
    # Of 1,000 classes with the 7x7 stem, as widely published for these blocks.
    (18, 11_689_512),
    (34, 21_797_672),
    (50, 25_557_032),
  )
  def test_published_parameter_counts(self, depth, parameters):
    self.assert_parameter_count(depth, parameters)

  @parameterized.parameters((101, 44_549_160), (152, 60_192_808))
  @pytest.mark.slow
  def test_published_parameter_counts_of_deep_ones(self, depth, parameters):
    self.assert_parameter_count(depth, parameters)

  def assert_parameter_count(self, depth: int, parameters: int) -> None:
    model = models.build_model(
      f"resnet-{depth}", image_shape=(224, 224, 3), num_classes=1000
    )

    self.assertEqual(models.count_parameters(model), parameters)

  def test_kernels_are_those_of_keras_applications(self):
    ours = models.build_model(
      "resnet-50", image_shape=(224, 224, 3), num_classes=1000
    )
    theirs = keras.applications.ResNet50(weights=None)

    def shapes(model):
      kernels = [
        tuple(v.shape) for v in model.trainable_variables if len(v.shape) == 4
      ]
      return sorted(kernels)

    self.assertEqual(shapes(ours), shapes(theirs))

  @parameterized.parameters(
    (32, "stem_relu", (32, 32), (4, 4)),
    (64, "stem_relu", (64, 64), (8, 8)),
    (65, "stem_pool", (17, 17), (3, 3)),
  )
  def test_the_stem_suits_the_image(self, size, layer, after_stem, last):
    model = models.build_model(
      "resnet-18-w0.25", image_shape=(size, size, 3), num_classes=5
    )

    self.assertEqual(model.get_layer(layer).output.shape[1:3], after_stem)
    features = model.get_layer("features")
    self.assertEqual(features.input.shape[1:3], last)
    self.assertEqual(features.output.shape, (None, 128))
    logits = model(np.ones((2, size, size, 3), np.float32), training=False)
    self.assertEqual((logits.shape, logits.dtype), ((2, 5), tf.float32))

  @parameterized.parameters(
    ("resnet-20", "18, 34, 50"),
    ("resnet-18-w1", "'resnet-18'"),
    ("resnet-018", "'resnet-18'"),
    ("resnet", "resnet-DEPTH"),
    ("resnet-18-w0", "above 0"),
  )
  def test_other_names_are_refused(self, name, words):
    with self.assertRaisesRegex(ValueError, words):
      model_names.parse(name)

  def test_too_small_images_are_refused(self):
    with self.assertRaisesRegex(ValueError, "at least 32x32"):
      models.build_model("resnet-18", image_shape=(28, 28, 1), num_classes=10)


if __name__ == "__main__":
  absltest.main()
