"""Own models: built under a seed, from files, modules and JSON."""

import functools
import importlib
import json
import pathlib
import shutil
import sys

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np

from memo_tf.experiment import config as config_lib
from memo_tf.experiment import config_rules
from memo_tf.experiment import settings as settings_lib
from memo_tf.models import own
from memo_tf.store import directory as directory_lib
from memo_tf.store import own_sources
from tests.support import own_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPE, CLASSES = (8, 8, 1), 3
MEAN, STD = np.array([5.0], np.float32), np.array([6.0], np.float32)
IMAGES = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)
CUSTOM = """
import keras

@keras.saving.register_keras_serializable(package="mine")
class Doubling(keras.layers.Layer):
  def call(self, x):
    return 2 * x
"""


def own_of(folder, *references, inputs="auto", imports=()) -> own.OwnModels:
  """The own models of references, as a study has them."""
  models = settings_lib.ModelsConfig(models=references, imports=imports)
  config = config_rules.validated(config_lib.StudyConfig(models=models))
  directory = directory_lib.StudyDirectory(folder)
  return own.OwnModels(own_sources.read(directory, config), inputs)


def values(model: keras.Model) -> list[np.ndarray]:
  return [variable.numpy() for variable in model.variables]


class OwnTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.path = self.folder / "my_models.py"
    shutil.copy(own_models.__file__, self.path)

  def build(self, function, seed=1, inputs="auto", **options) -> keras.Model:
    models = own_of(self.folder, f"{self.path}:{function}", inputs=inputs)
    return self.built(models, f"own-{function}", seed, **options)

  def built(self, models, name, seed=1, **options) -> keras.Model:
    shape = {"image_shape": SHAPE, "num_classes": CLASSES}
    statistics = {"mean": MEAN, "std": STD}
    return models.build(name, seed, **shape | statistics | options)

  def write(self, name: str, text: str) -> str:
    (self.folder / name).write_text(text)
    return str(self.folder / name)

  @parameterized.parameters(
    "small", "large", "late", "scaled", "arithmetic", "tuned"
  )
  def test_builds_are_repeated_by_their_seed_alone(self, function):
    first = self.build(function)
    np.random.seed(7)
    again, other = self.build(function), self.build(function, seed=2)

    for one, two in zip(values(first), values(again), strict=True):
      np.testing.assert_array_equal(one, two)
    self.assertFalse(all(map(np.array_equal, values(first), values(other))))
    self.assertEqual(first(IMAGES).shape, (5, CLASSES))
    self.assertEqual(first.input_shape, (None, *SHAPE))

  def test_building_leaves_the_callers_generators_alone(self):
    np.random.seed(3)
    expected = np.random.uniform(size=2)
    np.random.seed(3)

    first = np.random.uniform()
    self.build("small")

    np.testing.assert_array_equal([first, np.random.uniform()], expected)

  def test_what_is_loaded_is_kept_and_what_is_drawn_is_drawn_anew(self):
    own_models.write_base(self.folder, 0)
    one, two = self.build("tuned", 1), self.build("tuned", 2)

    with np.load(self.folder / "base.npz") as content:
      loaded = [content[name] for name in content.files]
    for model in (one, two):
      for value, expected in zip(model.non_trainable_weights, loaded):
        np.testing.assert_array_equal(value.numpy(), expected)
    self.assertLen(one.trainable_variables, 2)
    kernels = [m.trainable_variables[0].numpy() for m in (one, two)]
    self.assertFalse(np.array_equal(*kernels))

  @parameterized.parameters("scaled", "arithmetic")
  def test_models_that_scale_get_raw_pixels(self, function):
    inside = getattr(own_models, function)(SHAPE, CLASSES)
    model = self.build(function)
    own.copy_values(inside, model)

    pixels = IMAGES * STD + MEAN

    np.testing.assert_allclose(model(IMAGES), inside(pixels), atol=1e-5)
    model = self.build(function, inputs="normalized")
    own.copy_values(inside, model)
    np.testing.assert_allclose(model(IMAGES), inside(IMAGES), atol=1e-5)

  def test_other_models_get_raw_pixels_if_asked(self):
    plain, raw = self.build("small"), self.build("small", inputs="raw")

    expected = plain(IMAGES * STD + MEAN)
    np.testing.assert_allclose(raw(IMAGES), expected, rtol=1e-4, atol=1e-4)
    self.assertLess(len(raw.layers), len(plain.layers))

  def test_what_is_frozen_stays_frozen_in_another_model(self):
    text = (
      "import keras\n"
      "def mine(shape, classes):\n"
      "  x = i = keras.Input(shape)\n"
      "  inner = keras.layers.Conv2D(2, 3)\n"
      "  base = keras.Model(i, keras.layers.Flatten()(inner(x)))\n"
      "  base.trainable = False\n"
      "  inner.trainable = True  # Keras: still frozen by `base`\n"
      "  head = keras.layers.Dense(classes)\n"
      "  return keras.Sequential([keras.Input(shape), base, head])\n"
    )
    path = self.write("mine.py", text)
    inside = {}
    exec(text, inside)
    expected = len(inside["mine"](SHAPE, CLASSES).trainable_variables)

    for inputs in ("normalized", "raw"):
      models = own_of(self.folder, f"{path}:mine", inputs=inputs)
      built = self.built(models, "own-mine")
      self.assertLen(built.trainable_variables, expected)

  def test_states_of_seeds_are_found_and_copied(self):
    one, two = self.build("large", 1), self.build("large", 2)
    (state,) = own.random_states(one)
    before = values(two)

    own.copy_values(two, one)

    np.testing.assert_array_equal(state, own.random_states(two)[0])
    for value, expected in zip(values(one), before, strict=True):
      np.testing.assert_array_equal(value, expected)
    with self.assertRaisesRegex(ValueError, "same variables whenever"):
      own.copy_values(self.build("scaled"), one)

  def test_a_source_imports_what_lies_beside_it(self):
    self.write("beside_it.py", "WIDTH = 5\n")
    text = (
      "import keras\n"
      "def mine(shape, classes):\n"
      "  import beside_it\n"
      "  x = i = keras.Input(shape)\n"
      "  x = keras.layers.Flatten()(x)\n"
      "  x = keras.layers.Dense(beside_it.WIDTH)(x)\n"
      "  return keras.Model(i, keras.layers.Dense(classes)(x))\n"
    )
    path = self.write("with_neighbour.py", text)
    before = list(sys.path)
    self.addCleanup(sys.modules.pop, "beside_it", None)

    model = self.built(own_of(self.folder, f"{path}:mine"), "own-mine")

    self.assertEqual(model.layers[2].units, 5)
    self.assertEqual(sys.path, before)

  def test_a_module_is_imported_by_its_name(self):
    models = own_of(self.folder, "tests.support.own_models:small")

    model = self.built(models, "own-small")

    self.assertEqual(model.output_shape, (None, CLASSES))

  def test_json_is_built_anew_with_custom_layers(self):
    layers = self.write("my_layers.py", CUSTOM)
    sys.path.insert(0, str(self.folder))
    try:
      doubling = importlib.import_module("my_layers").Doubling
    finally:
      sys.path.remove(str(self.folder))
      del sys.modules["my_layers"]
    images = keras.Input(SHAPE)
    x = keras.layers.Dropout(0.5)(doubling()(keras.layers.Flatten()(images)))
    model = keras.Model(images, keras.layers.Dense(CLASSES)(x))
    model.compile("adam", "mse")
    path = self.write("given.json", model.to_json())
    registered = keras.saving.get_custom_objects()
    registered.pop("mine>Doubling")

    with self.assertRaisesRegex(ValueError, "given.json cannot be built"):
      self.built(own_of(self.folder, path), "own-given")
    models = own_of(self.folder, path, imports=(layers,))
    one, again, other = (
      self.built(models, "own-given", seed) for seed in (1, 1, 2)
    )

    self.addCleanup(registered.pop, "mine>Doubling")
    own.copy_values(one, model)
    np.testing.assert_allclose(model(IMAGES), one(IMAGES), atol=1e-6)
    np.testing.assert_array_equal(one(IMAGES), again(IMAGES))
    self.assertFalse(np.array_equal(one(IMAGES), other(IMAGES)))
    self.assertFalse(one.compiled)
    with self.assertRaisesRegex(ValueError, "states the precision"):
      self.built(models, "own-given", precision="bfloat16")

  def test_json_with_code_is_refused(self):
    model = own_models.small(SHAPE, CLASSES)
    model.add(keras.layers.Lambda(lambda x: x + 1))
    path = self.write("unsafe.json", model.to_json())

    with self.assertRaisesRegex(ValueError, "unsafe.json cannot be built"):
      self.built(own_of(self.folder, path), "own-unsafe")
    path = self.write("list.json", json.dumps([1]))
    with self.assertRaisesRegex(ValueError, "not what model.to_json"):
      self.built(own_of(self.folder, path), "own-list")

  def test_a_function_is_called_under_the_policy(self):
    model = self.build("small", precision="bfloat16")

    self.assertEqual(model.layers[0].compute_dtype, "bfloat16")
    self.assertEqual(keras.config.dtype_policy().name, "float32")

  @parameterized.parameters(
    ("pass", "must return a keras.Model. Received: builtins.NoneType"),
    ("raise KeyError('no')", "cannot be built: KeyError in line 4: 'no'"),
    ("raise SystemExit(3)", "cannot be built: SystemExit in line 4: 3"),
    ("return of(keras.Input((9, 9, 1)))", r"must take images of \(8, 8, 1\)"),
    ("return of(keras.Input(shape, dtype='uint8'))", "must take float images"),
    (
      "return of(images, outputs=[3, 3])",
      r"must have one output.*list of \[\(None, 3\)",
    ),
    ("return of(images, outputs=[4])", r"must give logits .*\(None, 4\)"),
    ("return of([images, keras.Input(shape)])", "must have one input"),
  )
  def test_refuses(self, body, message):
    text = (
      "import keras\n"
      "def wrong(shape, classes):\n"
      "  images = keras.Input(shape)\n"
      f"  {body}\n"
      "def of(images, outputs=(3,)):\n"
      "  first = images[0] if isinstance(images, list) else images\n"
      "  x = keras.layers.Flatten()(first)\n"
      "  found = [keras.layers.Dense(n)(x) for n in outputs]\n"
      "  return keras.Model(images, found if len(found) > 1 else found[0])\n"
    )
    path = self.write("wrong.py", text)

    with self.assertRaisesRegex(ValueError, f"^wrong.py:wrong {message}"):
      self.built(own_of(self.folder, f"{path}:wrong"), "own-wrong")

  def test_the_example_of_the_docs_is_built(self):
    text = (ROOT / "docs" / "own_models.md").read_text()
    path = self.write(
      "my_models.py", text.split("```python\n")[1].split("```")[0]
    )
    models = own_of(self.folder, f"{path}:small", f"{path}:large")

    small, large = (self.built(models, n) for n in ("own-small", "own-large"))

    self.assertEqual(small.output_shape, (None, CLASSES))
    self.assertGreater(large.count_params(), 3 * small.count_params())

  def test_a_missing_function_is_named_with_those_there_are(self):
    with self.assertRaisesRegex(ValueError, "no function 'lost'; it has small"):
      self.build("lost")
    path = self.write("broken.py", "import keras\nx = [\n")
    build = functools.partial(self.built, own_of(self.folder, f"{path}:f"))
    with self.assertRaisesRegex(ValueError, "broken.py:f cannot be imported"):
      build("own-f")


if __name__ == "__main__":
  absltest.main()
