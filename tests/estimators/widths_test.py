"""Widths of intervals, and the number of runs still needed."""

from absl.testing import absltest
import numpy as np

from memo_tf.estimators import memorization
from memo_tf.estimators import widths
from memo_tf.experiment import subsets


class WidthsTest(absltest.TestCase):
  def scores(self, num_runs, ambiguous=100):
    """Of 400 examples, most of them never right when held out."""
    rng = np.random.default_rng(0)
    masks = subsets.in_masks(400, num_runs, 0.7, seed=0)
    out = np.where(np.arange(400) < ambiguous, 0.5, 0.0)
    right = rng.random(masks.shape) < np.where(masks, 1.0, out)
    return memorization.memorization_scores(right, masks)

  def test_unanimous_images_do_not_hide_the_ambiguous_ones(self):
    scores = self.scores(100)

    found = widths.interval_widths(scores)

    chosen = (scores.out_accuracy >= 0.3) & (scores.out_accuracy <= 0.7)
    width = scores.ci_high - scores.ci_low
    self.assertEqual(found.num_ambiguous, chosen.sum())
    self.assertAlmostEqual(found.mean, width.mean())
    self.assertAlmostEqual(found.ambiguous, width[chosen].mean())
    self.assertBetween(found.mean, 0.15, 0.25)
    self.assertBetween(found.ambiguous, 0.3, 0.36)

  def test_runs_needed_are_those_of_the_ambiguous(self):
    scores = self.scores(50)

    more = widths.runs_needed(scores, 0.3, block=10)
    wider = widths.interval_widths(self.scores(50 + more))

    self.assertEqual(more % 10, 0)
    self.assertAlmostEqual(wider.ambiguous, 0.3, delta=0.01)
    self.assertLess(wider.mean, 0.2)
    self.assertEqual(widths.runs_needed(scores, 2.0), 0)

  def test_without_ambiguous_images_one_is_imagined(self):
    found = widths.interval_widths(self.scores(100, ambiguous=0))

    self.assertEqual(found.num_ambiguous, 0)
    # 70 of 70 in, 15 of 30 out.
    self.assertBetween(found.ambiguous, 0.32, 0.36)
    self.assertGreater(widths.runs_needed(self.scores(100, 0), 0.2), 0)

  def test_unknown_and_wrong(self):
    masks = np.ones((4, 3), bool)
    scores = memorization.memorization_scores(masks, masks)

    self.assertIsNone(widths.runs_needed(scores, 0.2))
    self.assertTrue(np.isnan(widths.interval_widths(scores).ambiguous))
    with self.assertRaisesRegex(ValueError, "above 0"):
      widths.runs_needed(scores, 0)


if __name__ == "__main__":
  absltest.main()
