"""Estimators against exact answers: every subset enumerated, with fractions.

Learners are simple enough to be run on every subset: nearest neighbour,
majority vote, lookup table. T2 to T17 are the numbers of the project's spec.
"""

import fractions
import itertools
import math

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import stats

from memo_tf.estimators import influence
from memo_tf.estimators import memorization
from memo_tf.estimators import reliability
from memo_tf.experiment import subsets

F = fractions.Fraction
POINTS = np.array([0, 1, 2.1, 3.3, 4.6])
LABELS = np.array([0, 0, 1, 0, 1])
VOTES = np.array([1, 1, 1, 0, 0])


def all_masks(num_examples, sizes):
  rows = [
    np.isin(np.arange(num_examples), chosen)
    for size in sizes
    for chosen in itertools.combinations(range(num_examples), size)
  ]
  return np.array(rows)


def nearest(mask, x):
  members = np.flatnonzero(mask)
  if not len(members):
    return -1
  return LABELS[members[np.abs(POINTS[members] - x).argmin()]]


def vote(mask, unused_x=None):
  return int(2 * VOTES[mask].sum() > mask.sum())


def nearest_correct(masks):
  return np.array(
    [[nearest(m, x) == y for x, y in zip(POINTS, LABELS)] for m in masks]
  )


def vote_correct(masks):
  return np.array([vote(m) == VOTES for m in masks])


def leave_one_out(correct_of, num_examples):
  full = np.ones((1, num_examples), bool)
  without = ~np.eye(num_examples, dtype=bool)
  return correct_of(full)[0].astype(int) - np.diag(correct_of(without))


def closed_form_nearest(size):
  """T2: 1 - sum over ranks of C(n-1-r, size-1) / C(n-1, size) [label right]."""
  n, result = len(POINTS), []
  for i in range(n):
    order = np.argsort(np.abs(POINTS - POINTS[i]), kind="stable")
    others = [j for j in order if j != i]
    total = sum(
      F(math.comb(n - 1 - r, size - 1), math.comb(n - 1, size))
      for r, j in enumerate(others, start=1)
      if LABELS[j] == LABELS[i]
    )
    result.append(float(1 - total))
  return result


class NearestNeighbourTest(absltest.TestCase):
  def test_t4_conditional(self):
    masks = all_masks(5, [3])

    scores = memorization.memorization_scores(nearest_correct(masks), masks)

    expected = [1 / 4, 1 / 4, 1, 1, 3 / 4]
    np.testing.assert_allclose(scores.memorization, expected, atol=1e-15)
    np.testing.assert_allclose(closed_form_nearest(3), expected, atol=1e-15)
    # T12: all that was seen is right, so it is 1 - held-out accuracy.
    np.testing.assert_array_equal(scores.memorization, 1 - scores.out_accuracy)

  def test_t4_paper(self):
    masks = all_masks(5, [3, 2])

    scores = memorization.memorization_scores(
      nearest_correct(masks), masks, estimand="paper"
    )

    expected = [1 / 3, 1 / 3, 1, 5 / 6, 2 / 3]
    np.testing.assert_allclose(scores.memorization, expected, atol=1e-15)
    np.testing.assert_allclose(closed_form_nearest(2), expected, atol=1e-15)
    self.assertEqual(scores.estimand, "paper")
    np.testing.assert_array_equal(scores.num_in, [6] * 5)
    np.testing.assert_array_equal(scores.num_out, [6] * 5)

  def test_t4_leave_one_out_and_duplicates(self):
    np.testing.assert_array_equal(
      leave_one_out(nearest_correct, 5), [0, 0, 1, 1, 1]
    )

  def test_t4_influence(self):
    masks = all_masks(5, [3])
    right = np.array([[nearest(m, 2.5) == 1] for m in masks])

    found = influence.influence_scores(right, masks)

    np.testing.assert_allclose(
      found.influence, [[-1 / 4, -1 / 4, 1, -1 / 4, -1 / 4]], atol=1e-15
    )

  def test_t2_bernoulli(self):
    # Every mask, with the weight of its probability at p = 1/2: all alike.
    masks = all_masks(5, range(6))

    scores = memorization.memorization_scores(
      nearest_correct(masks), masks, estimand="bernoulli"
    )

    expected = []
    for i in range(5):
      order = np.argsort(np.abs(POINTS - POINTS[i]), kind="stable")[1:]
      right = sum(
        0.5**r for r, j in enumerate(order, 1) if LABELS[j] == LABELS[i]
      )
      expected.append(1 - right)
    np.testing.assert_allclose(scores.memorization, expected, atol=1e-15)


