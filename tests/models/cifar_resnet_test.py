"""The CIFAR ResNets: published sizes, shapes, smallest images, export."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import models


class CifarResnetTest(parameterized.TestCase):
  @parameterized.parameters(
    # He et al. (2016), table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million; to the
    # unit as in the widely used re-implementations with option A.
    (20, 269_722),
    (32, 464_154),
    (44, 658_586),
    (56, 853_018),
    (110, 1_727_962),
    ("20-shortcutB", 272_474),
  )
  def test_published_parameter_counts(self, depth, parameters):
    model = models.build_model(
      f"cifar_resnet-{depth}", image_shape=(32, 32, 3), num_classes=10
    )

    self.assertEqual(models.count_parameters(model), parameters)

  @parameterized.parameters((8, 75_290), (14, 172_506))
  def test_small_depths_counted_by_hand(self, depth, parameters):
    # Stem 3*16*9 + 32. Stage of n blocks: the first has 9*(in*out + out*out) +
    # 4*out, the others 18*out*out + 4*out. Head 64*10 + 10.
    count, inside = 3 * 16 * 9 + 32, 16
    for width in (16, 32, 64):
      for _ in range((depth - 2) // 6):
        count += 9 * (inside * width + width * width) + 4 * width
        inside = width
    count += 64 * 10 + 10
    model = models.build_model(
      f"cifar_resnet-{depth}", image_shape=(32, 32, 3), num_classes=10
    )

    self.assertEqual(count, parameters)
    self.assertEqual(models.count_parameters(model), parameters)

  @parameterized.product(
    depth=(8, 20), version=(1, 2), shortcut=("A", "B"), width=(1, 0.5)
  )
  def test_versions_and_shortcuts_counted_by_hand(
    self, depth, version, shortcut, width
  ):
    name = f"cifar_resnet-{depth}" + ("-w0.5" if width < 1 else "")
    name += ("-v2" if version == 2 else "") + (
      "-shortcutB" if shortcut == "B" else ""
    )
    first, *_, last = stages = [int(width * c) for c in (16, 32, 64)]
    # A normalization has two numbers a channel: behind every convolution in
    # version 1; before every one of a block, and before the pooling, in 2.
    count, inside = 3 * first * 9 + (2 * first if version == 1 else 2 * last), 0
    inside = first
    for filters in stages:
      for _ in range((depth - 2) // 6):
        count += 9 * (inside * filters + filters * filters)
        count += 4 * filters if version == 1 else 2 * inside + 2 * filters
        if shortcut == "B" and inside != filters:
          count += inside * filters + (2 * filters if version == 1 else 0)
        inside = filters
    count += last * 10 + 10

    model = models.build_model(name, image_shape=(32, 32, 3), num_classes=10)

    self.assertEqual(models.count_parameters(model), count)

  def test_version_2_leaves_the_shortcut_as_it_is(self):
    # With all convolutions of the blocks 0, what the last normalization sees is
    # the stem's output, subsampled and padded by the two shortcuts A.
    model = models.build_model(
      "cifar_resnet-8-v2", image_shape=(8, 8, 1), num_classes=3
    )
    for layer in model.layers:
      if "block" in layer.name and layer.name.endswith("_conv"):
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    inner = keras.Model(
      model.inputs,
      [
        model.get_layer("stem_conv").output,
        model.get_layer("stage1_block1_add").output,
        model.get_layer("last_bn").input,
      ],
    )
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))

    stem, first, last = inner(
      {"images": images.astype(np.float32)}, training=False
    )

    np.testing.assert_array_equal(first, stem)
    # Where the shape changes the shortcut starts from the rectified input; the
    # first normalization divides by sqrt(1 + 1e-3), moving statistics at start.
    kept = np.maximum(stem.numpy(), 0)[:, ::2, ::2, :] / np.sqrt(1.001)
    kept = np.maximum(kept, 0)[:, ::2, ::2, :] / np.sqrt(1.001)
    np.testing.assert_allclose(last[..., 24:40], kept, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(last[..., :24], 0)

  def test_width_scales_channels(self):
    model = models.build_model(
      "cifar_resnet-8-w0.5", image_shape=(8, 8, 1), num_classes=10
    )

    self.assertEqual(model.get_layer("features").output.shape, (None, 32))

  @parameterized.parameters((8, 8, 1), (9, 11, 3), (32, 32, 4))
  def test_images_to_float32_logits(self, *shape):
    model = models.build_model(
      "cifar_resnet-8", image_shape=shape, num_classes=7
    )

    logits = model(np.ones((3, *shape), np.float32), training=False)

    self.assertEqual(logits.shape, (3, 7))
    self.assertEqual(logits.dtype, tf.float32)

  @parameterized.parameters(
    ((2, 4, 6, 2), 2), ((1, 3, 4, 2), 2), ((2, 5, 7, 1), 2), ((1, 6, 9, 2), 3)
  )
  def test_parameter_free_shortcut_by_hand(self, shape, strides):
    layer = models.layers.ShortcutA(filters=5, strides=strides)
    images = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    images = tf.constant(images)
    taken = images.numpy()[:, ::strides, ::strides, :]
    channels = shape[-1]
    before = (5 - channels) // 2

    with tf.GradientTape() as tape:
      tape.watch(images)
      output = layer(images)
      value = tf.reduce_sum(output * output)

    self.assertEqual(output.shape, (*taken.shape[:3], 5))
    self.assertEqual(layer.compute_output_shape(shape), output.shape)
    kept = slice(before, before + channels)
    np.testing.assert_array_equal(output[..., kept], taken)
    np.testing.assert_array_equal(np.delete(output, np.r_[kept], axis=-1), 0)
    # The gradient of the sum of squares: twice the pixels taken, 0 elsewhere.
    expected = np.zeros(shape, np.float32)
    expected[:, ::strides, ::strides, :] = 2 * taken
    np.testing.assert_array_equal(tape.gradient(value, images), expected)

  def test_saved_and_loaded_it_predicts_the_same(self):
    path = self.create_tempdir().full_path + "/model.keras"
    model = models.build_model(
      "cifar_resnet-8", image_shape=(8, 8, 1), num_classes=3
    )
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 1))
    images = images.astype(np.float32)
    model.save(path)

    loaded = keras.models.load_model(path)

    np.testing.assert_array_equal(
      model(images, training=False), loaded(images, training=False)
    )

  @parameterized.parameters(
    ("cifar_resnet-8", (7, 8, 1), 10, "at least 8x8"),
    ("cifar_resnet-8", (8, 8), 10, r"\[H, W, channels\]"),
    ("cifar_resnet-8", (8, 8, 1), 1, "at least 2"),
    ("cifar_resnet-10", (8, 8, 1), 10, r"6n \+ 2"),
    ("cifar_resnet-20-shortcutB-v2", (8, 8, 1), 10, "in the order v2, short"),
    ("cifar_resnet-20-v2-w0.5", (8, 8, 1), 10, "in the order v2, short"),
    ("cifar_resnet-20-v2-v2", (8, 8, 1), 10, "DEPTH-wWIDTH"),
    ("cifar_resnet-20-v3", (8, 8, 1), 10, "DEPTH-wWIDTH"),
    ("lenet-5", (8, 8, 1), 10, "Unknown model family"),
  )
  def test_rejects(self, name, image_shape, num_classes, message):
    with self.assertRaisesRegex(ValueError, message):
      models.build_model(name, image_shape=image_shape, num_classes=num_classes)

  def test_every_family_that_parses_has_a_builder(self):
    # Predictions made elsewhere have a name, and no builder.
    families = set(models.model_names.FAMILIES) - {"given"}
    self.assertEqual(models.list_models(), sorted(families))


if __name__ == "__main__":
  absltest.main()
