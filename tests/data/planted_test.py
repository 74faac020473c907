"""Planted wrong labels."""

from absl.testing import absltest
import numpy as np

from memo_tf.data import planted


class WrongLabelsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.labels = np.random.default_rng(0).integers(0, 4, 2000)
    self.labels = self.labels.astype(np.int32)

  def test_exactly_the_fraction_is_wrong_and_the_rest_untouched(self):
    noisy, is_noisy = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=0)

    self.assertEqual(is_noisy.sum(), 200)
    np.testing.assert_array_equal(noisy != self.labels, is_noisy)
    self.assertEqual(noisy.dtype, np.int32)
    self.assertTrue(((noisy >= 0) & (noisy < 4)).all())

  def test_wrong_labels_are_uniform_over_the_other_classes(self):
    noisy, is_noisy = planted.plant_wrong_labels(self.labels, 4, 0.9, seed=0)

    shift = (noisy - self.labels)[is_noisy] % 4
    counts = np.bincount(shift, minlength=4)
    self.assertEqual(counts[0], 0)
    # 1,800 draws over three shifts: 600 each, four standard errors are 80.
    np.testing.assert_allclose(counts[1:], 600, atol=80)

  def test_seed_decides(self):
    one = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=0)
    same = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=0)
    other = planted.plant_wrong_labels(self.labels, 4, 0.1, seed=1)

    np.testing.assert_array_equal(one[0], same[0])
    self.assertFalse(np.array_equal(one[1], other[1]))

  def test_no_noise_changes_nothing(self):
    noisy, is_noisy = planted.plant_wrong_labels(self.labels, 4, 0.0, seed=0)

    np.testing.assert_array_equal(noisy, self.labels)
    self.assertFalse(is_noisy.any())


if __name__ == "__main__":
  absltest.main()
