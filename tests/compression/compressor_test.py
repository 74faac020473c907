"""Models compressed in a child process: moved, counted, checked, repeated."""

import os
import signal
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import pytest
import tensorflow as tf

from memo_tf import models
from memo_tf.compression import compressor as compressor_lib
from memo_tf.compression import counted
from memo_tf.compression import graph
from memo_tf.compression import litert

# A small model of every family and of every kind of block.
FAMILIES = {
  "cifar_resnet": ("cifar_resnet-8-w0.5", (9, 8, 3)),
  "preactivation": ("cifar_resnet-8-w0.5-v2", (8, 8, 1)),
  "projections": ("cifar_resnet-8-w0.5-shortcutB", (8, 8, 1)),
  "resnet": ("resnet-18-w0.125", (32, 32, 3)),
  "bottlenecks": ("resnet-50-w0.125", (70, 70, 3)),
  "mobilenet_v3_small": ("mobilenet_v3_small-0.25", (32, 32, 3)),
  "mobilenet_v3_large": ("mobilenet_v3_large-0.25", (8, 8, 3)),
}

# Two dropouts of the same image; and whether other names give other draws.
DROPOUTS = """
import tensorflow as tf
from memo_tf.compression.child import rebuilding

def drawn(*names):
  nodes = [
    {"name": n, "kind": "Dropout", "settings": {"rate": 0.5},
     "trainable": True, "inputs": ["images"]} for n in names
  ]
  last = {"name": "both", "kind": "Concatenate", "settings": {"axis": -1},
          "trainable": True, "inputs": list(names)}
  graph = {"input": "images", "input_shape": [100], "nodes": [*nodes, last],
           "output": "both"}
  return rebuilding.build(graph)(tf.ones([1, 100]), training=True).numpy()[0]

both = drawn("dropout", "another")
print((both[:100] == both[100:]).all())
print((both == drawn("dropout_9", "dropout_10")).all())
"""


def make_model(name, shape, seed=0):
  """A model whose every weight differs from where it starts."""
  model = models.build_model(name, image_shape=shape, num_classes=10)
  rng = np.random.default_rng(seed)
  for variable in model.variables:
    if "variance" in variable.path or "gamma" in variable.path:
      variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    elif len(variable.shape) == 1:
      variable.assign(rng.normal(0, 0.2, variable.shape))
    else:  # not Keras's draws, which no seed of ours governs
      size = np.sqrt(np.prod(variable.shape[:-1]))
      variable.assign(rng.normal(0, 1.4 / size, variable.shape))
  return model


