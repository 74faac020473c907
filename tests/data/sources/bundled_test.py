"""Data sets that packages ship: their documented splits."""

from absl.testing import absltest
import numpy as np

from memo_tf.data.sources import bundled
from memo_tf.data.sources import load
from memo_tf.data.sources import load as load_lib
from memo_tf.experiment import settings as settings_lib


class BundledTest(absltest.TestCase):
  def test_the_documented_split_of_real_digits(self):
    from sklearn import datasets as sklearn_datasets

    raw = sklearn_datasets.load_digits()
    data = load.load(settings_lib.DataConfig())

    self.assertEqual(data.train_images.shape, (1500, 8, 8, 1))
    self.assertEqual(data.test_images.shape, (297, 8, 8, 1))
    np.testing.assert_array_equal(data.train_images[7, :, :, 0], raw.images[7])
    np.testing.assert_array_equal(data.test_labels, raw.target[1500:])
    self.assertEqual(data.train_images.max(), data.max_pixel)

  def test_every_dataset_name_has_a_loader(self):
    self.assertEqual(set(bundled.LOADERS), set(settings_lib.BUNDLED_DATASETS))

  def test_bundled_mnist(self):
    data = load_lib.load(settings_lib.DataConfig(dataset="mnist5k"))

    self.assertEqual(data.train_images.shape, (4000, 28, 28, 1))
    self.assertEqual(np.bincount(data.train_labels).tolist(), [400] * 10)
    self.assertEqual(np.bincount(data.test_labels).tolist(), [100] * 10)
    self.assertGreater(data.train_images.max(), 250)


if __name__ == "__main__":
  absltest.main()
