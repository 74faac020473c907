"""Where a study that grows stops, and that its intervals hold then."""

import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import special

from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from memo_tf.estimators import stopping
from memo_tf.estimators import widths

BLOCK, MOST = 10, 400


def margins_of(outside, rng, most=MOST):
  """Margins `[M, N]` of unit variance and subsets, 7 of 10 in each block.

  Runs that trained on an example are right with a probability of 0.98, the
  others with that of `outside` `[N]`.
  """
  count = len(outside)
  keys = rng.random((most // BLOCK, BLOCK, count))
  in_mask = (keys.argsort(axis=1).argsort(axis=1) < 7).reshape(most, count)
  mean = np.where(in_mask, special.ndtri(0.98), special.ndtri(outside))
  return mean + rng.normal(size=(most, count)), in_mask


class Growing:
  """A study of these runs that grows; looks are kept."""

  def __init__(self, margin, in_mask, target, estimator="plain"):
    self.margin, self.in_mask = margin, in_mask
    self.target, self.estimator = target, estimator

  def scores(self, count):
    rows = slice(count)
    plain = memorization.memorization_scores(
      self.margin[rows] > 0, self.in_mask[rows]
    )
    if self.estimator == "plain":
      return plain, None
    return plain, margins.margin_scores(self.margin[rows], self.in_mask[rows])

  def look(self, count):
    return stopping.look(*self.scores(count), self.target, block=BLOCK)

  def stop(self, start=20):
    """Where it stops, and the numbers of runs that it looked at."""
    looked = [start]
    while (seen := self.look(looked[-1])).runs_needed != 0:
      looked.append(looked[-1] + stopping.next_runs(seen.runs_needed, BLOCK))
    return looked[-1], looked


class NextTest(parameterized.TestCase):
  @parameterized.parameters(
    (None, 10),  # nothing known: a block
    (10, 10),
    (30, 10),
    (40, 20),
    (90, 40),  # nine blocks: four
    (1000, 500),
  )
  def test_half_of_the_missing_blocks_and_at_least_one(self, needed, more):
    self.assertEqual(stopping.next_runs(needed, 10), more)


class LookTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    rng = np.random.default_rng(0)
    outside = np.where(np.arange(150) < 60, 0.5, 0.03)
    self.margin, self.in_mask = margins_of(outside, rng)

  def test_plain_is_the_width_and_the_plan_of_ambiguous_examples(self):
    plain, _ = Growing(self.margin, self.in_mask, 0.3).scores(40)

    found = stopping.look(plain, None, 0.3, block=BLOCK)

    self.assertEqual(found.width, widths.interval_widths(plain).ambiguous)
    self.assertEqual(
      found.runs_needed, widths.runs_needed(plain, 0.3, block=BLOCK)
    )

  def test_margins_have_their_own_width_and_need_fewer_runs(self):
    scores = Growing(self.margin, self.in_mask, 0.3, "margin").scores(40)

    plain = stopping.look(scores[0], None, 0.3, block=BLOCK)
    found = stopping.look(*scores, 0.3, block=BLOCK)

    own = scores[1]
    chosen = (own.out_accuracy >= 0.3) & (own.out_accuracy <= 0.7)
    self.assertAlmostEqual(
      found.width, (own.ci_high - own.ci_low)[chosen].mean()
    )
    self.assertLess(found.width, plain.width)
    self.assertLess(found.runs_needed, plain.runs_needed)
    # 40 runs of width w: 40 * (w / 0.3)^2 of width 0.3, in whole blocks.
    self.assertEqual(
      found.runs_needed,
      math.ceil(40 * ((found.width / 0.3) ** 2 - 1) / BLOCK) * BLOCK,
    )

  @parameterized.parameters("plain", "margin")
  def test_all_examples(self, estimator):
    scores = Growing(self.margin, self.in_mask, 0.15, estimator).scores(40)
    own = scores[0] if estimator == "plain" else scores[1]

    found = stopping.look(*scores, 0.15, examples="all", block=BLOCK)

    self.assertAlmostEqual(found.width, (own.ci_high - own.ci_low).mean())
    more = 40 + found.runs_needed
    self.assertGreater(more, 40)
    scores = Growing(self.margin, self.in_mask, 0.15, estimator).scores(more)
    self.assertAlmostEqual(
      stopping.look(*scores, 0.15, examples="all").width, 0.15, delta=0.02
    )

  def test_without_ambiguous_examples_margins_plan_for_the_plain_one(self):
    margin, in_mask = margins_of(np.full(60, 1e-6), np.random.default_rng(1))
    scores = Growing(margin, in_mask, 0.3, "margin").scores(40)
    self.assertEqual(widths.margin_widths(scores[1]).num_ambiguous, 0)

    self.assertEqual(
      stopping.look(*scores, 0.3, block=BLOCK),
      stopping.look(scores[0], None, 0.3, block=BLOCK),
    )

  def test_nothing_is_known_without_an_interval(self):
    scores = memorization.memorization_scores(
      np.ones((4, 3), bool), np.ones((4, 3), bool)
    )

    found = stopping.look(scores, None, 0.3)

    self.assertIsNone(found.runs_needed)
    self.assertTrue(np.isnan(found.width))

  def test_bad_arguments(self):
    plain, _ = Growing(self.margin, self.in_mask, 0.3).scores(40)

    with self.assertRaisesRegex(ValueError, "above 0. Received: 0"):
      stopping.look(plain, None, 0)
    with self.assertRaisesRegex(ValueError, "one of ambiguous, all.*'few'"):
      stopping.look(plain, None, 0.3, examples="few")


class StoppingTest(parameterized.TestCase):
  """Known truth: intervals hold after stopping as with a fixed number."""

  @parameterized.parameters(("plain", 3, 20), ("margin", 20, 3))
  def test_stops_within_a_block_of_the_smallest_sufficient_number(
    self, estimator, num_ambiguous, repeats
  ):
    outside = np.full(num_ambiguous + 60, 0.02)
    outside[:num_ambiguous] = np.linspace(0.3, 0.7, num_ambiguous)
    for repeat in range(repeats):
      rng = np.random.default_rng(repeat)
      growing = Growing(*margins_of(outside, rng), 0.35, estimator)

      stopped, looked = growing.stop()

      smallest = next(
        count
        for count in range(20, stopped + 1, BLOCK)
        if growing.look(count).runs_needed == 0
      )
      self.assertBetween(stopped - smallest, 0, BLOCK)
      self.assertLess(len(looked), 10)

  def test_intervals_hold_after_stopping(self):
    """Few ambiguous examples, of which half are at the edge of the rule."""
    outside = np.repeat([0.5, 0.3, 0.7, 0.02], [2, 1, 1, 16])
    truth = 0.98 - outside
    held: dict = {"stopped": [], "fixed": []}
    stops = []
    for repeat in range(150):
      rng = np.random.default_rng([7, repeat])
      growing = Growing(*margins_of(outside, rng, most=240), 0.3)
      stopped, _ = growing.stop()
      stops.append(stopped)
      for name, count in (("stopped", stopped), ("fixed", 140)):
        scores, _ = growing.scores(count)
        held[name].append((scores.ci_low <= truth) & (truth <= scores.ci_high))

    self.assertEqual(np.median(stops), 140)
    self.assertGreater(len(set(stops)), 1)
    stopped, fixed = (np.array(held[name]) for name in ("stopped", "fixed"))
    # 150 repeats of 4 examples: a standard error of 0.89 % at 95 %.
    self.assertGreater(stopped[:, :4].mean(), 0.95 - 4 * 0.0089)
    for rows in (slice(0, 2), slice(2, 4), slice(4, None)):
      difference = stopped[:, rows].mean(axis=1) - fixed[:, rows].mean(axis=1)
      error = difference.std() / np.sqrt(len(difference))
      self.assertGreater(difference.mean(), -4 * error - 1e-12)


if __name__ == "__main__":
  absltest.main()
