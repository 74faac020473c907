"""Models of a Python program become references that workers can build."""

import importlib.util
import json
import pathlib
import sys

from absl.testing import absltest
import keras

from memo_tf.experiment import errors
from memo_tf.running import python_models


def at_the_top(image_shape, num_classes):
  """A function as a user has it; it is never called."""


def residual(units: int = 4) -> keras.Model:
  """A small model with names that Keras makes up."""
  inputs = keras.Input((8, 8, 1))
  x = keras.layers.Conv2D(units, 3, padding="same")(inputs)
  y = keras.layers.Conv2D(units, 3, padding="same", activation="relu")(x)
  x = keras.layers.Add()([x, y])
  x = keras.layers.GlobalAveragePooling2D()(x)
  x = keras.layers.Dense(5, name="dense_9")(x)
  return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


class ReferenceTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)

  def reference(self, model, may_replace: bool = True) -> str:
    return python_models.reference(model, self.folder, may_replace=may_replace)

  def test_names_stay_and_functions_become_files(self):
    self.assertEqual(self.reference("cifar_resnet-8"), "cifar_resnet-8")
    self.assertEqual(
      self.reference(at_the_top),
      f"{pathlib.Path(__file__).resolve()}:at_the_top",
    )

  def test_functions_that_workers_cannot_find_are_refused_in_one_line(self):
    def inside(image_shape, num_classes):
      pass

    typed: dict = {"__name__": "__main__"}
    code = compile("def f(a, b): pass", "/tmp/ipykernel_7/1.py", "exec")
    exec(code, typed)
    for function, message in (
      (typed["f"], "writefile my_models.py"),
      (inside, "at the top of its file"),
      (lambda a, b: None, "at the top of its file"),
      (3, "Received: builtins.int"),
      (keras.Sequential, "Received: builtins.type"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message) as caught:
        self.reference(function)
      self.assertNotIn("\n", str(caught.exception))

  def test_a_function_of_an_imported_file(self):
    path = self.folder / "my_models.py"
    path.write_text("def small(image_shape, num_classes):\n  return None\n")
    spec = importlib.util.spec_from_file_location("my_models", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_models"] = module
    self.addCleanup(sys.modules.pop, "my_models")
    spec.loader.exec_module(module)

    self.assertEqual(self.reference(module.small), f"{path}:small")

  def test_a_model_built_twice_is_the_same_model(self):
    path = self.reference(residual())
    before = pathlib.Path(path).read_text()

    self.assertEqual(self.reference(residual(), may_replace=False), path)
    self.assertEqual(pathlib.Path(path).name, "functional.json")
    self.assertEqual(pathlib.Path(path).read_text(), before)
    with self.assertRaisesRegex(errors.UsageError, "another architecture"):
      self.reference(residual(5), may_replace=False)

  def test_the_file_is_the_model(self):
    model = residual()
    model.compile("sgd", "mse")
    content = json.loads(pathlib.Path(self.reference(model)).read_text())

    loaded = keras.models.model_from_json(json.dumps(content))
    loaded.set_weights(model.get_weights())

    images = keras.random.normal((2, 8, 8, 1), seed=0)
    self.assertEqual(
      float(keras.ops.max(abs(loaded(images) - model(images)))), 0.0
    )
    names = [layer.name for layer in loaded.layers]
    self.assertEqual(
      names,
      [
        "input_layer",
        "conv2d",
        "conv2d_1",
        "add",
        "global_average_pooling2d",
        "dense",
        "head",
      ],
    )

  def test_a_name_is_kept(self):
    model = keras.Sequential(
      [keras.Input((2,)), keras.layers.Dense(3)], name="my-small"
    )

    self.assertEndsWith(self.reference(model), "/my_small.json")

  def test_a_model_without_input_or_architecture_is_refused(self):
    class Strange(keras.Model):
      def __init__(self, size):
        super().__init__()
        self.size = size
        self.built = True

    for model, message in (
      (keras.Sequential([keras.layers.Dense(3)]), "must be built"),
      (Strange(object()), "function from a file"),
    ):
      with self.assertRaisesRegex(errors.UsageError, message) as caught:
        self.reference(model)
      self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
  absltest.main()
