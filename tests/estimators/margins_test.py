"""Tests of memorization from margins."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import special
from scipy import stats

from memo_tf.estimators import margin_groups
from memo_tf.estimators import margins
from memo_tf.estimators import memorization
from tests.support import slow_margins


def balanced_mask(rng, num_runs, num_examples):
  """bool [M, N]: every example is in 7 of each 10 runs."""
  return np.concatenate(
    [
      np.argsort(rng.random((10, num_examples)), axis=0) < 7
      for _ in range(num_runs // 10)
    ]
  )


# Margins of mean mu and standard deviation sd, `[M, N]`, and the probability
# that one is above 0.
def normal(rng, num_runs, mu, sd):
  noise = rng.normal(size=(num_runs, len(mu)))
  return mu + sd * noise, special.ndtr(mu / sd)


def heavy_tails(rng, num_runs, mu, sd):
  noise = rng.standard_t(3, size=(num_runs, len(mu)))
  return mu + sd * noise, stats.t.cdf(mu / sd, 3)


def two_modes(rng, num_runs, mu, sd):
  up = rng.random((num_runs, len(mu))) < 0.4
  noise = rng.normal(size=up.shape) + np.where(up, 2.4, -1.6)
  right = 0.4 * special.ndtr(mu / sd + 2.4) + 0.6 * special.ndtr(mu / sd - 1.6)
  return mu + sd * noise, right


def sign_alone(rng, num_runs, mu, sd):
  """The size of a margin says nothing of its sign."""
  right = special.ndtr(mu / sd)
  sign = np.where(rng.random((num_runs, len(mu))) < right, 1, -1)
  return sign * rng.gamma(2, 2, sign.shape), right


def simulate(law, num_runs, seed, *, in_level=4.0, num_examples=1500):
  """(margin, in_mask, true memorization, true out-accuracy)."""
  rng = np.random.default_rng(seed)
  sd = np.exp(rng.normal(0.8, 0.15, num_examples))
  held_out = rng.normal(1.5, 1.8, num_examples)
  inside = rng.normal(in_level, 1.2, num_examples)
  out_margin, out_right = law(rng, num_runs, held_out * sd, sd)
  in_margin, in_right = law(rng, num_runs, inside * sd, sd)
  mask = balanced_mask(rng, num_runs, num_examples)
  margin = np.where(mask, in_margin, out_margin).astype(np.float32)
  return margin, mask, in_right - out_right, out_right


def error(scores, truth):
  return np.square(scores.memorization - truth).mean()


def coverage(scores, truth, members):
  inside = (scores.ci_low <= truth) & (truth <= scores.ci_high)
  return inside[members].mean()


def assert_same(found, expected, **tolerance):
  for name, value in vars(expected).items():
    if name != "estimand":
      np.testing.assert_allclose(
        getattr(found, name), value, err_msg=name, **tolerance
      )


class MarginScoresTest(parameterized.TestCase):
  def test_follows_the_formulas_in_one_example(self):
    # Two examples have no moderated variance. Out: margins -1, 1, 3, so mean
    # 1, variance 4, z = 1/2; in: 2, 4, 6, 8, mean 5, variance 20/3.
    margin = np.array([[-1, 1, 3, 2, 4, 6, 8.0]] * 2).T
    mask = np.array([[False] * 3 + [True] * 4] * 2).T

    found = margins.margin_scores(margin, mask, prior=False)

    z_in = 5 / np.sqrt(20 / 3)
    inside = special.ndtr(z_in / np.sqrt(3 / 4))
    outside = special.ndtr(0.5 / np.sqrt(2 / 3))
    np.testing.assert_allclose(found.in_accuracy, inside)
    np.testing.assert_allclose(found.out_accuracy, outside)
    np.testing.assert_allclose(found.memorization, inside - outside)
    # With too few examples to know the misfit the variance of z grows by 0.01.
    half_in = stats.t.ppf(0.975, 3) * np.sqrt(1 / 4 + z_in**2 / 6 + 0.01)
    half_out = stats.t.ppf(0.975, 2) * np.sqrt(1 / 3 + 0.25 / 4 + 0.01)
    below = np.hypot(
      inside - special.ndtr(z_in - half_in),
      special.ndtr(0.5 + half_out) - outside,
    )
    np.testing.assert_allclose(found.ci_low, inside - outside - below)
    np.testing.assert_array_equal(found.num_in, [4, 4])
    self.assertTrue(np.isnan(found.misfit))

  @parameterized.parameters(
    (normal, 20, (4,)), (two_modes, 40, (4, 5)), (heavy_tails, 20, (4, 5))
  )
  def test_follows_the_formulas_one_number_at_a_time(
    self, law, num_runs, expected_reasons
  ):
    margin, mask, _, _ = simulate(law, num_runs, 9, num_examples=600)
    margin = margin.astype(np.float64)
    mask[:, 0] = np.arange(num_runs) < num_runs - 2
    mask[:, 1] = True
    margin[:, 2] = 1.5
    named = np.arange(600) % 50 == 7

    found = margins.margin_scores(margin, mask, use_counts=named, prior=False)

    for name, expected in slow_margins.scores(margin, mask, named).items():
      np.testing.assert_allclose(
        getattr(found, name), expected, rtol=1e-9, atol=1e-12, err_msg=name
      )
    reasons = {*found.fallback_in, *found.fallback_out}
    self.assertEqual(reasons, {0, 1, 2, 3, *expected_reasons})

  def test_better_than_plain_by_half_and_the_interval_holds(self):
    for num_runs in (20, 160):
      margin, mask, truth, out = simulate(normal, num_runs, 0)

      found = margins.margin_scores(margin, mask)
      plain = memorization.memorization_scores(margin > 0, mask)

      self.assertGreater(error(plain, truth) / error(found, truth), 1.5)
      ambiguous = (out > 0.3) & (out < 0.7)
      self.assertGreater(coverage(found, truth, slice(None)), 0.95)
      self.assertGreater(coverage(found, truth, ambiguous), 0.93)
      width = (found.ci_high - found.ci_low).mean()
      self.assertLess(width, 0.7 * (plain.ci_high - plain.ci_low).mean())
      self.assertLess(found.misfit, 0.04)
      # Almost nothing falls back: one in a thousand by chance.
      self.assertLess(sum(found.fallbacks().values()), 15)
      # Points are within their intervals.
      self.assertTrue((found.memorization >= found.ci_low).all())
      self.assertTrue((found.memorization <= found.ci_high).all())

  @parameterized.product(
    law=(heavy_tails, two_modes, sign_alone),
    in_level=(4.0, 1.0),
    num_runs=(20, 80, 400),
  )
  def test_intervals_hold_where_the_model_does_not(
    self, law, in_level, num_runs
  ):
    margin, mask, truth, out = simulate(
      law, num_runs, 1, in_level=in_level, num_examples=4000
    )

    found = margins.margin_scores(margin, mask)

    ambiguous = (out > 0.3) & (out < 0.7)
    self.assertGreater(coverage(found, truth, slice(None)), 0.925)
    # 93 % on average over seeds (benchmarks/margin_laws.py);
    # a share of 650 examples is off by 1 % by chance.
    self.assertGreater(coverage(found, truth, ambiguous), 0.91)
    if num_runs == 400:  # by then the misfit is seen and costs nothing
      plain = memorization.memorization_scores(margin > 0, mask)
      self.assertLess(error(found, truth), 1.1 * error(plain, truth))

  def test_named_examples_are_the_plain_ones(self):
    margin, mask, _, _ = simulate(normal, 40, 2, num_examples=300)
    named = np.arange(300) < 100

    found = margins.margin_scores(margin, mask, use_counts=named)
    plain = memorization.memorization_scores(margin > 0, mask)

    for name in ("memorization", "in_accuracy", "out_accuracy", "ci_low",
                 "ci_high", "standard_error"):  # fmt: skip
      np.testing.assert_allclose(
        getattr(found, name)[named],
        getattr(plain, name)[named],
        atol=1e-12,
        err_msg=name,
      )
    self.assertEqual(found.fallbacks()["named by the caller"], 100)
    others = np.abs(found.memorization - plain.memorization)[~named]
    self.assertGreater(others.max(), 0.05)

  def test_few_runs_equal_margins_and_infinite_margins_fall_back(self):
    margin, mask, _, _ = simulate(normal, 40, 3, num_examples=300)
    mask[:, 0] = np.arange(40) < 38  # two runs without it
    mask[:, 1] = True  # none
    margin[:, 2] = 1.5
    margin[5, 3] = np.inf

    found = margins.margin_scores(margin, mask)
    plain = memorization.memorization_scores(margin > 0, mask)

    np.testing.assert_array_equal(found.fallback_out[:4], [1, 1, 2, 2])
    np.testing.assert_array_equal(found.fallback_in[[0, 2, 3]], [0, 2, 2])
    self.assertTrue(np.isnan(found.memorization[1]))
    self.assertTrue(np.isnan(found.ci_high[1]))
    np.testing.assert_allclose(found.memorization[2:4], plain.memorization[2:4])
    np.testing.assert_allclose(found.ci_low[2:4], plain.ci_low[2:4])

  def test_an_example_of_two_modes_falls_back(self):
    margin, mask, _, _ = simulate(normal, 400, 4, num_examples=300)
    # Held out: wrong by little in 30 % of the runs, right by far in the others.
    margin[:, 0] = np.where(np.arange(400) % 10 < 3, -1.0, 30.0)

    found = margins.margin_scores(margin, mask)

    self.assertEqual(
      margin_groups.REASONS[found.fallback_out[0]],
      "margins contradict the share of right runs",
    )

  def test_nan_needs_to_be_told_what_is_right(self):
    margin, mask, _, _ = simulate(normal, 20, 5, num_examples=100)
    correct = margin > 0
    margin[3, 7] = np.nan

    with self.assertRaisesRegex(ValueError, "must not be NaN unless `correct`"):
      margins.margin_scores(margin, mask)
    found = margins.margin_scores(margin, mask, correct=correct)

    plain = memorization.memorization_scores(correct, mask)
    self.assertAlmostEqual(found.memorization[7], plain.memorization[7])

  @parameterized.named_parameters(
    ("rank", np.zeros(3), np.zeros(3, bool), "must both be"),
    ("shape", np.zeros((2, 3)), np.zeros((2, 4), bool), "must both be"),
    ("mask", np.zeros((2, 3)), np.zeros((2, 3)), "boolean"),
    ("integers", np.zeros((2, 3), int), np.zeros((2, 3), bool), "floating"),
  )
  def test_rejects(self, margin, in_mask, message):
    with self.assertRaisesRegex(ValueError, message):
      margins.margin_scores(margin, in_mask)

  def test_rejects_wrong_names_and_confidence(self):
    margin, mask, _, _ = simulate(normal, 20, 5, num_examples=10)

    with self.assertRaisesRegex(ValueError, r"bool \[10\]"):
      margins.margin_scores(margin, mask, use_counts=np.zeros(9, bool))
    with self.assertRaisesRegex(ValueError, r"in \(0, 1\)"):
      margins.margin_scores(margin, mask, confidence=95)


class MarginTallyTest(absltest.TestCase):
  def test_one_at_a_time_and_merged_gives_the_same(self):
    margin, mask, _, _ = simulate(normal, 40, 6, num_examples=200)
    whole = margins.margin_scores(margin, mask)

    single = margins.MarginTally(200)
    for row, inside in zip(margin, mask):
      single.add(row, inside)
    parts = [margins.MarginTally(200), margins.MarginTally(200)]
    for m in np.random.default_rng(0).permutation(40):
      parts[int(m % 3 == 0)].add(margin[m], mask[m], index=m)
    parts[0].merge(parts[1])

    assert_same(single.scores(), whole, rtol=1e-9, atol=1e-9)
    assert_same(parts[0].scores(), whole, rtol=1e-6, atol=1e-6)

  def test_a_missing_run_leaves_the_others_in_their_halves(self):
    margin, mask, _, _ = simulate(normal, 40, 6, num_examples=200)
    some = np.delete(np.arange(40), [0, 11])
    single = margins.MarginTally(200)
    for m in some:
      single.add(margin[m], mask[m], index=m)

    found = margins.tally_of(margin[some], mask[some], indices=some).scores()

    assert_same(found, single.scores(), rtol=1e-9, atol=1e-9)
    shifted = margins.margin_scores(margin[some], mask[some])
    self.assertNotAlmostEqual(found.misfit, shifted.misfit)

  def test_rejects_parts_of_different_numbers_of_runs(self):
    margin, mask = np.ones((1, 3)), np.ones((1, 3), bool)
    two = np.ones((2, 3), bool)
    for in_mask, correct, indices in (
      (mask, two, None),
      (two, None, None),
      (mask, mask, np.arange(2)),
    ):
      with self.assertRaisesRegex(ValueError, r"must all be \[M, N\]"):
        margins.MarginTally(3).add_many(
          margin, in_mask, correct=correct, indices=indices
        )

  def test_halves_have_subsets_of_both_sizes(self):
    # Else a half has no held-out runs, and the misfit is never seen.
    rng = np.random.default_rng(0)
    mask = np.stack(
      [
        np.isin(np.arange(500), rng.permutation(500)[: 350 - m % 2])
        for m in range(400)
      ]
    )
    level = rng.normal(1.5, 1.8, 500)
    in_margin, _ = sign_alone(rng, 400, level + 2, np.ones(500))
    out_margin, _ = sign_alone(rng, 400, level, np.ones(500))
    margin = np.where(mask, in_margin, out_margin)

    found = margins.margin_scores(margin, mask, estimand="paper")

    self.assertGreater(found.fallbacks()["misfit of similar examples"], 100)

  def test_relabelled_examples_permute_the_scores(self):
    margin, mask, _, _ = simulate(normal, 40, 7, num_examples=200)
    order = np.random.default_rng(0).permutation(200)

    found = margins.margin_scores(margin[:, order], mask[:, order])

    expected = margins.margin_scores(margin, mask)
    np.testing.assert_allclose(
      found.memorization, expected.memorization[order], atol=1e-4
    )

  def test_two_sizes_of_subsets_take_each_term_from_their_own(self):
    margin, _, _, _ = simulate(normal, 40, 8, num_examples=60)
    rng = np.random.default_rng(0)
    mask = np.stack(
      [
        np.isin(np.arange(60), rng.permutation(60)[: 42 - m % 2])
        for m in range(40)
      ]
    )

    found = margins.margin_scores(margin, mask, estimand="paper")
    plain = memorization.memorization_scores(margin > 0, mask, estimand="paper")

    np.testing.assert_array_equal(found.num_in, plain.num_in)
    np.testing.assert_array_equal(found.num_out, plain.num_out)
    self.assertEqual(found.estimand, "paper")


if __name__ == "__main__":
  absltest.main()
