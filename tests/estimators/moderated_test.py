"""Tests of moderated variances."""

from absl.testing import absltest
import numpy as np
from scipy import special

from memo_tf.estimators import moderated


def chi_squared_variances(rng, num, degrees, prior_degrees, law):
  """Sample variances under an inverse-gamma prior around `law` `[num]`."""
  true = law * prior_degrees / rng.chisquare(prior_degrees, num)
  return true * rng.chisquare(degrees, num) / degrees, true


class ModeratedVarianceTest(absltest.TestCase):
  def test_inverse_trigamma(self):
    # trigamma(1) = pi^2 / 6 and trigamma(1/2) = pi^2 / 2.
    self.assertAlmostEqual(moderated.inverse_trigamma(np.pi**2 / 6), 1.0)
    self.assertAlmostEqual(moderated.inverse_trigamma(np.pi**2 / 2), 0.5)
    self.assertEqual(moderated.inverse_trigamma(0.0), 5e5)
    self.assertEqual(moderated.inverse_trigamma(-1.0), 5e5)
    self.assertAlmostEqual(moderated.inverse_trigamma(1e9), 1e-3)

  def test_the_formula_with_a_flat_trend(self):
    # Fewer samples than two knots take: the trend is the mean.
    variance = np.array([1.0, 2.0, 8.0, 0.5])
    d = 4.0
    logs = np.log(variance) - special.digamma(d / 2) + np.log(d / 2)
    excess = logs.var(ddof=1) - special.polygamma(1, d / 2)
    d0 = 2 * moderated.inverse_trigamma(excess)
    prior = np.exp(logs.mean() + special.digamma(d0 / 2) - np.log(d0 / 2))

    found = moderated.moderated_variance(variance, np.full(4, d), np.zeros(4))

    self.assertAlmostEqual(found.prior_degrees, d0)
    np.testing.assert_allclose(
      found.variance, (d0 * prior + d * variance) / (d0 + d)
    )
    np.testing.assert_allclose(found.degrees, d0 + d)

  def test_finds_the_prior_and_the_trend(self):
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 3, 4000)
    law = np.exp(0.2 * mean)
    own, true = chi_squared_variances(rng, 4000, 11, 20, law)

    found = moderated.moderated_variance(own, np.full(4000, 11), mean)

    self.assertBetween(found.prior_degrees, 16, 25)

    def error(guess):
      return np.square(np.log(guess / true)).mean()

    # The posterior knows more than the sample and than the law alone.
    self.assertLess(error(found.variance), 0.5 * error(own))
    self.assertLess(error(found.variance), 0.8 * error(law))

  def test_rounding_adds_no_bend(self):
    # 20 samples have too few between the first and the last for a line; the
    # last level of the bends is above the last mean, but by rounding alone.
    mean = np.r_[-1.5, np.linspace(-1, 2, 18), 2.9]
    self.assertGreater(mean[0] + (mean[-1] - mean[0]), mean[-1])

    found = moderated.moderated_variance(np.exp(mean), np.full(20, 11), mean)

    np.testing.assert_allclose(found.prior, found.prior[0])

  def test_equal_variances_are_known_for_certain(self):
    rng = np.random.default_rng(1)
    own = rng.chisquare(11, 3000) / 11

    found = moderated.moderated_variance(
      own, np.full(3000, 11), rng.normal(size=3000)
    )

    self.assertGreater(found.prior_degrees, 200)
    np.testing.assert_allclose(found.variance, 1.0, atol=0.25)

  def test_unusable_samples_are_nan_and_do_not_count(self):
    rng = np.random.default_rng(2)
    own = rng.chisquare(11, 300) / 11
    mean, degrees = rng.normal(size=300), np.full(300, 11.0)
    bad = np.array([0.0, np.nan, np.inf, 1.0, -1.0])
    some = moderated.moderated_variance(own, degrees, mean)

    found = moderated.moderated_variance(
      np.r_[own, bad],
      np.r_[degrees, 11, 11, 11, 0, 11],
      np.r_[mean, np.zeros(5)],
    )

    self.assertTrue(np.isnan(found.variance[300:]).all())
    np.testing.assert_array_equal(found.variance[:300], some.variance)

  def test_two_samples_are_left_as_they_are(self):
    found = moderated.moderated_variance(
      np.array([1.0, 3.0]), np.array([4, 4]), np.zeros(2)
    )

    np.testing.assert_array_equal(found.variance, [1.0, 3.0])
    np.testing.assert_array_equal(found.degrees, [4, 4])
    self.assertTrue(np.isnan(found.prior_degrees))


if __name__ == "__main__":
  absltest.main()
