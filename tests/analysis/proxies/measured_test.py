"""Scores with replicates: spread, reliability and intervals that hold."""

import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis import ranking
from memo_tf.analysis.proxies import measured
from memo_tf.estimators import resampling


class RecordingRunsTest(parameterized.TestCase):
  def test_one_run_has_no_spread(self):
    found = measured.from_recording_runs(np.array([[1.0, np.nan]]))

    np.testing.assert_array_equal(found.values, [1, np.nan])
    self.assertIsNone(found.replicates)
    self.assertTrue(math.isnan(found.reliability))

  def test_two_runs_by_hand(self):
    # Means 1.5, 3.5, 2; the second has one run's value only.
    runs = np.array([[1.0, np.nan, 2.0], [2.0, 3.5, 2.0]])

    found = measured.from_recording_runs(runs, num_resamples=50)

    np.testing.assert_array_equal(found.values, [1.5, 3.5, 2])
    # A draw is the first twice, both, or the second twice; widened by sqrt 2.
    half = math.sqrt(2) * 0.5
    np.testing.assert_allclose(
      np.unique(found.replicates[:, 0]), [1.5 - half, 1.5, 1.5 + half]
    )
    # What has no value in a draw has none.
    self.assertTrue(np.isnan(found.replicates[:, 1]).any())
    np.testing.assert_allclose(found.replicates[:, 2], 2)
    self.assertEqual(found.drawn, "2 recording runs")

  @parameterized.parameters(2, 3, 10)
  def test_spread_and_reliability_are_those_of_the_mean(self, count):
    # Truth of variance 1, noise of variance 0.5 a run: the mean's noise is
    # 0.5 / P, and its reliability 1 / (1 + 0.5 / P).
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    runs = truth + math.sqrt(0.5) * rng.normal(size=(count, 4000))

    found = measured.from_recording_runs(runs, num_resamples=200)

    spread = found.replicates.var(axis=0, ddof=1).mean()
    self.assertAlmostEqual(spread, 0.5 / count, delta=0.15 / count)
    expected = 1 / (1 + 0.5 / count)
    self.assertAlmostEqual(found.reliability, expected, delta=0.02)
    self.assertAlmostEqual(found.rank_reliability, expected, delta=0.03)

  def test_runs_that_do_not_agree_have_no_reliability(self):
    runs = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])

    found = measured.from_recording_runs(runs)

    self.assertTrue(math.isnan(found.reliability))
    with self.assertRaisesRegex(ValueError, r"\[P, N\]"):
      measured.from_recording_runs(np.ones(3))


class SubsetRunsTest(absltest.TestCase):
  def test_widened_for_few_blocks(self):
    found = measured.from_subset_runs(
      np.array([1.0]), np.array([[0.0], [3.0]]), num_blocks=2
    )

    root = math.sqrt(2)
    np.testing.assert_allclose(found.replicates, [[1 - root], [1 + 2 * root]])
    with self.assertRaisesRegex(ValueError, "`num_blocks`"):
      measured.from_subset_runs(np.ones(1), np.ones((2, 1)), num_blocks=1)


class MeasuredTest(absltest.TestCase):
  def test_turning(self):
    score = measured.Measured(
      values=np.array([1.0, -2.0]), replicates=np.array([[3.0, 4.0]])
    )

    turned = score.turned(-1)

    np.testing.assert_array_equal(turned.values, [-1, 2])
    np.testing.assert_array_equal(turned.replicates, [[-3, -4]])
    self.assertIs(score.turned(None), score)
    self.assertIs(score.turned(1), score)

  def test_difference_is_paired(self):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 4000))
    noise = rng.normal(size=(100, 1, 4000))
    # The same noise in both, and 0.1 of its variance of each one's own.
    own = math.sqrt(0.1) * rng.normal(size=(100, 2, 4000))
    replicates = values + noise + own
    one, other = (
      measured.Measured(values=v, replicates=replicates[:, i])
      for i, v in enumerate(values)
    )

    moved = one - other

    np.testing.assert_array_equal(moved.values, values[0] - values[1])
    self.assertAlmostEqual(moved.replicates.std(axis=0).mean() ** 2, 0.2, 1)
    alone = one - measured.Measured(values=values[1])
    self.assertIsNone(alone.replicates)
    self.assertTrue(math.isnan(alone.reliability))

  def test_reliability_of_a_difference_is_that_of_its_halves(self):
    # Half of the noise of a run is common to both scores and cancels.
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 4000))
    common = rng.normal(size=(10, 4000))
    one, other = (
      measured.from_recording_runs(
        values + 3 * common + rng.normal(size=(10, 4000)), num_resamples=5
      )
      for values in truth
    )

    moved = one - other.turned(-1).turned(-1)

    # Variance 2 of the difference; noise 2 / 10.
    self.assertAlmostEqual(moved.reliability, 2 / 2.2, delta=0.02)
    self.assertEqual(moved.num_drawn, 10)
    low, high = moved.rank_reliability_interval
    self.assertBetween(moved.rank_reliability, low, high)
    self.assertLess(high - low, 0.1)
    short = measured.from_recording_runs(np.ones((3, 4000)), num_resamples=5)
    self.assertTrue(math.isnan((one - short).reliability))

  def test_rows_over_the_examples_that_both_have(self):
    one = measured.Measured(
      values=np.array([1.0, np.nan, 3.0]),
      replicates=np.array([[5.0, 5.0, np.nan]]),
    )
    other = measured.Measured(values=np.array([1.0, 2.0, 4.0]))

    known, rows, other_rows = measured.replicate_rows(one, other)

    np.testing.assert_array_equal(known, [True, False, True])
    # Where the replicate lacks the example its value stands in.
    np.testing.assert_array_equal(rows, [[1, 3], [5, 3]])
    np.testing.assert_array_equal(other_rows, [[1, 4]])


