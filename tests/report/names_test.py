"""Plain names."""

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.report import names


class NamesTest(parameterized.TestCase):
  @parameterized.parameters(
    ("cifar_resnet-8", "ResNet-8"),
    ("cifar_resnet-20-w0.5-v2", "ResNet-20 ×0.5 (pre-activation)"),
    ("resnet-50", "ResNet-50"),
    ("mobilenet_v3_small-0.5", "MobileNetV3-Small ×0.5"),
    ("own-make_model", "make_model"),
    ("of another program", "of another program"),
  )
  def test_models(self, name, expected):
    self.assertEqual(names.model(name), expected)

  @parameterized.parameters(
    ("one_hot", "one-hot labels"),
    ("one_hot-e40", "one-hot labels, 40 epochs"),
    ("smoothed-0.1", "labels smoothed by 0.1"),
    ("smoothed-0.1-e40", "labels smoothed by 0.1, 40 epochs"),
    (
      "distilled-cifar_resnet-56-t3",
      "distilled from ResNet-56, temperature 3",
    ),
    (
      "distilled-cifar_resnet-56-t3-a0.5-sees_all-e40",
      "distilled from ResNet-56, temperature 3, alpha 0.5, the teacher saw all "
      "images, 40 epochs",
    ),
    ("pruned-0.9", "pruned to 0.9 zeros"),
    ("clustered-16-e5", "16 values per kernel, 5 epochs"),
    ("int8", "8-bit integers"),
    ("frozen-e40", "last layer only, 40 epochs"),
    ("squeezed-0.9", "squeezed-0.9"),
  )
  def test_recipes(self, name, expected):
    self.assertEqual(names.recipe(name), expected)

  def test_a_sentence_with_names_that_begin_alike(self):
    models = ["cifar_resnet-8", "cifar_resnet-8-w0.5"]

    text = names.plain(f"{models[1]} after {models[0]}.", models)

    self.assertEqual(text, "ResNet-8 ×0.5 after ResNet-8.")

  def test_words(self):
    self.assertEqual(names.q_value(0.05), "q = 0.050: unlikely to be chance")
    self.assertEqual(names.q_value(0.2), "q = 0.200: may be chance")
    self.assertEqual(names.q_value(float("nan")), "q = nan: may be chance")
    self.assertEqual(names.counted(1, "run"), "1 run")
    self.assertEqual(names.counted(1500, "run"), "1,500 runs")
    self.assertEqual(names.counted(2, "proxy", "proxies"), "2 proxies")
    self.assertEqual(names.listed(["a", "b", "c"]), "a, b and c")


if __name__ == "__main__":
  absltest.main()
