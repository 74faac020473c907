"""Tests of one group's probabilities: when its law is given up."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import special

from memo_tf.estimators import margin_groups

REASON = {name: code for code, name in enumerate(margin_groups.REASONS)}
CONTRADICTED = REASON["margins contradict the share of right runs"]
MISFIT = REASON["misfit of similar examples"]


def moments(count, z, share):
  """Moments that give z: of a moderated variance of 1."""
  share = np.asarray(share, float)
  degrees, variance = count - 1.0, 1.0
  if len(share) > 2:  # equal variances of many samples: free of their bias
    variance = np.exp(special.digamma(degrees / 2)) / (degrees / 2)
  return margin_groups.GroupMoments(
    count=np.full(share.shape, count),
    mean=np.full(share.shape, z),
    squares=np.full(share.shape, degrees * variance),
    share=share,
  )


def reasons(whole, halves):
  nothing = np.zeros(whole.share.shape, bool)
  found = margin_groups.estimate(
    whole, halves, nothing, nothing, confidence=0.95, prior=False
  )
  return found.reason.tolist()


def point(z, count):
  return special.ndtr(z / np.sqrt(1 - 1 / count))


class ContradictionTest(absltest.TestCase):
  def test_is_beyond_three_point_three_standard_deviations(self):
    # Of three margins of z = 1.5 and two degrees of freedom the probability is
    # less certain than by counts, so that a fifth of their variance is taken.
    probability = point(1.5, 3)
    chance = 0.2 * probability * (1 - probability) / 3
    beyond = np.array([0.99, 1.01]) * 3.3 * np.sqrt(chance)
    whole = moments(3, 1.5, probability - 0.5 / 3 - beyond)

    found = reasons(whole, (whole, whole))

    self.assertEqual(found, [0, CONTRADICTED])

  def test_has_the_difference_of_the_variances_as_its_variance(self):
    # Many equal variances are known for certain: that of z is 1 / n.
    probability = point(0.5, 12)
    density = np.exp(-0.125) / np.sqrt(2 * np.pi)
    chance = (probability * (1 - probability) - density**2) / 12
    beyond = 3.3 * np.sqrt(chance) * np.where(np.arange(10) == 4, 1.01, 0.99)
    whole = moments(12, 0.5, probability - 0.5 / 12 - beyond)

    found = reasons(whole, (whole, whole))

    self.assertEqual(found, [0] * 4 + [CONTRADICTED] + [0] * 5)


class MisfitTest(parameterized.TestCase):
  def differing(self, num, mean, spread):
    """Half of the shares `spread` above their mean, half below."""
    signs = np.where(np.arange(num) % 2, 1, -1)
    # With an odd number of examples the signs do not cancel.
    signs = (signs - signs.mean()) / signs.std()
    return moments(13, 0.9, point(0.9, 13) - mean - spread * signs)

  def halves(self, num, product, spread):
    """Halves whose products have this mean and standard deviation."""
    products = product + spread * np.where(np.arange(num) // 2 % 2, 1, -1)
    first = np.full(num, 0.1)
    return tuple(
      moments(13, 0.9, point(0.9, 13) - difference)
      for difference in (first, products / first)
    )

  @parameterized.parameters((2.95, 0), (3.05, MISFIT))
  def test_of_the_mean_is_beyond_chance_at_three_errors(self, errors, reason):
    spread = 0.11 * np.sqrt(20) / errors
    whole = self.differing(20, 0.11, spread)

    found = reasons(whole, self.halves(20, 0.0, 0.001))

    self.assertEqual(found, [reason] * 20)

  @parameterized.parameters((1.95, 0), (2.05, MISFIT))
  def test_of_the_halves_is_beyond_chance_at_two_errors(self, errors, reason):
    whole = self.differing(20, 0.0, 0.1)
    spread = 0.01 * np.sqrt(20) / errors

    found = reasons(whole, self.halves(20, 0.01, spread))

    self.assertEqual(found, [reason] * 20)

  @parameterized.parameters((19, 0), (20, MISFIT))
  def test_needs_twenty_examples(self, num, reason):
    whole = self.differing(num, 0.11, 0.02)

    found = reasons(whole, self.halves(num, 0.0, 0.001))

    self.assertEqual(found, [reason] * num)


if __name__ == "__main__":
  absltest.main()
