"""Tests of the law of many unknown means."""

from absl.testing import absltest
import numpy as np
from scipy import special

from memo_tf.estimators import mixing_prior
from tests.support import slow_margins


class PosteriorMeanTest(absltest.TestCase):
  def test_follows_the_formulas_one_number_at_a_time(self):
    rng = np.random.default_rng(2)
    observed = rng.normal(1, 3, 60)
    noise, degrees = 1 / rng.integers(3, 11, 60), rng.uniform(5, 40, 60)

    found = mixing_prior.posterior_mean(observed, noise, degrees, special.ndtr)

    expected = slow_margins.with_law_of_all(observed, noise, degrees)
    np.testing.assert_allclose(found, expected, atol=2e-6)  # float32

  def test_equal_unknowns_are_shrunk_to_one_another(self):
    rng = np.random.default_rng(0)
    observed = rng.normal(1.0, 0.5, 2000)
    noise, degrees = np.full(2000, 0.25), np.full(2000, 1e9)

    found = mixing_prior.posterior_mean(observed, noise, degrees, lambda z: z)

    self.assertLess(np.square(found - 1).mean(), 0.15 * 0.25)

  def test_normal_unknowns_are_shrunk_as_by_the_normal_rule(self):
    # z ~ N(0, 1) seen with variance 1: the mean given z_hat is z_hat / 2.
    rng = np.random.default_rng(1)
    observed = rng.normal(0, 1, 20000) + rng.normal(0, 1, 20000)

    found = mixing_prior.posterior_mean(
      observed, np.ones(20000), np.full(20000, 1e9), lambda z: z
    )

    inner = np.abs(observed) < 2
    np.testing.assert_allclose(found[inner], observed[inner] / 2, atol=0.15)

  def test_precise_observations_stay_to_a_step_of_the_grid(self):
    observed = np.linspace(-7, 7, 99)

    found = mixing_prior.posterior_mean(
      observed, np.full(99, 1e-4), np.full(99, 1e9), lambda z: z
    )

    np.testing.assert_allclose(found, np.clip(observed, -6, 6), atol=0.051)


if __name__ == "__main__":
  absltest.main()
