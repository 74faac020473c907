"""Influence: pairs kept against the dense matrix, tallies, q-values."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import stats

from memo_tf.estimators import influence
from memo_tf.estimators import influence_tally
from memo_tf.estimators import q_values
from memo_tf.experiment import subsets


class PairsTest(parameterized.TestCase):
  def study(self, kind="correctness"):
    rng = np.random.default_rng(5)
    masks = subsets.in_masks(37, 40, 0.7, scheme="uniform", seed=1)
    strength = rng.uniform(0, 1, (37, 11)) ** 6
    value = rng.random((40, 11)) < 0.3 + 0.4 * (masks @ strength) / 3
    if kind == "margin":
      value = value + rng.standard_normal((40, 11)) + 1e6
    return value, masks, rng.integers(3, size=37), rng.integers(3, size=11)

  @parameterized.product(
    kind=["correctness", "margin"], block=[1, 7, 100], same=[True, False]
  )
  def test_pairs_are_those_of_the_dense_matrix(self, kind, block, same):
    value, masks, train_labels, test_labels = self.study(kind)
    score = np.random.default_rng(6).random(37)
    dense = influence.influence_scores(value, masks, outcome_kind=kind)

    pairs = influence.influential_pairs(
      value,
      masks,
      memorization=score,
      train_labels=train_labels,
      test_labels=test_labels,
      same_class=same,
      outcome_kind=kind,
      block=block,
    )

    wanted = (dense.influence >= 0.15) & (score >= 0.25)
    same_class = test_labels[:, None] == train_labels
    wanted &= same_class | (not same)
    self.assertGreater(wanted.sum(), 3)
    got = np.zeros_like(wanted)
    got[pairs.test_ids, pairs.train_ids] = True
    np.testing.assert_array_equal(got, wanted)
    place = pairs.test_ids, pairs.train_ids
    np.testing.assert_allclose(
      pairs.influence, dense.influence[place], atol=1e-9
    )
    np.testing.assert_allclose(
      pairs.standard_error, dense.standard_error[place], atol=1e-8
    )
    self.assertEqual(pairs.num_tested, same_class.sum() if same else 37 * 11)
    self.assertTrue((np.diff(pairs.influence) <= 0).all())
    if not same:  # ranked among the kept: never smaller than the exact ones
      self.assertTrue((pairs.q_value >= dense.q_value[place] - 1e-8).all())

  @parameterized.product(block=[1, 9, 100], kind=["correctness", "margin"])
  def test_paper_compares_runs_of_two_sizes(self, block, kind):
    value, *unused = self.study(kind)
    masks = subsets.in_masks(37, 40, 0.7, scheme="two_sizes", seed=1)
    options = {"outcome_kind": kind, "estimand": "paper"}
    sizes = masks.sum(axis=1)
    larger, smaller = sizes == sizes.max(), sizes == sizes.max() - 1
    expected = np.array(
      [
        value[larger & masks[:, n]].mean(axis=0)
        - value[smaller & ~masks[:, n]].mean(axis=0)
        for n in range(37)
      ]
    ).T

    dense = influence.influence_scores(value, masks, **options)
    pairs = influence.influence_scores(
      value, masks, min_influence=0.15, block=block, **options
    )

    np.testing.assert_allclose(dense.influence, expected, atol=1e-8)
    self.assertLen(pairs, (expected >= 0.15).sum())
    place = pairs.test_ids, pairs.train_ids
    np.testing.assert_allclose(pairs.influence, expected[place], atol=1e-8)
    np.testing.assert_allclose(
      pairs.standard_error, dense.standard_error[place], atol=1e-8
    )

  def test_paper_p_value_is_fishers(self):
    value, *unused = self.study()
    masks = subsets.in_masks(37, 40, 0.7, scheme="two_sizes", seed=1)
    sizes = masks.sum(axis=1)

    pairs = influence.influence_scores(
      value[:, [5]], masks, top_k=37, estimand="paper"
    )

    # Of all 37 pairs kept, q-values are those of their p-values.
    p_value = np.empty(37)
    for n in range(37):
      rows_in = masks[:, n] & (sizes == sizes.max())
      rows_out = ~masks[:, n] & (sizes < sizes.max())
      table = [
        [value[rows, 5].sum(), (~value[rows, 5]).sum()]
        for rows in (rows_in, rows_out)
      ]
      p_value[n] = stats.fisher_exact(table, alternative="greater")[1]
    np.testing.assert_allclose(
      pairs.q_value, q_values.q_values(p_value, 37)[pairs.train_ids], atol=1e-9
    )

  def test_paper_refuses_other_sizes(self):
    value, masks, *unused = self.study()
    masks = masks.copy()
    masks[0] = True

    with self.assertRaisesRegex(ValueError, "s and s - 1"):
      influence.influence_scores(value, masks, estimand="paper")

  @parameterized.product(block=[1, 3, 100], k=[1, 4])
  def test_top_k_of_each_test_example(self, block, k):
    value, masks, *unused = self.study()
    dense = influence.influence_scores(value, masks).influence

    pairs = influence.influence_scores(value, masks, top_k=k, block=block)

    for t in range(11):
      order = np.lexsort((np.arange(37), -dense[t]))[:k]
      mine = pairs.train_ids[pairs.test_ids == t]
      np.testing.assert_array_equal(mine, order)

  def test_top_k_applies_no_threshold_that_was_not_given(self):
    value, masks, *unused = self.study()
    scores = np.zeros(37)  # below Feldman & Zhang's 0.25

    pairs = influence.influential_pairs(
      value, masks, memorization=scores, top_k=12
    )
    limited = influence.influential_pairs(
      value, masks, memorization=scores, top_k=12, min_influence=0.15
    )

    self.assertLen(pairs, 12 * 11)
    self.assertLess(pairs.influence.min(), 0.15)
    self.assertLess(len(limited), 12 * 11)
    self.assertEmpty(
      influence.influential_pairs(value, masks, memorization=scores)
    )

  def test_tally_is_batch_to_the_bit(self):
    value, masks, *unused = self.study()
    tallies = [influence_tally.InfluenceTally(37, 11) for _ in range(2)]
    for m in range(40):
      tallies[m % 2].add(value[m], masks[m])
    tallies[1].merge(tallies[0])

    found = tallies[1].scores()

    batch = influence.influence_scores(value, masks)
    np.testing.assert_array_equal(found.influence, batch.influence)
    np.testing.assert_array_equal(found.q_value, batch.q_value)

  def test_q_values_by_hand(self):
    # 0.01 * 4 / 1, 0.02 * 4 / 2, 0.6 * 4 / 3; a fourth test was not kept.
    np.testing.assert_allclose(
      q_values.q_values(np.array([0.6, 0.01, 0.02]), 4), [0.8, 0.04, 0.04]
    )

  def test_null_is_rejected_as_often_as_it_says(self):
    rng = np.random.default_rng(7)
    masks = subsets.in_masks(300, 100, 0.7, scheme="uniform")
    right = rng.random((100, 60)) < 0.5

    found = influence.influence_scores(right, masks)

    self.assertGreater(found.q_value.min(), 0.05)

  def test_never_out_is_nan_and_never_kept(self):
    value, masks, *unused = self.study()
    masks = masks.copy()
    masks[:, 4] = True

    dense = influence.influence_scores(value, masks)
    pairs = influence.influence_scores(value, masks, min_influence=-1)

    self.assertTrue(np.isnan(dense.influence[:, 4]).all())
    self.assertTrue(np.isnan(dense.q_value[:, 4]).all())
    self.assertNotIn(4, pairs.train_ids)
    self.assertLen(pairs, 36 * 11)


if __name__ == "__main__":
  absltest.main()
