"""Multiply-adds of a model, against hand arithmetic."""

from absl.testing import absltest
import keras

from memo_tf import models
from memo_tf.models import cost


class CostTest(absltest.TestCase):
  def test_each_kind_of_layer(self):
    inner = keras.Sequential(
      [keras.Input((4, 4, 6)), keras.layers.Conv2D(2, 1, name="inner")]
    )
    model = keras.Sequential(
      [
        keras.Input((8, 8, 3)),
        # 8·8 positions of 3·3·3 weights for each of 4 filters.
        keras.layers.Conv2D(4, 3, padding="same"),
        # 4·4 positions of 3·3 weights for each of 4 channels.
        keras.layers.DepthwiseConv2D(3, strides=2, padding="same"),
        # In two groups: 4·4 positions of 1·1·2 weights for each of 6 filters.
        keras.layers.Conv2D(6, 1, groups=2),
        inner,  # 4·4 positions of 6 weights for each of 2 filters
        keras.layers.Flatten(),
        keras.layers.Dense(10),  # 4·4·2·10
      ]
    )

    self.assertEqual(
      cost.multiply_adds(model),
      8 * 8 * 27 * 4 + 4 * 4 * 9 * 4 + 4 * 4 * 2 * 6 + 4 * 4 * 6 * 2 + 320,
    )

  def test_the_published_cost_of_a_resnet(self):
    model = models.build_model(
      "cifar_resnet-20", image_shape=(32, 32, 3), num_classes=10
    )

    # 40.8 million with He et al.'s shortcuts without weights.
    self.assertAlmostEqual(cost.multiply_adds(model) / 1e6, 40.8, delta=0.3)


if __name__ == "__main__":
  absltest.main()