class IntervalTest(parameterized.TestCase):
  def test_by_hand(self):
    low, high = resampling.interval(1.0, np.array([4.0, 6.0]))

    # Deviation sqrt 2, whatever the replicates' mean.
    self.assertAlmostEqual(low, 1 - 1.959964 * math.sqrt(2), 5)
    self.assertAlmostEqual(high, 1 + 1.959964 * math.sqrt(2), 5)
    # Student's t of 3 degrees for four blocks.
    low, _ = resampling.interval(1.0, np.array([4.0, 6.0]), num_drawn=4)
    self.assertAlmostEqual(low, 1 - 3.182446 * math.sqrt(2), 5)

  def test_stays_within_bounds_and_covers_the_estimate(self):
    rng = np.random.default_rng(0)
    for estimate in (-1.0, -0.99, 0.0, 0.99, 1.0):
      low, high = resampling.interval(
        estimate,
        np.clip(estimate + 0.1 * rng.normal(size=50), -1, 1),
        bounds=(-1, 1),
      )
      self.assertBetween(low, -1, estimate)
      self.assertBetween(high, estimate, 1)
    low, high = resampling.interval(0.5, rng.random(50), bounds=(0, 1))
    self.assertAlmostEqual(low + high, 1)

  def test_missing(self):
    for estimate, replicates in (
      (np.nan, [1.0, 2.0]),
      (1.0, []),
      (1.0, [2.0]),
      (1.0, [2.0, 3.0, np.nan, np.nan, np.nan]),
    ):
      found = resampling.interval(estimate, np.array(replicates))
      self.assertTrue(np.isnan(found).all())

  @parameterized.parameters(4, 10, 40)
  def test_coverage_over_blocks(self, num_blocks):
    # Blocks of runs tell a correlation of 400 scores; in 95 % of studies its
    # interval should hold what other studies find on average.
    rng = np.random.default_rng(num_blocks)
    truth = rng.normal(size=400)
    proxy = 0.6 * truth + 0.8 * rng.normal(size=400)
    noise = math.sqrt(num_blocks) * 0.3
    means, holds = [], []
    for seed in range(400):
      blocks = truth + noise * (
        rng.normal(size=(num_blocks, 400))
        + 0.5 * rng.normal(size=(num_blocks, 1)) * proxy
      )
      drawn = resampling.paired_bootstrap(
        num_blocks, min_blocks=1, num_resamples=100, seed=seed, draw="indices"
      )
      scores = drawn.weights @ blocks / num_blocks
      found = measured.from_subset_runs(
        scores[0], scores[1:], num_blocks=drawn.num_blocks
      )
      values = ranking.pearson_rows(
        np.concatenate([found.values[None], found.replicates]), proxy[None]
      )
      means.append(values[0])
      holds.append(
        resampling.interval(
          values[0],
          values[1:],
          num_drawn=found.num_drawn,
          bounds=(-1, 1),
        )
      )
    expected = np.mean(means)

    inside = np.mean([low <= expected <= high for low, high in holds])

    # 95 % of 400, two standard deviations wide of 93 to 97 %.
    self.assertBetween(inside, 0.91, 0.985)
    print("coverage", num_blocks, inside)


if __name__ == "__main__":
  absltest.main()
