"""When examples are memorized: by hand, by definition, and against truth."""

import dataclasses

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from memo_tf.analysis import epochs
from memo_tf.analysis.sizes import trends
from memo_tf.estimators import resampling
from tests.support import epoch_laws

NAN = np.nan


class ExampleTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0, 0, 1], 2), ([1, 0, 1], 2), ([1, 1, 1], 0), ([0, 1, 0], 3), ([0], 1)
  )
  def test_lasting_from(self, holds, index):
    found = epochs.lasting_from(np.array(holds, bool)[:, None])

    self.assertEqual(found.tolist(), [index])

  def test_hand_computed(self):
    # Two runs trained on each example, two did not.
    in_mask = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [0] * 4, [0] * 4], bool)
    # Right in runs of the subset after epochs 2, 5, 9; held out never, but
    # example 3 always.
    inside = np.array([[0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 1, 2]])
    correct = np.zeros((3, 4, 4), bool)
    correct[:, 0], correct[:, 1] = inside >= 1, inside >= 2
    correct[:, 2:, 3] = True

    found = epochs.example_epochs(correct, in_mask, (2, 5, 9))

    # Scores 0, 0.5, 1: from 5. Scores 0.5, 0, 1: at 5 it was lost, so from 9.
    # 1, 1, 0.5: from 2. Always 0: never.
    np.testing.assert_array_equal(found.epoch, [5, 9, 2, NAN])
    # Four runs tell nothing: intervals are wider than [0, 1].
    np.testing.assert_array_equal(found.earliest[:3], [2, 2, 2])
    self.assertFalse(found.is_told[:3].any())

  def test_many_runs_tell(self):
    in_mask = np.arange(400)[:, None] % 2 == np.zeros((1, 2), int)
    correct = np.zeros((2, 400, 2), bool)
    correct[1, :, 0] = in_mask[:, 0]

    found = epochs.example_epochs(correct, in_mask, (3, 6))

    for values in (found.epoch, found.earliest, found.latest):
      np.testing.assert_array_equal(values, [6, NAN])
    self.assertTrue(found.is_told.all())


class MeanEpochTest(absltest.TestCase):
  def test_hand_computed(self):
    # 1 - m / m(10), with straight lines: from 1 to 1 by 4, to 0 by 10: 4 + 3.
    self.assertEqual(epochs.mean_epoch(np.array([0.0, 0.8]), (4, 10)), 7)
    # From 1 to 0 by epoch 4 (2), and then 0.
    self.assertEqual(epochs.mean_epoch(np.array([0.5, 0.5]), (4, 10)), 2)
    self.assertTrue(np.isnan(epochs.mean_epoch(np.array([0.5, 0.0]), (4, 10))))

  def test_the_height_does_not_matter(self):
    means = np.array([[0.1, 0.2, 0.4], [0.2, 0.4, 0.8]])

    one, other = epochs.mean_epoch(means, (1, 2, 8))

    self.assertAlmostEqual(one, other)


class ReplicatesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.study = epoch_laws.simulate(num_runs=20, num_examples=31, seed=0)
    self.bootstrap = resampling.paired_bootstrap(20, num_resamples=5)
    self.members = np.stack([np.ones(31, bool), np.arange(31) < 7])

  def found(self):
    return epochs.replicates(
      self.study.correct[0],
      self.study.in_mask,
      self.members,
      self.bootstrap.weights,
    )

  def test_one_example_and_replicate_at_a_time(self):
    found = self.found()

    weights, mask = self.bootstrap.weights, self.study.in_mask
    for r in (0, 3):
      scores = np.zeros((4, 31))
      for e, right in enumerate(self.study.correct[0]):
        for n in range(31):
          parts = []
          for rows in (mask[:, n], ~mask[:, n]):
            total = weights[r][rows].sum()
            parts.append(
              (weights[r][rows] * right[rows, n]).sum() / total
              if total
              else NAN
            )
          scores[e, n] = parts[0] - parts[1]
        np.testing.assert_allclose(
          found.means[r, e, 1, 0], np.nanmean(scores[e, :7]), rtol=1e-5
        )
      for n in range(31):
        index = 4
        while index and scores[index - 1, n] >= 0.5:
          index -= 1
        self.assertEqual(found.first[r, n], index)

  def test_means_are_those_of_the_study_over_sizes(self):
    table, changes, mean_epochs = epochs.means_table(
      self.found().means, ["all", "few"], epoch_laws.EPOCHS, self.bootstrap
    )
    by_size, steps = trends.mean_trends(
      self.study.correct[0], self.study.in_mask, self.bootstrap
    )

    for mine, theirs in ((table, by_size), (changes, steps)):
      own = mine[mine["examples"] == "all"]
      for name in epochs.MEANS:
        for end in ("", "_low", "_high"):
          np.testing.assert_allclose(
            own[name + end], theirs[name + end], atol=1e-5
          )
    self.assertEqual(table["epoch"].tolist(), 2 * [2, 5, 10, 20])
    self.assertEqual(changes["from_epoch"].tolist(), 2 * [2, 5, 10, 2])
    self.assertLen(mean_epochs, 2)

  def test_columns_in_parts_give_the_same(self):
    whole = self.found()
    before, epochs._CHUNK = epochs._CHUNK, 100  # 3 columns at a time
    self.addCleanup(setattr, epochs, "_CHUNK", before)

    parts = self.found()

    np.testing.assert_array_equal(parts.first, whole.first)
    np.testing.assert_allclose(parts.means, whole.means)


class OrderTest(absltest.TestCase):
  def shares(self, earlier, studies, num_runs=40):
    """Shares of studies: lead holds the truth, lead above 0, 0 in difference"""
    rows = []
    for seed in range(studies):
      study = epoch_laws.simulate(
        num_runs=num_runs, num_examples=100, earlier=earlier, seed=seed
      )
      found = study.order()
      rows.append(
        [
          found.lead_low <= study.lead() <= found.lead_high,
          found.lead_low > 0,
          found.difference_low <= 0 <= found.difference_high,
        ]
      )
    return np.mean(rows, axis=0)

  def test_a_true_lead_is_found(self):
    order = epoch_laws.simulate(num_runs=40, earlier=3.0, seed=1).order()

    self.assertGreater(order.lead_low, 0)
    self.assertGreater(order.difference_low, 0)
    self.assertGreater(order.larger_first, order.smaller_first)
    total = order.larger_first + order.smaller_first + order.same_epoch
    self.assertAlmostEqual(total, 1.0)
    self.assertAlmostEqual(order.lead, order.smaller_epoch - order.larger_epoch)

  def test_a_size_beside_itself_has_no_lead(self):
    study = epoch_laws.simulate(num_runs=20, seed=2)
    correct = np.stack([study.correct[0]] * 2)

    order = dataclasses.replace(study, correct=correct).order()

    self.assertEqual((order.lead, order.difference), (0, 0))
    self.assertEqual(order.same_epoch, 1)

  def test_a_half_of_two_runs_has_no_lead(self):
    study = epoch_laws.simulate(num_runs=20, seed=4)
    few = slice(0, 12)  # a block of ten, and two runs of the next

    order = dataclasses.replace(
      study,
      correct=study.correct[:, :, few],
      in_mask=study.in_mask[few],
      block=study.block[few],
    ).order()

    self.assertTrue(np.isnan([order.lead, order.lead_low]).all())
    self.assertLess(order.difference_low, order.difference_high)

  def test_nothing_is_said_without_memorized_examples(self):
    study = epoch_laws.simulate(num_runs=20, seed=2)

    order = dataclasses.replace(
      study, correct=np.ones_like(study.correct)
    ).order()

    self.assertEqual(order.num_examples, 0)
    self.assertTrue(np.isnan([order.lead, order.difference_low]).all())

  @pytest.mark.slow
  def test_intervals_hold_the_truth(self):
    held, above, zero = self.shares(0.0, 300)

    # Standard error 0.0126.
    self.assertBetween(held, 0.90, 0.99)
    self.assertLess(above, 0.06)
    self.assertBetween(zero, 0.90, 1.0)

    held, above, zero = self.shares(1.5, 100)

    self.assertBetween(held, 0.87, 1.0)
    self.assertGreater(above, 0.8)
    self.assertLess(zero, 0.3)


if __name__ == "__main__":
  absltest.main()
