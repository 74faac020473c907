"""One-hot groups that fit as well: which count, and on which runs."""

import dataclasses

from absl.testing import absltest
import numpy as np

from memo_tf.estimators import memorization
from memo_tf.findings import distillation
from memo_tf.findings import matched_accuracy
from tests.findings import distillation_test
from tests.findings import sizes_test

STUDENT = distillation_test.STUDENT
SHORTER = "one_hot-e5"
RECIPES = ("one_hot", STUDENT, SHORTER)


def fitting(group, share, seed=0):
  """The group with this in-accuracy, in another draw of every run."""
  rng = np.random.default_rng(seed)
  stack = group.stack
  missed = stack.in_mask & (rng.random(stack.in_mask.shape) >= share)
  correct = np.where(stack.in_mask, ~missed, stack.correct)
  labels = stack.labels[None]
  stack = dataclasses.replace(
    stack, predicted=np.where(correct, labels, 1 - labels)
  )
  scores = memorization.memorization_scores(correct, stack.in_mask)
  return dataclasses.replace(group, stack=stack, scores=scores)


def make_groups(one_hot=1.0, student=0.992, shorter=0.985):
  """Groups of two sizes: one-hot, students, and one-hot trained shorter."""
  shares = [share for share in (one_hot, student, shorter) for _ in range(2)]
  return [
    fitting(group, share, seed)
    for seed, (group, share) in enumerate(
      zip(distillation_test.make_groups(RECIPES), shares)
    )
  ]


def compared(groups, recipe=STUDENT):
  plan = distillation_test.make_plan(RECIPES)
  return distillation.gather(
    *("cifar_resnet", "r0.70", groups, "one_hot"), plan.recipes[recipe], plan
  )


def means(group):
  scores = group.scores
  return np.array([scores.in_accuracy.mean(), scores.out_accuracy.mean()])


class TableTest(absltest.TestCase):
  def test_estimates_are_those_of_the_line(self):
    groups = make_groups()

    table = compared(groups).matched

    self.assertEqual(table["size"].tolist(), [0, 1, -1])
    changes = []
    for size in range(2):
      row = table.iloc[size]
      high, own, low = (means(groups[2 * k + size]) for k in range(3))
      share = (own[0] - low[0]) / (high[0] - low[0])
      line = low + share * (high - low)
      self.assertEqual((row["lower"], row["upper"]), (SHORTER, "one_hot"))
      self.assertAlmostEqual(row["lower_in_accuracy"], low[0])
      self.assertAlmostEqual(row["in_accuracy"], line[0])
      self.assertAlmostEqual(row["matched_memorization"], line[0] - line[1])
      self.assertAlmostEqual(row["change"], line[1] - own[1])
      self.assertBetween(row["change"], row["change_low"], row["change_high"])
      changes.append(row["change"])
    self.assertAlmostEqual(table["change"].iloc[-1], np.mean(changes))

  def test_another_size_counts_where_the_own_does_not_match(self):
    groups = make_groups(student=0.992, shorter=0.985)
    groups[5] = fitting(groups[5], 0.8)  # of the larger model

    table = compared(groups).matched

    self.assertEqual(
      table["lower"].tolist()[:2], [SHORTER, f"cifar_resnet-8 {SHORTER}"]
    )
    self.assertEqual(table["upper"].tolist()[:2], ["one_hot", "one_hot"])

  def test_what_cannot_be_told_is_open(self):
    found = compared(make_groups()[:4])

    table = found.matched
    self.assertEqual(table["size"].tolist(), [0, 1])
    self.assertTrue(table["change"].isna().all())
    self.assertEqual(table["lower"].tolist(), ["", ""])
    (finding,) = (f for f in found.findings if "matched" in f.question)
    self.assertEqual(finding.answer, "open")
    self.assertIn("cannot tell at cifar_resnet-8", finding.text)
    self.assertIn("below that of every one-hot model, 1.0000", finding.text)

  def test_groups_with_few_of_the_runs_do_not_count(self):
    groups = make_groups()
    few = set(range(distillation_test.NUM_SUBSETS))
    short = [sizes_test.without_runs(g, few - {0, 1, 2}) for g in groups[4:]]
    half = [sizes_test.without_runs(g, set(range(15))) for g in groups[4:]]

    without = compared([*groups[:4], *short]).matched
    with_half = compared([*groups[:4], *half]).matched

    self.assertEqual(without["num_runs"].tolist(), [40, 40])
    self.assertTrue(without["change"].isna().all())
    self.assertEqual(with_half["num_runs"].tolist(), [25, 25, 25])
    self.assertFalse(with_half["change"].isna().any())

  def test_longer_training_is_not_matched_with_itself(self):
    self.assertEmpty(compared(make_groups(), SHORTER).matched)
    self.assertTrue(matched_accuracy.is_one_hot(SHORTER))
    self.assertFalse(matched_accuracy.is_one_hot(STUDENT))


if __name__ == "__main__":
  absltest.main()
