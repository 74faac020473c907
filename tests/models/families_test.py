"""Every family of models: sizes of images, parameters, training that goes on."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import models
from memo_tf.experiment import config as config_lib
from memo_tf.experiment import model_names
from memo_tf.experiment import recipes
from memo_tf.training import distribution
from memo_tf.training import trainer as trainer_lib

# A small member of each family and block, and the smallest image that it takes.
MEMBERS = {
  "cifar_resnet": ("cifar_resnet-8-w0.25", 8),
  "cifar_resnet-b": ("cifar_resnet-8-b-w0.25", 8),
  "cifar_resnet-v2": ("cifar_resnet-8-v2-w0.25", 8),
  "cifar_resnet-v2-b": ("cifar_resnet-8-v2-b-w0.25", 8),
  "mobilenet_v3_large": ("mobilenet_v3_large-0.1", 8),
  "mobilenet_v3_small": ("mobilenet_v3_small-0.1", 8),
  "resnet": ("resnet-18-w0.05", 32),
}


def counted(depth, block, shortcut, num_classes=10):
  """Parameters of a cifar_resnet, layer by layer as the papers write it."""
  count, inside = 3 * 16 * 9, 16
  count += 2 * 16 if block == "v1" else 2 * 64  # after the stem, or at the end
  for width in (16, 32, 64):
    for number in range((depth - 2) // 6):
      count += 9 * inside * width + 9 * width * width
      # v1 normalizes what the convolutions give, v2 what they take.
      count += 4 * width if block == "v1" else 2 * inside + 2 * width
      if number == 0 and width > 16 and shortcut == "B":
        count += inside * width + (2 * width if block == "v1" else 0)
      inside = width
  return count + 64 * num_classes + num_classes


class ParametersTest(parameterized.TestCase):
  @parameterized.product(
    depth=(8, 20, 56), options=("", "-b", "-v2", "-v2-b"), num_classes=(10, 100)
  )
  def test_as_counted_by_hand(self, depth, options, num_classes):
    block = "v2" if "v2" in options else "v1"
    shortcut = "B" if "-b" in options else "A"
    model = models.build_model(
      f"cifar_resnet-{depth}{options}",
      image_shape=(32, 32, 3),
      num_classes=num_classes,
    )

    self.assertEqual(
      trainer_lib.count_parameters(model),
      counted(depth, block, shortcut, num_classes),
    )

  @parameterized.parameters(
    # He et al. (2016), table 6, A; B as in public re-implementations.
    (20, "A", 0.27e6),
    (32, "A", 0.46e6),
    (44, "A", 0.66e6),
    (56, "A", 0.85e6),
    (110, "A", 1.7e6),
    (20, "B", 272_474),
  )
  def test_the_count_is_the_published_one(self, depth, shortcut, published):
    self.assertAlmostEqual(
      counted(depth, "v1", shortcut) / published, 1, delta=0.02
    )

  def test_pre_activation_blocks_pass_their_input_on(self):
    # With the last kernel of every block at zero only shortcuts are left: the
    # last normalization sees the stem, thinned and padded with zeros.
    model = models.build_model(
      "cifar_resnet-8-v2-w0.25", image_shape=(8, 8, 1), num_classes=3
    )
    for layer in model.layers:
      if layer.name.endswith("_2_conv"):
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1))
    outputs = [model.get_layer("stem_conv").output]
    outputs.append(model.get_layer("stage1_block1_add").output)
    outputs.append(model.get_layer("last_bn").input)

    stem, first, last = keras.Model(model.input, outputs)(
      images, training=False
    )

    np.testing.assert_allclose(first, stem)
    # The shortcut that changes the shape starts from the activated input.
    scale = 1 / np.sqrt(1 + 1e-3)
    thinned = np.maximum(stem[:, ::4, ::4, :] * scale, 0) * scale
    np.testing.assert_allclose(last[..., 6:10], thinned, rtol=1e-5)


class ImagesTest(parameterized.TestCase):
  def test_every_family_has_a_member_here(self):
    families = {model_names.parse(name).family for name, _ in MEMBERS.values()}

    self.assertEqual(families, set(models.list_models()))
    for line, (name, _) in MEMBERS.items():
      self.assertEqual(model_names.parse(name).line, line)

  @parameterized.parameters(*MEMBERS.values())
  def test_smallest_image_and_one_below(self, name, size):
    model = models.build_model(name, image_shape=(size, size, 1), num_classes=3)

    logits = model(np.ones((2, size, size, 1), np.float32), training=False)
    self.assertEqual(logits.shape, (2, 3))
    with self.assertRaisesRegex(
      ValueError,
      rf"{name} takes images .* at least {size}x{size}.*\({size - 1}, {size}, 1",
    ):
      models.build_model(name, image_shape=(size - 1, size, 1), num_classes=3)

  @parameterized.parameters((8, 2), (15, 4), (16, 2), (28, 4))
  def test_mobilenet_keeps_the_resolution_of_tiny_images(self, size, last):
    for variant in ("small", "large"):
      model = models.build_model(
        f"mobilenet_v3_{variant}-0.1",
        image_shape=(size, size, 1),
        num_classes=2,
      )
      self.assertEqual(model.get_layer("pool").input.shape[1:3], (last, last))


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(
    ("cifar_resnet-20-b-v2", "then `-b`"),
    ("cifar_resnet-20-v1", "-v2"),
    ("cifar_resnet-20-v2-w1", "'cifar_resnet-20-v2'"),
    ("cifar_resnet-020-v2", "'cifar_resnet-20-v2'"),
    ("cifar_resnet-21-v2", "6n"),
    ("resnet-18-v2", "resnet-DEPTH"),
  )
  def test_other_names_are_refused(self, name, words):
    with self.assertRaisesRegex(ValueError, words):
      model_names.parse(name)

  def test_options_are_parsed(self):
    parsed = model_names.parse("cifar_resnet-20-v2-b-w0.5")

    self.assertEqual((parsed.size, parsed.width), (20, 0.5))
    self.assertEqual((parsed.block, parsed.shortcut), ("v2", "B"))

  def test_a_teacher_may_have_options(self):
    name = "distilled-cifar_resnet-20-v2-b-t3"

    recipe = recipes.parse(name, config_lib.TrainingConfig())

    self.assertEqual(recipe.teacher, "cifar_resnet-20-v2-b")


class TrainingTest(parameterized.TestCase):
  @parameterized.parameters(*MEMBERS.values())
  def test_it_trains_and_goes_on_to_the_same_bits(self, name, size):
    # Export: tests/export_test.py.
    trainer = trainer_lib.Trainer(
      name,
      recipes.parse("one_hot", config_lib.TrainingConfig(batch_size=8)),
      image_shape=(size, size, 1),
      num_classes=2,
      mean=np.array([128.0], np.float32),
      std=np.array([64.0], np.float32),
      strategy=distribution.one_device(),
    )
    labels = np.arange(8, dtype=np.int32) % 2
    noise = np.random.default_rng(0).integers(0, 60, (8, size, size, 1))
    images = tf.constant(
      (noise + 180 * labels[:, None, None, None]).astype(np.uint8)
    )
    order = np.tile(np.arange(8, dtype=np.int32), (12, 1))
    rates = np.full(12, 0.03, np.float32)

    def epoch():
      return trainer.train_epoch(images, tf.constant(labels), order, rates)[0]

    trainer.initialize(0, "unit")
    first = epoch()
    state = trainer.state()
    second = epoch()
    at_once = trainer.state()
    trainer.initialize(1, "another")
    trainer.set_state(state)
    again = epoch()

    self.assertLess(second, 0.8 * first)
    self.assertEqual(again, second)
    for key, value in trainer.state().items():
      np.testing.assert_array_equal(value, at_once[key], key)


if __name__ == "__main__":
  absltest.main()
