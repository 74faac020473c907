"""Consistency scores by hand, their profile, and what does not go together."""

from absl.testing import absltest
import numpy as np
from scipy import stats

from memo_tf.estimators import consistency
from memo_tf.estimators import intervals
from memo_tf.estimators import memorization

IN_MASK = np.array(
  [[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 1]], bool
)
CORRECT = np.array(
  [[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 1]], bool
)


class ConsistencyTest(absltest.TestCase):
  def test_mean_over_the_runs_that_did_not_see_it(self):
    found = consistency.consistency_scores(CORRECT, IN_MASK)

    # Example 0: runs 2, 3, 4 give 1, 0, 1; example 1: runs 1, 2, 3: 0, 1, 1;
    # example 2 was never held out.
    np.testing.assert_allclose(found.consistency, [2 / 3, 2 / 3, np.nan])
    np.testing.assert_array_equal(found.num_out, [3, 3, 0])
    error = np.sqrt(2 / 3 * 1 / 3 / 3)
    np.testing.assert_allclose(found.standard_error, [error, error, np.nan])
    low, high = intervals.wilson_interval(
      np.array([2 / 3]), np.array([3]), 0.95
    )
    np.testing.assert_allclose(found.ci_low[0], low[0])
    np.testing.assert_allclose(found.ci_high[0], high[0])
    self.assertTrue(np.isnan(found.ci_low[2]))

  def test_it_is_1_minus_memorization_where_all_that_was_seen_is_right(self):
    rng = np.random.default_rng(0)
    in_mask = rng.random((40, 30)) < 0.7
    correct = in_mask | (rng.random((40, 30)) < 0.5)

    found = consistency.consistency_scores(correct, in_mask)

    scores = memorization.memorization_scores(correct, in_mask)
    np.testing.assert_allclose(found.consistency, 1 - scores.memorization)

  def test_other_outcomes_have_students_interval(self):
    rng = np.random.default_rng(0)
    in_mask = np.zeros((6, 2), bool)
    in_mask[:2] = True
    margin = rng.normal(size=(6, 2))

    found = consistency.consistency_scores(
      margin, in_mask, outcome_kind="margin"
    )

    outside = margin[2:]
    np.testing.assert_allclose(found.consistency, outside.mean(axis=0))
    expected = stats.t.interval(
      0.95, 3, outside.mean(axis=0), stats.sem(outside, axis=0)
    )
    np.testing.assert_allclose(found.ci_low, expected[0])
    np.testing.assert_allclose(found.ci_high, expected[1])

  def test_a_table_has_a_row_an_example(self):
    table = consistency.consistency_scores(CORRECT, IN_MASK).to_dataframe()

    self.assertEqual(table["example_id"].tolist(), [0, 1, 2])
    self.assertEqual(table["num_out"].tolist(), [3, 3, 0])

  def test_the_c_score_is_the_mean_over_ratios(self):
    half = consistency.consistency_scores(CORRECT[:, :2], IN_MASK[:, :2])
    most = consistency.consistency_scores(~CORRECT[:, :2], IN_MASK[:, :2])

    found = consistency.consistency_profile({0.9: most, 0.5: half})

    np.testing.assert_array_equal(found.ratios, [0.5, 0.9])
    np.testing.assert_allclose(found.profile, [[2 / 3] * 2, [1 / 3] * 2])
    np.testing.assert_allclose(found.c_score, [0.5, 0.5])
    error = np.hypot(half.standard_error, most.standard_error) / 2
    np.testing.assert_allclose(found.standard_error, error)

  def test_what_does_not_go_together_is_refused(self):
    one = consistency.consistency_scores(CORRECT, IN_MASK)
    two = consistency.consistency_scores(CORRECT[:, :2], IN_MASK[:, :2])
    for scores in ({}, {1.0: one}, {0.0: one}, {0.5: one, 0.7: two}):
      with self.assertRaisesRegex(ValueError, "A profile takes"):
        consistency.consistency_profile(scores)


if __name__ == "__main__":
  absltest.main()