class MajorityVoteTest(absltest.TestCase):
  def test_t5(self):
    masks, both = all_masks(5, [3]), all_masks(5, [3, 2])

    conditional = memorization.memorization_scores(vote_correct(masks), masks)
    paper = memorization.memorization_scores(
      vote_correct(both), both, estimand="paper"
    )
    found = influence.influence_scores(
      np.array([[vote(m) == 1] for m in masks]), masks
    )

    np.testing.assert_allclose(
      conditional.memorization, [1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2], atol=1e-15
    )
    np.testing.assert_allclose(
      paper.memorization, [2 / 3, 2 / 3, 2 / 3, 0, 0], atol=1e-15
    )
    np.testing.assert_array_equal(
      leave_one_out(vote_correct, 5), [1, 1, 1, 0, 0]
    )
    np.testing.assert_allclose(
      found.influence, [[1 / 3, 1 / 3, 1 / 3, -1 / 2, -1 / 2]], atol=1e-15
    )

  def test_t5_hypergeometric_tails(self):
    masks = all_masks(5, [3])
    scores = memorization.memorization_scores(vote_correct(masks), masks)

    for i, y in enumerate(VOTES):
      ones = VOTES.sum() - y
      inside = stats.hypergeom(4, ones, 2).sf(1 - y)  # 2 (y + K) > 3
      outside = stats.hypergeom(4, ones, 3).sf(1)
      if not y:
        inside, outside = 1 - inside, 1 - outside
      self.assertAlmostEqual(scores.memorization[i], inside - outside, 12)


class LookupTest(absltest.TestCase):
  def test_t6(self):
    masks = all_masks(6, [3])
    labels = np.array([0, 1, 2, 0, 1, 2])

    # What was not seen is guessed: a probability of 1 / C.
    guess = memorization.memorization_scores(np.where(masks, 1.0, 1 / 3), masks)
    default = memorization.memorization_scores(masks | (labels == 2), masks)
    constant = memorization.memorization_scores(
      np.tile(labels == 2, (len(masks), 1)), masks
    )
    others = influence.influence_scores(np.full((len(masks), 2), 1 / 3), masks)

    np.testing.assert_allclose(guess.memorization, 2 / 3, atol=1e-15)
    np.testing.assert_array_equal(default.memorization, labels != 2)
    np.testing.assert_array_equal(constant.memorization, 0)
    np.testing.assert_allclose(others.influence, 0, atol=1e-15)

  def test_t14_a_duplicate_takes_the_memorization(self):
    masks = ~np.eye(6, dtype=bool)
    seen = masks.copy()
    seen[:, 0] = seen[:, 1] = masks[:, 0] | masks[:, 1]

    single = masks[0].astype(int)  # right on all but the example left out
    np.testing.assert_array_equal(single, [0, 1, 1, 1, 1, 1])
    scores = memorization.memorization_scores(seen, masks)

    np.testing.assert_array_equal(scores.memorization, [0, 0, 1, 1, 1, 1])

  def test_t15_mean_memorization_is_the_gap(self):
    # A distribution of two labelled points with probabilities 1/3 and 2/3; a
    # lookup table that answers 0 to what it has not seen, labels 1 and 0.
    weight, labels, size = {0: F(1, 3), 1: F(2, 3)}, {0: 1, 1: 0}, 3
    memorized = train = test = F(0)
    for sample in itertools.product((0, 1), repeat=size):
      chance = math.prod((weight[s] for s in sample), start=F(1))
      for i, s in enumerate(sample):
        rest = sample[:i] + sample[i + 1 :]
        out = int(s in rest or labels[s] == 0)
        memorized += chance * F(1 - out, size)
      train += chance
    for sample in itertools.product((0, 1), repeat=size - 1):
      chance = math.prod((weight[s] for s in sample), start=F(1))
      for z in (0, 1):
        test += chance * weight[z] * int(z in sample or labels[z] == 0)

    self.assertEqual(memorized, train - test)

  def test_t17_randomized_response(self):
    # A majority bit told right with probability e^eps / (1 + e^eps).
    epsilon = 0.7
    tell = math.exp(epsilon) / (1 + math.exp(epsilon))
    masks = all_masks(5, [3])
    right = np.where(vote_correct(masks), tell, 1 - tell)

    scores = memorization.memorization_scores(right, masks)

    limit = math.tanh(epsilon / 2)
    self.assertLessEqual(scores.memorization.max(), limit + 1e-15)
    self.assertAlmostEqual(scores.memorization.max(), limit / 2, 12)