def make_tuning(shape, *, count=64, epochs=2, seed=0, **options):
  rng = np.random.default_rng(seed)
  order = [rng.permutation(count).reshape(-1, 16) for _ in range(epochs)]
  channels = shape[-1]
  return compressor_lib.FineTuning(
    images=rng.integers(0, 256, (count, *shape)).astype(np.uint8),
    labels=rng.integers(0, 10, count).astype(np.int32),
    mean=np.full(channels, 120, np.float32),
    std=np.full(channels, 70, np.float32),
    order=np.stack(order).astype(np.int32),
    rates=np.full((epochs, count // 16), 0.01, np.float32),
    weight_decay=1e-4,
    **options,
  )


def inputs_of(tuning):
  return (tuning.images.astype(np.float32) - tuning.mean) / tuning.std


def kernels_of(model):
  kinds = (keras.layers.Conv2D, keras.layers.Dense)
  return [np.asarray(x.kernel) for x in model.layers if isinstance(x, kinds)]


class CompressorTest(absltest.TestCase):
  """All on one child and one small model: tracing it is what takes time."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.name, cls.shape = "cifar_resnet-8-w0.25", (8, 8, 1)
    cls.tuning = make_tuning(cls.shape)
    cls.images = inputs_of(cls.tuning)
    cls.compressor = compressor_lib.Compressor()
    cls.addClassCleanup(cls.compressor.close)

  def loaded(self, seed=0):
    model = make_model(self.name, self.shape, seed)
    self.compressor.load(model, self.images[:32])
    return model

  def test_pruned_models_have_the_zeros_and_repeat_to_the_bit(self):
    first, other, again = [], [], []
    for seed, found in ((0, first), (1, other), (0, again)):
      model = self.loaded(seed)
      history = self.compressor.fine_tune(
        "prune", {"sparsity": 0.9}, self.tuning
      )
      found += model.get_weights()
      self.assertLen(history, 2)
      self.assertTrue(np.isfinite(history[-1]["loss"]))
      for kernel in kernels_of(model):
        # tfmot keeps round(size * 0.1) weights of each.
        kept = max(1, round(kernel.size * 0.1))
        self.assertEqual(np.count_nonzero(kernel), kept)

    # What was traced for one model keeps nothing for the next.
    for a, b in zip(first, again):
      np.testing.assert_array_equal(a, b)
    self.assertFalse(all(np.array_equal(a, b) for a, b in zip(first, other)))

  def test_clustered_models_have_few_values_and_repeat_to_the_bit(self):
    results = []
    for seed in (0, 1, 0):
      model = self.loaded(seed)
      self.compressor.fine_tune("cluster", {"clusters": 16}, self.tuning)
      results.append(model.get_weights())
      distinct = [len(np.unique(kernel)) for kernel in kernels_of(model)]
      self.assertLessEqual(max(distinct), 16)
      self.assertGreater(max(distinct), 8)
      self.assertEqual(
        counted.of_model(model)["largest_clusters"], max(distinct)
      )

    for a, b in zip(results[0], results[2]):
      np.testing.assert_array_equal(a, b)

  def test_8_bit_models_consist_of_integers_and_predict_nearly_the_same(self):
    model = self.loaded()
    before = model.get_weights()

    content = self.compressor.quantize(self.images)

    int8 = litert.Int8Model(content)
    self.assertContainsSubset(int8.tensor_types(), ("int8", "int32"))
    self.assertGreater(int8.tensor_types()["int8"], 20)
    logits = np.asarray(model(self.images))
    error = np.abs(int8(self.images) - logits).max()
    self.assertGreater(error, 0)
    self.assertLess(error, 0.1 * np.abs(logits).max())
    # One at a time, the last batch smaller than the others.
    some = np.concatenate([int8(image[None]) for image in self.images[:3]])
    np.testing.assert_array_equal(some, int8(self.images)[:3])
    for a, b in zip(before, model.get_weights()):
      np.testing.assert_array_equal(a, b)

  def test_another_model_than_the_parents_is_refused_before_anything(self):
    model = self.loaded()
    np.save(self.compressor._folder / "logits.npy", np.ones((32, 10)))

    with self.assertRaisesRegex(
      compressor_lib.CompressionError, "rebuilt in tf_keras gives other logits"
    ):
      self.compressor._compare("rebuilt in tf_keras")
    self.assertIsNotNone(model)

  def test_a_killed_child_is_replaced_and_the_fine_tuning_starts_over(self):
    model = self.loaded()
    before = model.get_weights()
    pid = self.compressor._child.process.pid

    with self.assertRaisesRegex(
      compressor_lib.CompressionError, "killed by signal 9"
    ):
      self.compressor.fine_tune(
        "prune",
        {"sparsity": 0.5},
        self.tuning,
        lambda epoch, epochs: os.kill(pid, signal.SIGKILL),
      )

    for a, b in zip(before, model.get_weights()):
      np.testing.assert_array_equal(a, b)
    self.loaded()
    self.assertNotEqual(self.compressor._child.process.pid, pid)

  def test_what_an_interrupted_task_would_answer_is_not_taken_for_the_next(
    self,
  ):
    self.loaded()

    def stop(epoch, epochs):
      raise KeyboardInterrupt

    with self.assertRaises(KeyboardInterrupt):
      self.compressor.fine_tune("prune", {"sparsity": 0.5}, self.tuning, stop)

    self.assertIsNone(self.compressor._child)
    self.loaded(seed=1)  # compares the logits

  def test_keras_here_is_untouched_and_goes_on_training(self):
    model = make_model(self.name, self.shape)
    model.compile("sgd", "mse")
    labels = np.zeros((64, 10), np.float32)
    version = tf.keras.__version__
    model.fit(self.images, labels, verbose=0)

    self.compressor.load(model, self.images[:32])
    self.compressor.fine_tune("prune", {"sparsity": 0.9}, self.tuning)
    history = model.fit(self.images, labels, verbose=0)

    self.assertTrue(np.isfinite(history.history["loss"][0]))
    self.assertEqual(tf.keras.__version__, version)
    self.assertEqual(keras.__version__[0], "3")
    self.assertNotIn("TF_USE_LEGACY_KERAS", os.environ)
    self.assertNotIn("tensorflow_model_optimization", sys.modules)
    self.assertNotIn("tf_keras", sys.modules)
    # Nor does another child get it.
    other = subprocess.run(
      [
        sys.executable,
        "-c",
        "import os; print(os.environ.get('TF_USE_LEGACY_KERAS'))",
      ],
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertEqual(other.stdout.strip(), "None")

  @pytest.mark.slow
  def test_no_two_dropouts_draw_the_same_and_names_do_not_matter(self):
    variables = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(
      [sys.executable, "-c", DROPOUTS],
      env=variables,
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertEqual(done.stdout.split(), ["False", "True"])


class FamiliesTest(parameterized.TestCase):
  @parameterized.named_parameters((k, *v) for k, v in FAMILIES.items())
  @pytest.mark.slow
  def test_every_family_is_moved_and_compressed(self, name, shape):
    model = make_model(name, shape)
    before = model.get_weights()
    tuning = make_tuning(shape, epochs=1)
    images = inputs_of(tuning)
    logits = np.asarray(model(images))

    with compressor_lib.Compressor() as compressor:
      compressor.load(model, images[:32])  # compares the logits
      content = compressor.quantize(images)
      compressor.fine_tune("prune", {"sparsity": 0.5}, tuning)
      pruned = counted.of_model(model)
      model.set_weights(before)
      compressor.load(model, images[:32])
      compressor.fine_tune("cluster", {"clusters": 16}, tuning)

    self.assertAlmostEqual(pruned["kernel_sparsity"], 0.5, delta=0.01)
    self.assertEqual(counted.of_model(model)["largest_clusters"], 16)
    found = litert.Int8Model(content)(images)
    self.assertGreater(np.corrcoef(found.ravel(), logits.ravel())[0, 1], 0.9)

  def test_every_family_can_be_described(self):
    for name, shape in FAMILIES.values():
      model = models.build_model(name, image_shape=shape, num_classes=10)
      described = graph.describe(model)

      self.assertLen(described["nodes"], len(model.layers) - 1)


if __name__ == "__main__":
  absltest.main()
