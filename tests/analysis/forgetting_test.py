"""Forgetting against margins: hand arithmetic, an oracle, known truth."""

from absl.testing import absltest
import numpy as np
import pytest

from memo_tf.analysis import forgetting
from memo_tf.estimators import resampling
from tests.support import compression_laws


def slow_expected(margin, right, lost, group, count):
  """(members, forgotten, expected), one stratum and one pair at a time."""
  pairs = [(m, n) for m, n in zip(*np.nonzero(right))]
  own = sorted(margin[m, n] for m, n in pairs if group[n])
  edges = [np.quantile(own, k / count) for k in range(1, count)]
  sums = np.zeros(3)
  for stratum in range(count):
    inside = [
      (m, n)
      for m, n in pairs
      if sum(margin[m, n] >= edge for edge in edges) == stratum
    ]
    members = [lost[m, n] for m, n in inside if group[n]]
    others = [lost[m, n] for m, n in inside if not group[n]]
    if len(others) >= forgetting.MIN_OTHERS:
      sums += len(members), sum(members), len(members) * np.mean(others)
  return sums


def one_run(margin, lost, group):
  margin, lost = np.array([margin], float), np.array([lost], bool)
  right = margin > 0
  return forgetting.forgetting(
    right,
    margin,
    right & ~lost,
    np.ones_like(right),
    np.array(group, bool),
    None,
  )


class ForgettingTest(absltest.TestCase):
  def test_hand_computed(self):
    # One stratum: 6 others, 3 of them lost, so half of the members are
    # expected; 1 of 3 is. The last member was wrong already.
    margin = [1, 2, 3, 4, 5, 6, 1, 3, 5, -1]
    lost = [1, 1, 1, 0, 0, 0, 0, 1, 0, 1]
    group = [0] * 6 + [1] * 4

    found = one_run(margin, lost, group)

    self.assertEqual((found.num_right, found.num_forgotten), (3, 1))
    self.assertEqual(found.num_compared, 3)
    self.assertAlmostEqual(found.rate, 1 / 3)
    self.assertAlmostEqual(found.expected, 1 / 2)
    self.assertAlmostEqual(found.excess, -1 / 6)
    self.assertTrue(np.isnan(found.excess_low))  # of one run
    self.assertAlmostEqual(found.share_of_forgotten, 1 / 4)
    self.assertAlmostEqual(found.share_of_right, 3 / 9)

  def test_members_are_compared_with_the_given_others(self):
    margin = np.tile([1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1.5, 2.5], (1, 1))
    lost = np.array([[1] * 5 + [0] * 5 + [1, 0]], bool)
    group = np.arange(12) >= 10
    arguments = (margin > 0, margin, ~lost, margin > 0, group, None)

    with_all = forgetting.forgetting(*arguments)
    with_some = forgetting.forgetting(*arguments, np.arange(12) >= 5)

    self.assertEqual((with_all.expected, with_some.expected), (0.5, 0.0))

  def test_few_losses_have_no_interval(self):
    rng = np.random.default_rng(2)
    margin = rng.uniform(0.1, 5, (20, 80))
    bootstrap = resampling.paired_bootstrap(20)
    few = np.zeros(margin.shape, bool)
    few[0, :3] = True

    for lost, is_known in ((few, False), (rng.random((20, 80)) < 0.1, True)):
      found = forgetting.forgetting(
        margin > 0, margin, ~lost, margin > 0, np.arange(80) < 20, bootstrap
      )
      self.assertEqual(np.isfinite(found.excess_low), is_known)

  def test_without_enough_others_nothing_is_compared(self):
    found = one_run([1, 2, 3, 4, 5, 6], [0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 1, 1])

    self.assertEqual((found.num_right, found.num_compared), (2, 0))
    self.assertTrue(np.isnan(found.excess))

  def test_as_by_the_definition(self):
    rng = np.random.default_rng(0)
    margin = rng.normal(1, 2, (9, 90))
    group = np.arange(90) < 30
    right = (margin > 0) & (rng.random(margin.shape) < 0.8)
    lost = right & (rng.random(margin.shape) < 0.4)
    count = (right & group).sum() // forgetting.MIN_MEMBERS

    found = forgetting.forgetting(margin > 0, margin, ~lost, right, group, None)

    members, forgotten, expected = slow_expected(
      margin, right, lost, group, count
    )
    self.assertGreater(count, 3)
    self.assertEqual(found.num_compared, members)
    self.assertAlmostEqual(found.rate, forgotten / members)
    self.assertAlmostEqual(found.expected, expected / members)

  def test_only_the_selected_pairs_count(self):
    rng = np.random.default_rng(1)
    margin = rng.uniform(0.1, 5, (6, 80))
    lost = rng.random((6, 80)) < 0.3
    selected = rng.random((6, 80)) < 0.7
    group = np.arange(80) < 20
    arguments = (margin > 0, margin)

    found = forgetting.forgetting(*arguments, ~lost, selected, group, None)
    changed = forgetting.forgetting(
      *arguments, ~lost ^ ~selected, selected, group, None
    )

    self.assertEqual(str(found), str(changed))  # NaN is not itself
    self.assertEqual(found.num_right, selected[:, :20].sum())

  def test_margins_alone_are_no_finding_and_more_is(self):
    null = compression_laws.rates(200, num_examples=400)
    extra = compression_laws.rates(25, num_examples=400, extra=0.8)

    # The group is 12 % of the images and most of what is forgotten, ...
    self.assertGreater(null["share_of_forgotten"], 0.7)
    # ... which its margins explain.
    self.assertLessEqual(null["more"] + null["less"], 0.07)
    self.assertGreaterEqual(extra["more"], 0.8)

  @pytest.mark.slow
  def test_false_alarms_and_power_over_the_laws(self):
    for name, law in compression_laws.LAWS.items():
      with self.subTest(name):
        null = compression_laws.rates(300, **law)
        # Where few others have such margins it takes more to be found.
        strength = 1.0 if name == "margins far apart" else 0.5
        extra = compression_laws.rates(60, extra=strength, **law)

        self.assertLessEqual(null["more"] + null["less"], 0.07)
        self.assertGreaterEqual(extra["more"], 0.8)

  def test_groups(self):
    found = forgetting.groups_of(
      np.array([0.9, 0.6, 0.1, np.nan, 0.2]),
      np.array(["wrong label", "clean", "clean", "clean", "wrong label"]),
      "clean",
      0.5,
    )

    self.assertEqual(
      {name: np.flatnonzero(mask).tolist() for name, mask in found.items()},
      {
        "most memorized": [0, 1],
        "natural high scores": [1],
        "planted: wrong label": [0, 4],
      },
    )


if __name__ == "__main__":
  absltest.main()
