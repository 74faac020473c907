"""Tests of influence from margins."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import special
from scipy import stats

from memo_tf.estimators import influence
from memo_tf.estimators import margin_influence
from tests.support import slow_margins


def simulate(effect, *, num_runs=40, num_train=60, num_test=80, seed=0):
  """Training example n moves the margin of test example n by `effect`."""
  rng = np.random.default_rng(seed)
  mask = np.concatenate(
    [
      np.argsort(rng.random((10, num_train)), axis=0) < 7
      for _ in range(num_runs // 10)
    ]
  )
  margin = rng.normal(0.3, 1, num_test) + rng.normal(size=(num_runs, num_test))
  margin[:, :num_train] += effect * (mask - 0.7)
  return margin, mask


def all_pairs(num_train, num_test):
  return (
    np.repeat(np.arange(num_train), num_test),
    np.tile(np.arange(num_test), num_train),
  )


class MarginInfluenceTest(parameterized.TestCase):
  def test_without_a_law_it_is_the_two_sample_t_test(self):
    # Two test examples have no common law of variances.
    margin = np.array([[1.0, 0], [2, 1], [4, 1], [0, 0], [-1, 2]])
    mask = np.array([[1], [1], [1], [0], [0]], bool)

    found = margin_influence.margin_influence(
      margin, mask, np.array([0, 0]), np.array([0, 1]), num_tested=2
    )

    inside, outside = margin[:3], margin[3:]
    p = stats.ttest_ind(inside, outside, alternative="greater").pvalue
    np.testing.assert_allclose(found.q_value, [2 * p[0], p[1]])
    # Of the first: means 7/3 and -1/2, squares 14/3 and 1/2 on 3 degrees.
    s = np.sqrt((14 / 3 + 1 / 2) / 3)
    expected = special.ndtr(7 / 3 / (s * np.sqrt(2 / 3))) - special.ndtr(
      -0.5 / (s * np.sqrt(1 / 2))
    )
    self.assertAlmostEqual(found.influence[0], expected)

  def test_follows_the_formulas_one_number_at_a_time(self):
    margin, mask = simulate(2.0)
    train, test = np.arange(60), np.arange(60) // 2 * 2

    found = margin_influence.margin_influence(
      margin, mask, train, test, num_tested=1000
    )

    influence, q_value = slow_margins.pairs(margin, mask, train, test, 1000)
    np.testing.assert_allclose(found.influence, influence, atol=1e-12)
    np.testing.assert_allclose(found.q_value, q_value, atol=1e-12)
    self.assertBetween((found.q_value < 0.05).sum(), 5, 55)

  def test_finds_more_pairs_than_counts(self):
    margin, mask = simulate(2.0)
    train, test = all_pairs(60, 80)
    by_counts = influence.influence_scores(margin > 0, mask)

    found = margin_influence.margin_influence(
      margin, mask, train, test, num_tested=len(train)
    )

    pairs = found.q_value <= 0.05
    self.assertGreater((pairs & (train == test)).sum(), 40)
    self.assertLess((by_counts.q_value <= 0.05).sum(), 30)
    self.assertLess((pairs & (train != test)).sum(), 8)
    # The same estimand as that of counts, with less noise.
    own = np.flatnonzero(train == test)
    self.assertAlmostEqual(
      found.influence[own].mean(),
      by_counts.influence[np.arange(60), np.arange(60)].mean(),
      delta=0.05,
    )

  def test_without_influence_it_finds_none_in_19_of_20(self):
    train, test = all_pairs(60, 80)
    found = 0
    for seed in range(40):
      margin, mask = simulate(0.0, seed=seed)
      margin[:, ::2] = np.random.default_rng(seed).standard_t(
        4, size=margin[:, ::2].shape
      )
      result = margin_influence.margin_influence(
        margin, mask, train, test, num_tested=len(train)
      )
      found += bool((result.q_value <= 0.05).any())

    self.assertLessEqual(found, 6)

  def test_no_evidence_where_a_group_is_too_small_or_margins_are_equal(self):
    margin, mask = simulate(0.0)
    mask[:, 0] = np.arange(40) > 0  # one run without it
    mask[:, 1] = True
    margin[:, 2] = 1.0

    found = margin_influence.margin_influence(
      margin, mask, np.array([0, 1, 3]), np.array([5, 5, 2]), num_tested=9
    )

    np.testing.assert_array_equal(found.q_value, 1.0)
    self.assertTrue(np.isnan(found.influence).all())

  @parameterized.named_parameters(
    ("shape", np.zeros((3, 2)), np.zeros((2, 2), bool), 9, "must be"),
    ("mask", np.zeros((3, 2)), np.zeros((3, 2)), 9, "boolean"),
    ("nan", np.full((3, 2), np.nan), np.zeros((3, 2), bool), 9, "finite"),
    ("few", np.zeros((3, 2)), np.zeros((3, 2), bool), 0, "num_tested"),
  )
  def test_rejects(self, margin, mask, num_tested, message):
    with self.assertRaisesRegex(ValueError, message):
      margin_influence.margin_influence(
        margin, mask, np.array([0]), np.array([0]), num_tested=num_tested
      )


if __name__ == "__main__":
  absltest.main()
