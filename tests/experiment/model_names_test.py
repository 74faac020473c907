"""The grammar of model names."""

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.experiment import model_names


class ParseTest(parameterized.TestCase):
  @parameterized.parameters(
    ("cifar_resnet-8", 8, 1.0),
    ("cifar_resnet-20", 20, 1.0),
    ("cifar_resnet-110", 110, 1.0),
    ("cifar_resnet-1202", 1202, 1.0),
    ("cifar_resnet-20-w0.5", 20, 0.5),
    ("cifar_resnet-14-w2", 14, 2.0),
    ("cifar_resnet-14-w0.125", 14, 0.125),
  )
  def test_parts(self, name, size, width):
    model = model_names.parse(name)

    self.assertEqual(model.name, name)
    self.assertEqual(model.family, "cifar_resnet")
    self.assertEqual(model.size, size)
    self.assertEqual(model.width, width)

  def test_cost_grows_with_depth_and_width(self):
    names = (
      "cifar_resnet-8-w0.25",
      "cifar_resnet-8-w0.5",
      "cifar_resnet-8",
      "cifar_resnet-14",
      "cifar_resnet-14-w2",
      "cifar_resnet-110-w2",
    )

    costs = [model_names.parse(name).relative_cost for name in names]

    self.assertEqual(costs, sorted(set(costs)))
    self.assertGreater(costs[0], 0)

  @parameterized.parameters(
    ("vgg-16", "Unknown model family.*cifar_resnet"),
    ("", "Unknown model family"),
    ("-20", "Unknown model family"),
    ("Cifar_resnet-20", "Unknown model family"),
    ("../cifar_resnet-20", "Unknown model family"),
    ("cifar_resnet", "cifar_resnet-DEPTH"),
    ("cifar_resnet-", "cifar_resnet-DEPTH"),
    ("cifar_resnet-x", "cifar_resnet-DEPTH"),
    ("cifar_resnet--8", "cifar_resnet-DEPTH"),
    ("cifar_resnet-20/x", "cifar_resnet-DEPTH"),
    ("cifar_resnet-20\n", "cifar_resnet-DEPTH"),
    ("cifar_resnet-20-0.5", "cifar_resnet-DEPTH-wWIDTH"),
    ("cifar_resnet-20-w", "cifar_resnet-DEPTH-wWIDTH"),
    ("cifar_resnet-20-w-1", "cifar_resnet-DEPTH-wWIDTH"),
    ("cifar_resnet-20-w1e3", "cifar_resnet-DEPTH-wWIDTH"),
    ("cifar_resnet-18", r"6n \+ 2"),
    ("cifar_resnet-2", "n at least 1"),
    ("cifar_resnet-0", r"6n \+ 2"),
    ("cifar_resnet-20-w0", "above 0"),
    ("cifar_resnet-20-w0.0", "above 0"),
  )
  def test_wrong_names(self, name, message):
    with self.assertRaisesRegex(ValueError, message) as caught:
      model_names.parse(name)
    self.assertIn(repr(name), str(caught.exception))

  def test_every_depth_is_6n_plus_2(self):
    depths = []
    for depth in range(60):
      try:
        depths.append(model_names.parse(f"cifar_resnet-{depth}").size)
      except ValueError:
        pass

    self.assertEqual(depths, [8, 14, 20, 26, 32, 38, 44, 50, 56])


class CheckImageTest(parameterized.TestCase):
  @parameterized.parameters(((8, 8, 1),), ((32, 32, 3),), ((8, 40, 4),))
  def test_takes(self, shape):
    model_names.check_image(model_names.parse("cifar_resnet-8"), shape)

  @parameterized.parameters(
    ((7, 8, 1),), ((8, 7, 3),), ((8, 8),), ((1, 8, 8, 1),), ((),)
  )
  def test_refuses(self, shape):
    model = model_names.parse("cifar_resnet-8")

    with self.assertRaisesRegex(ValueError, "at least 8x8") as caught:
      model_names.check_image(model, shape)
    self.assertIn("cifar_resnet-8", str(caught.exception))
    self.assertIn(str(shape), str(caught.exception))


if __name__ == "__main__":
  absltest.main()
