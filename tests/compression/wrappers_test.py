"""One's own model pruned, clustered, quantized, without a study."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import pytest

from memo_tf import compression


def make_model():
  keras.utils.set_random_seed(0)
  return keras.Sequential(
    [
      keras.Input((8, 8, 1)),
      keras.layers.Conv2D(8, 3, activation="relu"),
      keras.layers.Flatten(),
      keras.layers.Dropout(0.2),
      keras.layers.Dense(3),
    ]
  )


def make_data(count=256):
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 3, count)
  images = rng.normal(0, 1, (count, 8, 8, 1)) + labels[:, None, None, None]
  return images.astype(np.float32), labels


class WrappersTest(parameterized.TestCase):
  @pytest.mark.slow
  def test_compressed_copies_of_a_trained_model(self):
    model, data = make_model(), make_data()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(*data, epochs=20, verbose=0)
    before = model.get_weights()
    accuracy = np.mean(model.predict(data[0], verbose=0).argmax(1) == data[1])

    options = {"epochs": 3, "batch_size": 64}
    pruned = compression.prune(model, data, sparsity=0.5, **options)
    again = compression.prune(model, data, sparsity=0.5, **options)
    clustered = compression.cluster(model, data, clusters=4, **options)
    content, predict = compression.quantize(model, data[0])

    self.assertIsInstance(pruned, keras.Model)
    for old, new in zip(before, model.get_weights()):
      np.testing.assert_array_equal(old, new)
    for old, new in zip(pruned.get_weights(), again.get_weights()):
      np.testing.assert_array_equal(old, new)
    self.assertAlmostEqual(
      float(np.mean(pruned.layers[-1].get_weights()[0] == 0)), 0.5, delta=0.01
    )
    self.assertLen(np.unique(clustered.layers[-1].get_weights()[0]), 4)
    self.assertGreater(len(content), 1000)
    for found in (
      pruned.predict(data[0], verbose=0),
      clustered.predict(data[0], verbose=0),
      predict(data[0]),
    ):
      hits = np.mean(found.argmax(1) == data[1])
      self.assertGreater(hits, accuracy - 0.1)

  @parameterized.parameters(
    ({"sparsity": 1.0}, "`sparsity` must be in"),
    ({"sparsity": 0.5, "epochs": 0}, "`epochs` must be at least 1"),
    ({"sparsity": 0.5, "batch_size": 300}, "at least `batch_size`.*300"),
    ({"sparsity": 0.5, "learning_rate": 0.0}, "`learning_rate` above 0"),
  )
  def test_refuses_before_a_process_is_started(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      compression.prune(make_model(), make_data(), **options)

  def test_refuses_clusters(self):
    with self.assertRaisesRegex(ValueError, "`clusters` must be a whole"):
      compression.cluster(make_model(), make_data(), clusters=1)

  def test_unknown_names(self):
    with self.assertRaisesRegex(AttributeError, "no attribute 'shrink'"):
      _ = compression.shrink


if __name__ == "__main__":
  absltest.main()
