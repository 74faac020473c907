"""Order of the batches: each epoch a fresh permutation, of (seed, …) only."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from memo_tf.data import pipeline
from memo_tf.data.stored import images as images_lib

KEY = {"seed": 0, "family": "r0.70", "index": 3, "epoch": 5}


class EpochOrderTest(parameterized.TestCase):
  @parameterized.parameters((100, 10, 10), (105, 10, 10), (7, 7, 1), (9, 1, 9))
  def test_each_member_at_most_once_and_as_many_as_fit(self, n, batch, steps):
    order = pipeline.epoch_order(n, batch, **KEY)

    self.assertEqual((order.shape, order.dtype), ((steps, batch), np.int32))
    self.assertLen(set(order.ravel().tolist()), steps * batch)
    self.assertTrue(((order >= 0) & (order < n)).all())

  def test_who_is_left_out_changes_from_epoch_to_epoch(self):
    left = set()
    for epoch in range(30):
      order = pipeline.epoch_order(12, 5, **{**KEY, "epoch": epoch})
      left |= set(range(12)) - set(order.ravel().tolist())

    self.assertEqual(left, set(range(12)))

  @parameterized.parameters(
    ("seed", 1), ("family", "r0.50"), ("index", 4), ("epoch", 6)
  )
  def test_every_part_of_the_key_matters(self, name, value):
    base = pipeline.epoch_order(100, 10, **KEY)
    same = pipeline.epoch_order(100, 10, **KEY)
    other = pipeline.epoch_order(100, 10, **{**KEY, name: value})

    np.testing.assert_array_equal(base, same)
    self.assertFalse(np.array_equal(base, other))

  def test_first_places_are_uniform(self):
    first = [
      pipeline.epoch_order(4, 4, **{**KEY, "epoch": epoch})[0, 0]
      for epoch in range(400)
    ]

    # 100 expected of each; four standard errors are 35.
    np.testing.assert_allclose(np.bincount(first), 100, atol=35)

  def test_normalize_by_hand(self):
    images = tf.constant([[[[0, 10]], [[4, 30]]]], tf.uint8)

    found = pipeline.normalize(
      images, tf.constant([2.0, 20.0]), tf.constant([2.0, 5.0])
    )

    np.testing.assert_allclose(found[0, :, 0, :], [[-1, -2], [1, 2]])


class OnDeviceTest(absltest.TestCase):
  def test_images_become_a_tensor_without_a_copy(self):
    images = images_lib.aligned_empty((3, 8, 8, 1))
    images[:] = 1

    tensor = pipeline.on_device(images)
    images[0, 0, 0, 0] = 7

    self.assertEqual((tensor.dtype, tensor.shape), (tf.uint8, (3, 8, 8, 1)))
    self.assertEqual(int(tensor[0, 0, 0, 0]), 7)
    # Memory that begins elsewhere is copied.
    odd = np.ones(193, np.uint8)[1:].reshape(3, 8, 8, 1)
    np.testing.assert_array_equal(pipeline.on_device(odd), odd)


if __name__ == "__main__":
  absltest.main()
