"""Wilson's interval as published; Newcombe's covers."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import stats

from memo_tf.estimators import intervals


class CoverageTest(parameterized.TestCase):
  @parameterized.parameters(20, 100, 400)
  def test_newcombe_covers_over_the_grid(self, num_runs):
    num_in = round(0.7 * num_runs)
    num_out, grid = num_runs - num_in, np.linspace(0, 1, 41)
    hits_in, hits_out = np.arange(num_in + 1), np.arange(num_out + 1)
    low, high = intervals.newcombe_interval(
      (hits_in / num_in)[:, None],
      num_in,
      (hits_out / num_out)[None],
      num_out,
    )
    chance_in = stats.binom.pmf(hits_in[:, None], num_in, grid)
    chance_out = stats.binom.pmf(hits_out[:, None], num_out, grid)

    coverage = np.empty((41, 41))
    for i, j in np.ndindex(41, 41):
      truth = grid[i] - grid[j]
      covered = (low - 1e-12 <= truth) & (truth <= high + 1e-12)
      coverage[i, j] = chance_in[:, i] @ covered @ chance_out[:, j]

    self.assertGreaterEqual((coverage >= 0.93).mean(), 0.97)
    self.assertGreaterEqual(coverage.min(), 0.85)
    self.assertBetween(coverage.mean(), 0.945, 0.97)


class WilsonTest(parameterized.TestCase):
  # Wilson's limits, as in Newcombe (1998), Statistics in Medicine 17:857-872,
  # table I, method 3.
  @parameterized.parameters(
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
    (29, 29, 0.8830, 1.0000),
  )
  def test_wilson_published(self, hits, count, low, high):
    found = intervals.wilson_interval(
      np.array([hits / count]), np.array([count])
    )

    self.assertAlmostEqual(found[0][0], low, delta=5.1e-5)
    self.assertAlmostEqual(found[1][0], high, delta=5.1e-5)

  def test_wilson_is_exact_at_the_ends(self):
    counts = np.arange(1, 200)

    low, _ = intervals.wilson_interval(np.zeros(199), counts)
    _, high = intervals.wilson_interval(np.ones(199), counts)

    np.testing.assert_array_equal(low, 0.0)
    np.testing.assert_array_equal(high, 1.0)


if __name__ == "__main__":
  absltest.main()
