"""How well a score finds positives: against all pairs, one at a time."""

import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis import ranking


def slow_auroc(score, positive):
  """Over every pair of a positive and a negative; a tie counts one half."""
  wins = pairs = 0
  for i in range(len(score)):
    for j in range(len(score)):
      if positive[i] and not positive[j]:
        pairs += 1
        wins += (score[i] > score[j]) + 0.5 * (score[i] == score[j])
  return wins / pairs


class AurocTest(parameterized.TestCase):
  def test_hand_computed(self):
    score = np.array([0.9, 0.4, 0.4, 0.1])
    positive = np.array([True, False, True, False])

    # Pairs: 0.9 beats both, 0.4 ties with 0.4 and beats 0.1: 3.5 of 4.
    self.assertEqual(ranking.auroc(score, positive), 0.875)

  @parameterized.parameters(0, 1, 2, 3)
  def test_equals_brute_force_with_ties(self, seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.3
    # Sixty scores on five values tie massively.
    score = rng.integers(0, 5, 60) / 4 + 0.5 * positive

    found = ranking.auroc(score, positive)

    self.assertAlmostEqual(found, slow_auroc(score, positive), 12)

  def test_separated_scores_give_one_and_reversed_zero(self):
    score = np.array([-3.0, -2.0, 5.0, 7.0])
    positive = np.array([False, False, True, True])

    self.assertEqual(ranking.auroc(score, positive), 1.0)
    self.assertEqual(ranking.auroc(-score, positive), 0.0)

  def test_constant_score_gives_one_half(self):
    positive = np.arange(10) < 3

    self.assertEqual(ranking.auroc(np.zeros(10), positive), 0.5)

  def test_monotone_change_of_the_score_changes_nothing(self):
    rng = np.random.default_rng(4)
    score, positive = rng.standard_normal(50), rng.random(50) < 0.5

    self.assertEqual(
      ranking.auroc(score, positive),
      ranking.auroc(np.exp(score) + 3, positive),
    )

  def test_order_of_examples_changes_nothing(self):
    rng = np.random.default_rng(5)
    score, positive = rng.integers(0, 6, 50), rng.random(50) < 0.5
    order = rng.permutation(50)

    self.assertEqual(
      ranking.auroc(score, positive),
      ranking.auroc(score[order], positive[order]),
    )

  def test_nan_scores_are_left_out(self):
    score = np.array([0.9, np.nan, 0.4, 0.4, np.nan, 0.1])
    positive = np.array([True, True, False, True, False, False])

    # What is left is the example computed by hand.
    self.assertEqual(ranking.auroc(score, positive), 0.875)

  @parameterized.named_parameters(
    ("no_positives", [0.1, 0.2], [False, False]),
    ("no_negatives", [0.1, 0.2], [True, True]),
    ("nothing", [], []),
    ("positives_all_nan", [np.nan, 0.2], [True, False]),
  )
  def test_without_pairs_is_nan(self, score, positive):
    found = ranking.auroc(np.array(score), np.array(positive, bool))

    self.assertTrue(math.isnan(found))

  @parameterized.named_parameters(
    ("lengths", np.zeros(3), np.zeros(2, bool), r"\(3,\) and \(2,\)"),
    ("rank", np.zeros((1, 3)), np.zeros((1, 3), bool), r"\(1, 3\)"),
    ("integers", np.zeros(3), np.zeros(3, int), "int64"),
  )
  def test_rejects(self, score, positive, message):
    with self.assertRaisesRegex(ValueError, message):
      ranking.auroc(score, positive)


class PrecisionTest(absltest.TestCase):
  def test_without_ties_by_hand(self):
    score = np.array([0.9, 0.8, 0.7, 0.1])
    positive = np.array([True, False, True, False])

    # Two positives; of the two highest scores one is positive.
    self.assertEqual(ranking.precision(score, positive), 0.5)

  def test_ties_count_as_in_random_order(self):
    score = np.array([1.0, 0.5, 0.5, 0.5, 0.0])
    positive = np.array([True, True, False, False, True])

    # k = 3: the first is in; two of the three tied are: 2/3 of a positive.
    self.assertAlmostEqual(ranking.precision(score, positive), (1 + 2 / 3) / 3)

  def test_nan_scores_are_left_out(self):
    score = np.array([np.nan, 0.2, 0.9])
    positive = np.array([True, False, True])

    self.assertEqual(ranking.precision(score, positive), 1.0)
    self.assertTrue(np.isnan(ranking.precision(np.full(3, np.nan), positive)))


class CorrelationTest(parameterized.TestCase):
  def test_by_hand(self):
    one = np.array([1.0, 2.0, 3.0, 4.0])
    other = np.array([1.0, 2.0, 2.0, 10.0])

    # Ranks 1, 2.5, 2.5, 4: products of differences 4.5, squares 5 and 4.5.
    self.assertAlmostEqual(
      ranking.correlation(one, other, "spearman"), 4.5 / math.sqrt(5 * 4.5)
    )
    # Differences from 3.75: -2.75, -1.75, -1.75, 6.25; products sum to 13.5.
    self.assertAlmostEqual(
      ranking.correlation(one, other, "pearson"),
      13.5 / math.sqrt(5 * (2.75**2 + 2 * 1.75**2 + 6.25**2)),
    )
    # 5 pairs go together, 1 is tied in one of them: 5 / sqrt(6 * 5).
    self.assertAlmostEqual(
      ranking.correlation(one, other, "kendall"), 5 / math.sqrt(30)
    )

  @parameterized.parameters(*ranking.CORRELATIONS)
  def test_missing_constant_and_far_scores(self, kind):
    one = np.array([1.0, np.nan, 2.0, 3.0])
    other = np.array([3.0, 9.0, 2.0, np.nan])

    self.assertAlmostEqual(ranking.correlation(one, other, kind), -1)
    self.assertTrue(math.isnan(ranking.correlation(one, np.ones(4), kind)))
    self.assertAlmostEqual(
      ranking.correlation(1e200 * one[[0, 2]], 1e-200 * other[[0, 2]], kind),
      -1,
    )

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, "`kind`"):
      ranking.correlation(np.ones(2), np.ones(2), "cosine")
    with self.assertRaisesRegex(ValueError, r"\[N\]"):
      ranking.correlation(np.ones(2), np.ones(3), "pearson")


