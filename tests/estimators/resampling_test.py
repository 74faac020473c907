"""The paired block bootstrap: whole blocks, pairing, intervals that cover."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.estimators import in_out
from memo_tf.estimators import resampling


class DrawsTest(parameterized.TestCase):
  @parameterized.parameters(*resampling.DRAWS)
  def test_draws_whole_blocks_as_many_as_there_are(self, draw):
    found = resampling.paired_bootstrap(
      40, block=5, num_resamples=50, draw=draw
    )

    by_block = found.weights.reshape(51, 8, 5)
    np.testing.assert_array_equal(np.ptp(by_block, axis=2), 0)
    np.testing.assert_array_equal(found.weights.sum(axis=1), 40)
    np.testing.assert_array_equal(found.weights[0], 1)
    self.assertGreater(found.weights[1:].std(), 0.5)
    self.assertEqual(found.num_blocks, 8)

  def test_an_incomplete_last_block_is_a_block(self):
    found = resampling.paired_bootstrap(7, block=3, min_blocks=1)

    self.assertEqual(found.num_blocks, 3)
    self.assertEqual(found.weights.shape, (201, 7))
    np.testing.assert_array_equal(found.weights[:, 3], found.weights[:, 5])

  def test_same_arguments_same_draws(self):
    one, two, other = (
      resampling.paired_bootstrap(20, seed=seed).weights for seed in (0, 0, 1)
    )

    np.testing.assert_array_equal(one, two)
    self.assertTrue((one != other).any())

  def test_few_blocks_give_single_runs(self):
    self.assertEqual(resampling.paired_bootstrap(100, block=10).num_blocks, 10)
    self.assertEqual(resampling.paired_bootstrap(40, block=10).num_blocks, 40)
    self.assertIsNone(resampling.paired_bootstrap(1))
    self.assertIsNone(resampling.paired_bootstrap(9, block=10, min_blocks=1))

  def test_blocks_by_name(self):
    np.testing.assert_array_equal(
      resampling.block_of_run(5, np.array([7, 7, 2, 2, 9])), [1, 1, 0, 0, 2]
    )
    np.testing.assert_array_equal(
      resampling.block_of_run(5, 2), [0, 0, 1, 1, 2]
    )

  def test_rejects_an_unknown_draw(self):
    with self.assertRaisesRegex(ValueError, "Received: 'all'"):
      resampling.paired_bootstrap(20, draw="all")


class IntervalsTest(absltest.TestCase):
  def study(self, seed):
    rng = np.random.default_rng(seed)
    in_mask = rng.random((60, 200)) < 0.7
    return rng.random(in_mask.shape) < np.where(in_mask, 0.9, 0.5), in_mask

  def mean(self, correct, in_mask, weights):
    in_mean, out_mean = in_out.in_out_means(correct, in_mask, weights)
    return np.nanmean(in_mean - out_mean, axis=1)[:, None]

  def test_intervals_cover_the_truth(self):
    held = []
    for seed in range(40):
      found = resampling.paired_bootstrap(60, num_resamples=60, seed=seed)
      _, low, high = found.intervals(
        self.mean(*self.study(seed), found.weights)
      )[0]
      held.append(low <= 0.4 <= high)

    # 38 of 40 expected.
    self.assertGreaterEqual(sum(held), 34)

  def test_a_paired_difference_is_surer_than_its_parts(self):
    correct, in_mask = self.study(0)
    # The second size answers alike, but for a tenth of what it held out.
    flip = np.random.default_rng(1).random(in_mask.shape) < 0.1
    other = correct & ~(flip & ~in_mask)
    found = resampling.paired_bootstrap(60, block=5)

    one, two = (self.mean(c, in_mask, found.weights) for c in (correct, other))

    _, low, high = found.intervals(two - one)[0]
    _, low_one, high_one = found.intervals(one)[0]
    self.assertLess(high - low, high_one - low_one)
    self.assertGreater(low, 0)

  def test_replicates_without_a_group_are_left_out(self):
    found = resampling.paired_bootstrap(20, num_resamples=50)
    values = np.random.default_rng(0).random((51, 1))
    clean = found.intervals(values[:26])

    values[26:] = np.nan

    np.testing.assert_array_equal(found.intervals(values), clean)


if __name__ == "__main__":
  absltest.main()
