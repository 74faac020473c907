"""In- and out-means against hand arithmetic and the definition."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.estimators import in_out


def by_definition(outcome, in_mask, weights):
  """`[R, N]` in- and out-means, one run at a time."""
  found = np.full((2, len(weights), outcome.shape[1]), np.nan)
  for r, n in np.ndindex(found.shape[1:]):
    for group, inside in enumerate((True, False)):
      total = count = 0.0
      for m in range(len(outcome)):
        if in_mask[m, n] == inside:
          total += weights[r, m] * float(outcome[m, n])
          count += weights[r, m]
      if count:
        found[group, r, n] = total / count
  return found


class InOutMeansTest(parameterized.TestCase):
  def test_by_hand(self):
    in_mask = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    correct = np.array([[1, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 1]], bool)

    in_mean, out_mean = in_out.in_out_means(correct, in_mask)

    # Example 0: in runs 0 and 1. Example 1: in runs 0 and 2. Example 2: never.
    np.testing.assert_array_equal(in_mean, [0.5, 0.5, np.nan])
    np.testing.assert_array_equal(out_mean, [0, 1, 0.75])

  def test_weights_by_hand(self):
    in_mask = np.array([[1], [1], [0]], bool)
    outcome = np.array([[0.5], [0.25], [0.75]])
    weights = np.array([[1.0, 1, 1], [3, 1, 0]])

    in_mean, out_mean = in_out.in_out_means(outcome, in_mask, weights)

    # (3 * 0.5 + 0.25) / 4; the only out-run has weight 0.
    np.testing.assert_array_equal(in_mean, [[0.375], [0.4375]])
    np.testing.assert_array_equal(out_mean, [[0.75], [np.nan]])

  @parameterized.parameters(bool, np.float32, np.float64)
  def test_equals_the_definition(self, dtype):
    rng = np.random.default_rng(0)
    # More runs than uint8 counts to.
    outcome = (rng.random((600, 5)) * (2 if dtype is bool else 1)).astype(dtype)
    if dtype is bool:
      outcome = rng.random((600, 5)) < 0.9
    in_mask = rng.random((600, 5)) < 0.7
    in_mask[:, 0] = True
    weights = rng.integers(0, 4, (3, 600)).astype(float)

    plain = in_out.in_out_means(outcome, in_mask)
    weighted = in_out.in_out_means(outcome, in_mask, weights)

    expected = by_definition(outcome, in_mask, np.ones((1, 600)))
    np.testing.assert_allclose(plain, expected[:, 0], rtol=1e-12)
    expected = by_definition(outcome, in_mask, weights)
    np.testing.assert_allclose(weighted, expected, rtol=1e-12)
    for found in (plain, weighted):
      np.testing.assert_array_equal(np.isnan(found[1][..., 0]), True)

  def test_held_out_mean_is_the_out_mean_to_the_bit(self):
    rng = np.random.default_rng(1)
    in_mask = rng.random((40, 30)) < 0.7
    weights = rng.integers(0, 3, (4, 40)).astype(np.float32)
    for outcome in (rng.random((40, 30)), rng.random((40, 30)) < 0.5):
      for w in (None, weights):
        np.testing.assert_array_equal(
          in_out.held_out_mean(outcome, in_mask, w),
          in_out.in_out_means(outcome, in_mask, w)[1],
        )

  def test_counts_go_with_the_sums(self):
    in_mask = np.array([[True, False], [True, True]])
    correct = np.array([[True, True], [False, True]])

    sums = in_out.in_out_sums(correct, in_mask)

    np.testing.assert_array_equal(sums.sum_in, [1, 1])
    np.testing.assert_array_equal(sums.sum_out, [0, 1])
    np.testing.assert_array_equal(sums.num_in, [2, 1])
    np.testing.assert_array_equal(sums.num_out, [0, 1])
    self.assertEqual(sums.sum_in.dtype, np.int64)

  def test_weights_settle_the_dtype(self):
    ones = np.ones((1, 2), np.float32)

    in_mean, _ = in_out.in_out_means(
      np.ones((2, 3), bool), np.ones((2, 3), bool), ones
    )

    self.assertEqual(in_mean.dtype, np.float32)

  @parameterized.parameters(
    (np.ones((2, 3)), np.ones((2, 3)), "bool"),
    (np.ones((2, 3)), np.ones((3, 2), bool), r"\(3, 2\)"),
    (np.ones(3), np.ones(3, bool), r"\[M, N\]"),
  )
  def test_rejects(self, outcome, in_mask, message):
    with self.assertRaisesRegex(ValueError, message):
      in_out.in_out_means(outcome, in_mask)
    with self.assertRaisesRegex(ValueError, message):
      in_out.held_out_mean(outcome, in_mask)


if __name__ == "__main__":
  absltest.main()
