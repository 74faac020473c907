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
from memo_tf.estimators import intervals
from memo_tf.estimators import memorization
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


class NearestNeighbourTest(parameterized.TestCase):
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

  def test_t4_paper_influence(self):
    masks = all_masks(5, [3, 2])
    right = np.array([[nearest(m, 2.5) == 1] for m in masks])

    found = influence.influence_scores(right, masks, estimand="paper")

    np.testing.assert_allclose(
      found.influence, [[0, -1 / 6, 5 / 6, -1 / 6, 0]], atol=1e-15
    )
    self.assertEqual(found.estimand, "paper")

  @parameterized.product(z=(0.4, 2.5, 6.0), size=(2, 3, 4), y=(0, 1))
  def test_t3_influence_in_closed_form(self, z, size, y):
    masks = all_masks(5, [size])
    right = np.array([[nearest(m, z) == y] for m in masks])

    found = influence.influence_scores(right, masks).influence[0]

    # Ranks of the examples by their distance to z, from 1 on.
    order = np.argsort(np.abs(POINTS - z), kind="stable")
    for i in range(5):
      rank = int(np.flatnonzero(order == i)[0]) + 1
      inside = sum(
        math.comb(4 - r, size - 2) / math.comb(4, size - 1)
        for r in range(1, rank)
        if LABELS[order[r - 1]] == y
      )
      if LABELS[i] == y:
        inside += math.comb(5 - rank, size - 1) / math.comb(4, size - 1)
      others = order[order != i]
      outside = sum(
        math.comb(4 - r, size - 1) / math.comb(4, size)
        for r in range(1, 5)
        if LABELS[others[r - 1]] == y
      )
      self.assertAlmostEqual(found[i], inside - outside, 12)

  def test_t14_a_duplicate_in_the_list_of_neighbours(self):
    # A copy of example 2 beside it: of either, the other gives the answer.
    points = np.array([0, 1, 2.1, 2.1, 3.3, 4.6])
    labels = np.array([0, 0, 1, 1, 0, 1])

    def correct(masks):
      return np.array(
        [
          [
            labels[ids[np.argmin(np.abs(points[ids] - x))]] == y
            for x, y in zip(points, labels)
          ]
          for ids in (np.flatnonzero(mask) for mask in masks)
        ]
      )

    alone = leave_one_out(nearest_correct, 5)
    together = leave_one_out(correct, 6)

    self.assertEqual(alone[2], 1)
    np.testing.assert_array_equal(together[2:4], [0, 0])
    # A conflicting label instead: of equal distances the lower id decides.
    labels[3] = 0
    np.testing.assert_array_equal(leave_one_out(correct, 6)[2:4], [1, 0])

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
    of_paper = influence.influence_scores(
      np.array([[vote(m) == 1] for m in both]), both, estimand="paper"
    )
    np.testing.assert_allclose(
      of_paper.influence, [[2 / 3, 2 / 3, 2 / 3, 0, 0]], atol=1e-15
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
      error = intervals.plug_in_error(a, count, b, runs - count)
      self.assertLessEqual(chance @ error**2, bound)

  def test_t11_error_shrinks_with_the_root_and_is_least_at_half(self):
    error = intervals.plug_in_error

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


if __name__ == "__main__":
  absltest.main()
