"""Changes, layers and single examples: hand arithmetic, loops, known truth."""

import itertools

from absl.testing import absltest
import numpy as np

from memo_tf.analysis import onion
from memo_tf.estimators import memorization
from memo_tf.experiment import subsets


def simulated(num_runs, rises=0.0, seed=0, num_examples=200):
  """Subsets, and outcomes before and after; `rises` is taken when held out."""
  rng = np.random.default_rng(seed)
  in_mask = subsets.in_masks(num_examples, num_runs, 0.5, seed=seed)
  chance = np.where(in_mask, 0.97, rng.uniform(0.5, 1, num_examples))
  before = rng.random(in_mask.shape) < chance
  after = rng.random(in_mask.shape) < chance - rises * ~in_mask
  return in_mask, before, after


class MeanChangesTest(absltest.TestCase):
  def test_hand_computed(self):
    in_mask = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)
    one = np.array([[1, 0], [1, 1], [1, 1], [0, 1]], bool)
    other = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], bool)

    means, changes = onion.mean_changes(
      {"one": one, "other": other}, in_mask, np.arange(4), (("one", "other"),)
    )

    # In-means 1 and 1; out-means (1 + 0)/2 and (0 + 1)/2, then 0 and 0.
    np.testing.assert_allclose(means["memorization"], [0.5, 1.0])
    np.testing.assert_allclose(means["in_accuracy"], [1.0, 1.0])
    row = changes.iloc[0]
    self.assertEqual((row["from_arm"], row["to_arm"]), ("one", "other"))
    self.assertAlmostEqual(row["memorization"], 0.5)
    self.assertAlmostEqual(row["out_accuracy"], -0.5)
    half = row["memorization_high"] - row["memorization"]
    # t(3): 3.18245 at 0.975, 0.97847 at 0.8.
    self.assertAlmostEqual(row["detectable"], half * (1 + 0.97847 / 3.18245), 4)

  def test_intervals_cover_no_change_and_find_one(self):
    excluded, found = 0, 0
    for seed in range(60):
      for rises in (0.0, 0.05):
        in_mask, before, after = simulated(40, rises, seed)
        _, changes = onion.mean_changes(
          {"a": before, "b": after}, in_mask, np.arange(40) // 2, (("a", "b"),)
        )
        low, high = changes.loc[0, ["memorization_low", "memorization_high"]]
        excluded += not rises and not low <= 0 <= high
        found += rises and low > 0

    self.assertLessEqual(excluded, 8)  # 3 are expected; P(more) is 0.4 %
    self.assertGreater(found, 55)

  def test_examples_that_are_never_held_out_are_left_out(self):
    in_mask, before, after = simulated(10, seed=3)
    in_mask[:, 0] = True
    known = onion.mean_changes(
      {"a": before[:, 1:], "b": after[:, 1:]},
      in_mask[:, 1:],
      np.arange(10),
      (("a", "b"),),
    )

    found = onion.mean_changes(
      {"a": before, "b": after}, in_mask, np.arange(10), (("a", "b"),)
    )

    self.assertAlmostEqual(
      found[1].loc[0, "memorization"], known[1].loc[0, "memorization"]
    )

  def test_one_run_is_refused(self):
    with self.assertRaisesRegex(ValueError, "at least 2 runs"):
      one = np.ones((1, 3), bool)
      onion.mean_changes({"a": one}, one, np.zeros(1, int), ())