class TopOverlapTest(absltest.TestCase):
  def test_by_hand(self):
    one = np.array([4.0, 3.0, 2.0, 1.0])
    other = np.array([4.0, 1.0, 3.0, 2.0])

    self.assertEqual(ranking.top_overlap(one, other, 1), 1)
    self.assertEqual(ranking.top_overlap(one, other, 2), 0.5)
    self.assertAlmostEqual(ranking.top_overlap(one, other, 3), 2 / 3)
    self.assertTrue(math.isnan(ranking.top_overlap(one, other, 5)))

  def test_ties_are_in_random_order(self):
    # The second place of one is any of three; of the other it is example 1.
    one = np.array([9.0, 5.0, 5.0, 5.0])
    other = np.array([9.0, 8.0, 1.0, 1.0])

    self.assertAlmostEqual(ranking.top_overlap(one, other, 2), (1 + 1 / 3) / 2)
    # Without any information it is chance, k / N.
    self.assertAlmostEqual(ranking.top_overlap(np.ones(8), np.ones(8), 2), 0.25)


class RowsTest(absltest.TestCase):
  def test_rows_are_what_each_alone_is(self):
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, size=(2, 6, 40)).astype(float)
    positive = one > 2
    rank = ranking.ranks(other)

    for r in range(6):
      self.assertAlmostEqual(
        ranking.auroc_rows(rank, positive)[r],
        slow_auroc(other[r], positive[r]),
      )
      self.assertAlmostEqual(
        ranking.pearson_rows(one, other)[r],
        np.corrcoef(one[r], other[r])[0, 1],
      )
      self.assertAlmostEqual(
        ranking.pearson_rows(one[:1], other)[r],
        np.corrcoef(one[0], other[r])[0, 1],
      )
      self.assertAlmostEqual(
        ranking.top_overlap_rows(one[:1], other, 7)[r],
        ranking.top_overlap(one[0], other[r], 7),
      )


if __name__ == "__main__":
  absltest.main()