class IdentityTest(parameterized.TestCase):
  def study(self, seed=0, num_runs=60):
    rng = np.random.default_rng(seed)
    masks = subsets.in_masks(20, num_runs, 0.7, scheme="uniform", seed=seed)
    return rng.random((num_runs, 9)) < 0.6, masks

  def test_t7_slope_of_least_squares(self):
    right, masks = self.study()

    found = influence.influence_scores(right, masks).influence

    for t, n in itertools.product(range(9), range(20)):
      x, y = masks[:, n].astype(float), right[:, t].astype(float)
      slope = np.cov(x, y, ddof=0)[0, 1] / x.var()
      self.assertAlmostEqual(found[t, n], slope, 12)

  def test_t8_zero_sum(self):
    right, masks = self.study()

    found = influence.influence_scores(right, masks)

    weights = found.num_in * found.num_out / len(masks) ** 2
    np.testing.assert_allclose(found.influence @ weights, 0, atol=1e-14)

  def test_t8_balanced_rows_sum_to_zero(self):
    masks = subsets.in_masks(20, 60, 0.7)
    right = np.random.default_rng(1).random((60, 9)) < 0.6

    found = influence.influence_scores(right, masks).influence

    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-13)

  def test_t8_diagonal_is_memorization(self):
    unused, masks = self.study()
    right = np.random.default_rng(2).random(masks.shape) < 0.5

    found = influence.influence_scores(right, masks).influence
    scores = memorization.memorization_scores(right, masks)

    np.testing.assert_allclose(np.diag(found), scores.memorization, atol=1e-14)

  @parameterized.parameters("uniform", "bernoulli")
  def test_t9_unbiased_over_all_draws_of_two_runs(self, scheme):
    # All ordered pairs of subsets: the mean of what has both groups is exact.
    masks = all_masks(4, [2] if scheme == "uniform" else range(5))
    labels = np.array([1, 0, 1, 0])
    right = np.array(
      [[(m @ labels + n) % 2 == 0 for n in range(4)] for m in masks.astype(int)]
    )
    exact = memorization.memorization_scores(right, masks).memorization
    found = [
      memorization.memorization_scores(right[[a, b]], masks[[a, b]])
      for a in range(len(masks))
      for b in range(len(masks))
    ]

    mean = np.nanmean([s.memorization for s in found], axis=0)

    np.testing.assert_allclose(mean, exact, atol=1e-14)

  @parameterized.product(runs=[10, 50, 200, 2000], ratio=[0.3, 0.5, 0.7])
  def test_t10_variance_is_under_the_bound(self, runs, ratio):
    count = np.arange(1, runs)
    chance = stats.binom(runs, ratio).pmf(count)
    chance /= chance.sum()
    least = min(ratio, 1 - ratio)
    bound = (
      1 / (least * runs)
      + 1 / ((1 - least) * runs)
      + math.exp(-least * runs / 16) / 2
    )
    for a, b in itertools.product(np.linspace(0, 1, 5), repeat=2):
      error = memorization.plug_in_error(a, count, b, runs - count)
      self.assertLessEqual(chance @ error**2, bound)

  def test_t11_error_shrinks_with_the_root_and_is_least_at_half(self):
    error = memorization.plug_in_error

    self.assertAlmostEqual(error(0.5, 280, 0.5, 120), 0.0546, 4)
    self.assertAlmostEqual(
      error(0.5, 70, 0.5, 30), 2 * error(0.5, 280, 0.5, 120), 14
    )
    self.assertAlmostEqual(error(0.5, 200, 0.5, 200), 0.05, 14)
    self.assertLess(error(0.5, 200, 0.5, 200), error(0.5, 201, 0.5, 199))

  def test_t13_order_and_labels_of_examples(self):
    right, masks = self.study()
    rng = np.random.default_rng(3)
    order, names = rng.permutation(60), rng.permutation(20)

    one = influence.influence_scores(right, masks)
    other = influence.influence_scores(right[order], masks[order][:, names])

    np.testing.assert_array_equal(other.influence, one.influence[:, names])
    np.testing.assert_array_equal(other.q_value, one.q_value[:, names])

  def test_t16_ridge_leave_one_out_margin(self):
    # All subsets of N and N - 1 examples: the paper's estimand with s = N is
    # leave-one-out, which ridge has in closed form.
    rng = np.random.default_rng(4)
    x = rng.standard_normal((8, 3))
    y = np.sign(rng.standard_normal(8))
    masks = np.concatenate([np.ones((1, 8), bool), ~np.eye(8, dtype=bool)])

    def fit(mask):
      part = x[mask]
      return x @ np.linalg.solve(part.T @ part + np.eye(3), part.T @ y[mask])

    margins = y * np.array([fit(mask) for mask in masks])
    scores = memorization.memorization_scores(
      margins, masks, outcome_kind="margin", estimand="paper"
    )

    hat = x @ np.linalg.solve(x.T @ x + np.eye(3), x.T)
    f, h = hat @ y, np.diag(hat)
    without = (f - h * y) / (1 - h)
    np.testing.assert_allclose(scores.memorization, y * (f - without), 1e-10)


