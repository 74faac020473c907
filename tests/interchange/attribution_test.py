"""Attributions in and their truth out."""

import pathlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf import interchange
from memo_tf.interchange import attribution


class ReadTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = pathlib.Path(self.create_tempdir().full_path, "mine.npy")

  def read(self, values, orientation="train_by_test"):
    np.save(self.path, values)
    return interchange.read_attribution(
      self.path, orientation=orientation, num_train=3, num_test=2
    )

  def test_both_orientations_are_the_same_matrix(self):
    values = np.arange(6.0).reshape(3, 2)

    np.testing.assert_array_equal(self.read(values), values)
    np.testing.assert_array_equal(self.read(values.T, "test_by_train"), values)

  @parameterized.parameters(
    (np.ones((2, 3)), "must be 3 x 2 as train_by_test.*it would fit as test_b"),
    (np.ones((3, 5)), "3 training and 2 test examples. Received: 3 x 5$"),
    (np.ones(6), "Received: 6$"),
    (np.ones(()), "Received: a single number$"),
    (np.full((3, 2), np.inf), "must be finite. Received: 6 values"),
    (np.ones((3, 2), complex), "must hold real numbers. Received: complex128"),
    (np.ones((3, 2), object), "pickled objects, which are never loaded"),
  )
  def test_what_does_not_fit_is_refused(self, values, message):
    with self.assertRaisesRegex(interchange.InterchangeError, message):
      self.read(values)

  def test_what_is_no_file_of_an_array_is_refused(self):
    np.savez(self.path.with_suffix(".npz"), scores=np.ones((3, 2)))
    content = self.path.with_suffix(".npz").read_bytes()
    for given in (content, content[:100], b"0.1,0.2", b""):
      self.path.write_bytes(given)
      with self.assertRaisesRegex(
        interchange.InterchangeError, "mine.npy (is not an .npy|cannot be read)"
      ):
        interchange.read_attribution(
          self.path, orientation="train_by_test", num_train=3, num_test=2
        )

  def test_there_are_two_orientations(self):
    with self.assertRaisesRegex(ValueError, "must be one of train_by_test, te"):
      self.read(np.ones((3, 2)), "sideways")


class TruthTest(absltest.TestCase):
  def test_ids_and_outputs_of_the_runs(self):
    path = pathlib.Path(self.create_tempdir().full_path, "truth.npz")
    in_mask = np.array([[1, 0, 1], [0, 1, 1]], bool)
    outputs = np.array([[0.5], [-1.5]])

    attribution.write_attribution_truth(
      path, in_mask, outputs, test_ids=np.array([7])
    )

    with np.load(path, allow_pickle=False) as found:
      np.testing.assert_array_equal(found["indices"], [[0, 2], [1, 2]])
      np.testing.assert_array_equal(found["target_values"], outputs)
      np.testing.assert_array_equal(found["test_ids"], [7])
      self.assertEqual(found["indices"].dtype, np.int64)
      self.assertEqual(found["target_values"].dtype, np.float32)

  def test_subsets_of_several_sizes_are_refused(self):
    path = pathlib.Path(self.create_tempdir().full_path, "truth.npz")

    with self.assertRaisesRegex(
      interchange.InterchangeError, "one size .* sizes from 1 to 3"
    ):
      attribution.write_attribution_truth(
        path, np.array([[1, 1, 1], [0, 1, 0]], bool), np.ones((2, 1))
      )
    with self.assertRaisesRegex(interchange.InterchangeError, r"\[M, T\]"):
      attribution.write_attribution_truth(
        path, np.ones((2, 3), bool), np.ones((3, 1))
      )
    self.assertFalse(path.exists())


if __name__ == "__main__":
  absltest.main()
