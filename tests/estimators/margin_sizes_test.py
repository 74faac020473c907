"""Tests of margin scores of several sizes together."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import special

from memo_tf.estimators import margin_sizes
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from tests.support import slow_margins


def simulate(spread, *, shared_noise=0.15, num_runs=20, num_examples=1000):
  """Three sizes whose z differ by `spread`: (margin, in_mask, truth)."""
  rng = np.random.default_rng(0)
  shape = (3, num_examples)
  sd = np.exp(rng.normal(0.8, 0.12, num_examples))
  out_z = rng.normal(1.5, 1.8, num_examples) + rng.normal(0, spread, shape)
  in_z = rng.normal(4, 1, num_examples) + rng.normal(0, spread, shape)
  mask = np.concatenate(
    [
      np.argsort(rng.random((10, num_examples)), axis=0) < 7
      for _ in range(num_runs // 10)
    ]
  )
  common = np.sqrt(shared_noise) * rng.normal(size=mask.shape)
  own = np.sqrt(1 - shared_noise) * rng.normal(size=(3, *mask.shape))
  level = np.where(mask, in_z[:, None], out_z[:, None])
  truth = special.ndtr(in_z) - special.ndtr(out_z)
  return (level + common + own) * sd, mask, truth


def gains(margin, mask, truth):
  """Squared error of plain scores over those of margins, and of sizes."""

  def error(scores):
    points = np.stack([one.memorization for one in scores])
    return np.square(points - truth).mean()

  plain = error([memorization.memorization_scores(m > 0, mask) for m in margin])
  alone = error([margins.margin_scores(m, mask) for m in margin])
  together = error(margin_sizes.margin_scores_sizes(margin, mask))
  return plain / alone, plain / together


class MarginSizesTest(parameterized.TestCase):
  def test_like_sizes_gain_nearly_their_number(self):
    alone, together = gains(*simulate(0.0))

    self.assertGreater(together, 1.8 * alone)

  def test_sizes_that_differ_lose_nothing(self):
    alone, together = gains(*simulate(2.0))

    self.assertGreater(together, 0.95 * alone)

  def test_noise_that_sizes_share_is_not_averaged_away(self):
    # All of it is shared: the sizes together know no more than one.
    alone, together = gains(*simulate(0.0, shared_noise=1.0))

    self.assertBetween(together / alone, 0.95, 1.1)

  # Like sizes; those whose noise is all shared; and, in the first, fewer than
  # 20 examples to compare in the in-group.
  @parameterized.parameters((0.0, 0.15), (0.0, 1.0), (0.4, 0.15))
  def test_follows_the_formulas_one_number_at_a_time(self, spread, shared):
    margin, mask, _ = simulate(spread, shared_noise=shared, num_examples=300)
    margin[1, :, 7] = 2.0

    together = margin_sizes.margin_scores_sizes(margin, mask, prior=False)

    out_points, in_points = slow_margins.points_of_sizes(margin, mask)
    for found, outside, inside in zip(together, out_points, in_points):
      np.testing.assert_allclose(found.out_accuracy, outside, atol=1e-12)
      np.testing.assert_allclose(found.in_accuracy, inside, atol=1e-12)

  def test_intervals_are_those_of_each_size(self):
    margin, mask, _ = simulate(0.2)

    together = margin_sizes.margin_scores_sizes(margin, mask)

    self.assertLen(together, 3)
    for own, found in zip(margin, together):
      alone = margins.margin_scores(own, mask)
      np.testing.assert_array_equal(found.ci_low, alone.ci_low)
      np.testing.assert_array_equal(found.ci_high, alone.ci_high)
      self.assertTrue((found.memorization >= found.ci_low).all())

  def test_an_example_that_falls_back_in_one_size_is_left_alone(self):
    margin, mask, _ = simulate(0.2)
    margin[1, :, 7] = 2.0

    together = margin_sizes.margin_scores_sizes(margin, mask, prior=False)

    alone = [margins.margin_scores(m, mask, prior=False) for m in margin]
    for s in range(3):
      self.assertAlmostEqual(
        together[s].memorization[7], alone[s].memorization[7]
      )
    self.assertGreater(
      np.abs(together[0].memorization - alone[0].memorization).max(), 0.05
    )

  def test_one_size_is_the_margin_score(self):
    margin, mask, _ = simulate(0.2)

    (found,) = margin_sizes.margin_scores_sizes(margin[:1], mask)

    alone = margins.margin_scores(margin[0], mask)
    np.testing.assert_array_equal(found.memorization, alone.memorization)

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, r"\[S, M, N\]"):
      margin_sizes.margin_scores_sizes(np.zeros((2, 3)), np.zeros((2, 3), bool))


if __name__ == "__main__":
  absltest.main()