class CoverageTest(parameterized.TestCase):
  @parameterized.parameters(20, 100, 400)
  def test_newcombe_covers_over_the_grid(self, num_runs):
    num_in = round(0.7 * num_runs)
    num_out, grid = num_runs - num_in, np.linspace(0, 1, 41)
    hits_in, hits_out = np.arange(num_in + 1), np.arange(num_out + 1)
    low, high = memorization.newcombe_interval(
      (hits_in / num_in)[:, None],
      num_in,
      (hits_out / num_out)[None],
      num_out,
    )
    chance_in = stats.binom.pmf(hits_in[:, None], num_in, grid)
    chance_out = stats.binom.pmf(hits_out[:, None], num_out, grid)

    coverage = np.empty((41, 41))
    for i, j in np.ndindex(41, 41):
      truth = grid[i] - grid[j]
      covered = (low - 1e-12 <= truth) & (truth <= high + 1e-12)
      coverage[i, j] = chance_in[:, i] @ covered @ chance_out[:, j]

    self.assertGreaterEqual((coverage >= 0.93).mean(), 0.97)
    self.assertGreaterEqual(coverage.min(), 0.85)
    self.assertBetween(coverage.mean(), 0.945, 0.97)


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

  @parameterized.product(block=[1, 3, 100], k=[1, 4])
  def test_top_k_of_each_test_example(self, block, k):
    value, masks, *unused = self.study()
    dense = influence.influence_scores(value, masks).influence

    pairs = influence.influence_scores(value, masks, top_k=k, block=block)

    for t in range(11):
      order = np.lexsort((np.arange(37), -dense[t]))[:k]
      mine = pairs.train_ids[pairs.test_ids == t]
      np.testing.assert_array_equal(mine, order)

  def test_tally_is_batch_to_the_bit(self):
    value, masks, *unused = self.study()
    tallies = [influence.InfluenceTally(37, 11) for _ in range(2)]
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
      influence.q_values(np.array([0.6, 0.01, 0.02]), 4), [0.8, 0.04, 0.04]
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


class CertaintyTest(absltest.TestCase):
  def study(self, num_runs, seed=0):
    rng = np.random.default_rng(seed)
    masks = subsets.in_masks(400, num_runs, 0.7, seed=seed)
    out = np.random.default_rng(99).uniform(0.2, 1, 400)
    return rng.random(masks.shape) < np.where(masks, 0.98, out), masks

  def test_reliability_is_the_share_that_is_not_noise(self):
    right, masks = self.study(100)
    scores = memorization.memorization_scores(right, masks)

    found = reliability.split_half_reliability(right, masks, block=10)

    # T32: true variance over itself plus that of the estimate.
    out = np.random.default_rng(99).uniform(0.2, 1, 400)
    true = np.var(0.98 - out)
    noise = np.mean(out * (1 - out)) / 30 + 0.98 * 0.02 / 70
    self.assertEqual(found.num_runs, 100)
    self.assertAlmostEqual(found.reliability, true / (true + noise), delta=0.03)
    self.assertGreater(scores.memorization.var(), true * 0.8)

  def test_curve_rises(self):
    right, masks = self.study(160)

    curve = reliability.reliability_curve(right, masks, block=10)

    self.assertEqual([point.num_runs for point in curve], [20, 40, 80, 160])
    self.assertTrue((np.diff([p.reliability for p in curve]) > 0).all())

  def test_runs_needed_are_needed(self):
    right, masks = self.study(50)
    scores = memorization.memorization_scores(right, masks)

    more = reliability.runs_needed(scores, 0.2, block=10)
    wider = memorization.memorization_scores(*self.study(50 + more))

    self.assertEqual(more % 10, 0)
    self.assertAlmostEqual(
      np.mean(wider.ci_high - wider.ci_low), 0.2, delta=0.01
    )
    self.assertEqual(reliability.runs_needed(scores, 2.0), 0)

  def test_paired_difference_is_surer_than_its_parts(self):
    right, masks = self.study(60)
    # The second size answers alike, but for a tenth of what it held out.
    flip = np.random.default_rng(1).random(masks.shape) < 0.1
    other = right & ~(flip & ~masks)

    found = reliability.bootstrap_memorization(
      [right, other], masks, block=10, num_resamples=200
    )

    expected = [
      np.mean(memorization.memorization_scores(o, masks).memorization)
      for o in (right, other)
    ]
    np.testing.assert_allclose(found.mean.estimate, expected, atol=1e-12)
    self.assertLess(
      found.difference.standard_error[1], found.mean.standard_error.max()
    )
    self.assertGreater(found.difference.ci_low[1], 0)

  def test_bootstrap_draws_whole_blocks(self):
    found = reliability.bootstrap_runs(
      lambda places: len(set(places // 5)) - len(set(places)) / 5,
      20,
      block=5,
      num_resamples=50,
    )

    np.testing.assert_allclose(found.replicates, 0, atol=1e-12)


if __name__ == "__main__":
  absltest.main()