class LayerTest(absltest.TestCase):
  def test_counts_are_those_of_the_scores(self):
    in_mask, before, after = simulated(20, 0.3)
    in_mask[:, 4] = True  # has no score

    found = onion.layer(before, after, in_mask, 0.25, num_swaps=10)

    one, other = (
      memorization.memorization_scores(x, in_mask).memorization >= 0.25
      for x in (before, after)
    )
    self.assertEqual(found.num_examples, 199)
    self.assertEqual(found.num_first, one.sum())
    self.assertEqual(found.num_second, other.sum())
    self.assertEqual(found.newly, (other & ~one).sum())
    self.assertEqual(found.no_longer, (one & ~other).sum())

  def test_noise_is_that_of_all_exchanges(self):
    in_mask, before, after = simulated(6, seed=2, num_examples=30)
    counts = []
    for swap in itertools.product([False, True], repeat=6):
      rows = np.array(swap)[:, None]
      one, other = np.where(rows, after, before), np.where(rows, before, after)
      scores = [
        memorization.memorization_scores(x, in_mask).memorization >= 0.25
        for x in (one, other)
      ]
      counts.append((scores[1] & ~scores[0]).sum())

    found = onion.layer(before, after, in_mask, 0.25, num_swaps=4000)

    # Their standard deviation is 2.5: 0.16 is 4 standard errors of the mean.
    self.assertAlmostEqual(found.noise_mean, np.mean(counts), delta=0.16)
    low, high = np.quantile(counts, (0.025, 0.975))
    self.assertAlmostEqual(found.noise_low, low, delta=1)
    self.assertAlmostEqual(found.noise_high, high, delta=1)

  def test_no_change_stays_within_the_noise_and_an_onion_does_not(self):
    for rises, is_above in ((0.0, False), (0.35, True)):
      in_mask, before, after = simulated(40, rises, seed=1)
      found = onion.layer(before, after, in_mask, 0.25)
      self.assertEqual(found.newly > found.noise_high, is_above)


class ExamplesTest(absltest.TestCase):
  def test_hand_computed(self):
    # 3 in-runs, of which 2 gain; 2 out-runs, of which 1 loses.
    in_mask = np.array([[1], [1], [1], [0], [0]], bool)
    first = np.array([[0], [0], [1], [1], [1]], bool)
    second = np.array([[1], [1], [1], [0], [1]], bool)

    change, p_value = onion.changes_of_examples(first, second, in_mask)

    # 2/3 + 1/2; of the 8 sign patterns only all gain/lose and its opposite
    # are as far from 0.
    self.assertAlmostEqual(change[0], 7 / 6)
    self.assertAlmostEqual(p_value[0], 2 / 8)

  def test_p_values_are_those_of_all_signs(self):
    in_mask, before, after = simulated(8, 0.4, num_examples=40)

    change, p_value = onion.changes_of_examples(before, after, in_mask)

    gain = after.astype(int) - before
    inside, outside = in_mask.sum(axis=0), (~in_mask).sum(axis=0)
    as_far = np.zeros(40)
    for signs in itertools.product([1, -1], repeat=8):
      turned = np.array(signs)[:, None] * gain
      other = (turned * in_mask).sum(0) / inside
      other = other - (turned * ~in_mask).sum(0) / outside
      as_far += np.abs(other) >= np.abs(change) - 1e-9
    np.testing.assert_allclose(p_value, as_far / 2**8)
    one, two = (
      memorization.memorization_scores(x, in_mask).memorization
      for x in (before, after)
    )
    np.testing.assert_allclose(change, two - one, atol=1e-12)

  def test_no_change_is_rarely_significant(self):
    in_mask, before, after = simulated(40, num_examples=2000)

    _, p_value = onion.changes_of_examples(before, after, in_mask)

    # 5 % of 2,000 is 100, with a standard error of 10; discrete ones are fewer.
    self.assertLess((p_value <= 0.05).sum(), 130)
    self.assertGreater((p_value <= 0.05).sum(), 20)

  def test_never_in_or_never_out_is_unknown(self):
    in_mask = np.array([[1, 0, 1], [1, 0, 0]], bool)
    right = np.ones((2, 3), bool)

    change, p_value = onion.changes_of_examples(right, right, in_mask)

    np.testing.assert_array_equal(np.isnan(change), [True, True, False])
    np.testing.assert_array_equal(np.isnan(p_value), [True, True, False])
    self.assertEqual((change[2], p_value[2]), (0.0, 1.0))


if __name__ == "__main__":
  absltest.main()
