"""Memorization scores: by hand, by a slow oracle, by published examples."""

import math
import statistics

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import stats

from memo_tf.estimators import memorization

ARRAYS = (
  "memorization",
  "in_accuracy",
  "out_accuracy",
  "num_in",
  "num_out",
  "standard_error",
  "ci_low",
  "ci_high",
)


def random_study(seed, num_runs=40, num_examples=30, kind="correctness"):
  """An outcome `[M, N]` of a kind and a mask with some empty groups."""
  rng = np.random.default_rng(seed)
  in_mask = rng.random((num_runs, num_examples)) < 0.7
  in_mask[:, 0], in_mask[:, 1] = True, False
  outcome = {
    "correctness": rng.random((num_runs, num_examples)) < 0.6,
    "label_probability": rng.random((num_runs, num_examples)),
    "margin": 5 * rng.standard_normal((num_runs, num_examples)),
  }[kind]
  return outcome, in_mask


def slow_scores(outcome, in_mask):
  """The definition, one example and one run at a time."""
  rows = []
  for n in range(outcome.shape[1]):
    inside, outside = [], []
    for m in range(outcome.shape[0]):
      group = inside if in_mask[m, n] else outside
      group.append(float(outcome[m, n]))
    mean_in = sum(inside) / len(inside) if inside else math.nan
    mean_out = sum(outside) / len(outside) if outside else math.nan
    rows.append(
      (mean_in - mean_out, mean_in, mean_out, len(inside), len(outside))
    )
  return [np.array(column) for column in zip(*rows)]


def one_example(hits_in, num_in, hits_out, num_out):
  """A study of one example with these counts of right answers."""
  outcome = [1] * hits_in + [0] * (num_in - hits_in)
  outcome += [1] * hits_out + [0] * (num_out - hits_out)
  in_mask = [True] * num_in + [False] * num_out
  return np.array(outcome)[:, None] == 1, np.array(in_mask)[:, None]


def score_limits(hits, count):
  """Wilson's limits as the roots of (p - x)^2 = z^2 x (1 - x) / n."""
  z = statistics.NormalDist().inv_cdf(0.975)
  p = hits / count
  a = 1 + z * z / count
  b = -(2 * p + z * z / count)
  root = math.sqrt(max(b * b - 4 * a * p * p, 0.0))
  return (-b - root) / (2 * a), (-b + root) / (2 * a)


def assert_same_scores(one, other, *, order=None):
  for name in ARRAYS:
    expected = getattr(other, name)
    expected = expected if order is None else expected[order]
    np.testing.assert_array_equal(getattr(one, name), expected, err_msg=name)


class HandArithmeticTest(parameterized.TestCase):
  def test_hand_computed(self):
    in_mask = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    correct = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1], [0, 1, 1]], bool)

    scores = memorization.memorization_scores(correct, in_mask)

    # Example 0: right in both runs that saw it, wrong in both that did not.
    # Example 1: right in 1 of 2 of each. Example 2: never trained on.
    np.testing.assert_array_equal(scores.memorization, [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(scores.in_accuracy, [1.0, 0.5, np.nan])
    np.testing.assert_array_equal(scores.out_accuracy, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(scores.num_in, [2, 2, 0])
    np.testing.assert_array_equal(scores.num_out, [2, 2, 4])
    # Example 1: sqrt(0.25 / 2 + 0.25 / 2) = 0.5.
    np.testing.assert_array_equal(scores.standard_error, [0.0, 0.5, np.nan])
    self.assertEqual(scores.outcome, "correctness")
    self.assertEqual(scores.memorization.dtype, np.float64)
    self.assertEqual(scores.num_in.dtype, np.int64)

  def test_score_may_be_negative(self):
    correct, in_mask = one_example(1, 4, 3, 4)

    scores = memorization.memorization_scores(correct, in_mask)

    self.assertEqual(scores.memorization[0], 0.25 - 0.75)

  def test_label_probability_by_hand(self):
    outcome = np.array([[0.75], [0.25], [0.5], [0.0]])
    in_mask = np.array([[True], [True], [False], [False]])

    scores = memorization.memorization_scores(outcome, in_mask)

    # Means 0.5 and 0.25; both sample variances are 0.125, so the standard
    # error is sqrt(0.125 / 2 + 0.125 / 2) = sqrt(0.125), with 2 degrees of
    # freedom, for which t is 4.302653.
    self.assertEqual(scores.outcome, "label_probability")
    self.assertEqual(scores.memorization[0], 0.25)
    self.assertAlmostEqual(scores.standard_error[0], math.sqrt(0.125), 12)
    half = 4.302652729911275 * math.sqrt(0.125)
    self.assertAlmostEqual(scores.ci_low[0], 0.25 - half, 9)
    self.assertAlmostEqual(scores.ci_high[0], 0.25 + half, 9)

  def test_margin_is_not_bounded(self):
    outcome = np.array([[7.0], [5.0], [-4.0], [-2.0]])
    in_mask = np.array([[True], [True], [False], [False]])

    scores = memorization.memorization_scores(
      outcome, in_mask, outcome_kind="margin"
    )

    self.assertEqual(scores.memorization[0], 9.0)
    self.assertEqual(scores.outcome, "margin")

  @parameterized.parameters("correctness", "label_probability", "margin")
  def test_empty_group_is_nan_and_counted(self, kind):
    outcome, in_mask = random_study(0, kind=kind)

    scores = memorization.memorization_scores(
      outcome, in_mask, outcome_kind=kind
    )

    # Example 0 is in every run, example 1 in none.
    np.testing.assert_array_equal(scores.num_in[:2], [40, 0])
    np.testing.assert_array_equal(scores.num_out[:2], [0, 40])
    for name in ("memorization", "standard_error", "ci_low", "ci_high"):
      values = getattr(scores, name)
      self.assertTrue(np.isnan(values[:2]).all(), name)
      self.assertTrue(np.isfinite(values[2:]).all(), name)
    self.assertAlmostEqual(scores.in_accuracy[0], outcome[:, 0].mean(), 12)
    self.assertAlmostEqual(scores.out_accuracy[1], outcome[:, 1].mean(), 12)

  def test_group_of_one_run_has_a_score_but_no_welch_interval(self):
    outcome = np.array([[0.5], [0.25], [0.75]])
    in_mask = np.array([[True], [False], [False]])

    scores = memorization.memorization_scores(outcome, in_mask)

    self.assertEqual(scores.memorization[0], 0.0)
    self.assertTrue(np.isnan(scores.standard_error[0]))
    self.assertTrue(np.isnan(scores.ci_low[0]))
    self.assertTrue(np.isnan(scores.ci_high[0]))

  def test_group_of_one_run_has_a_newcombe_interval(self):
    correct, in_mask = one_example(1, 1, 0, 2)

    scores = memorization.memorization_scores(correct, in_mask)

    self.assertEqual(scores.memorization[0], 1.0)
    self.assertEqual(scores.standard_error[0], 0.0)
    low_in, high_out = score_limits(1, 1)[0], score_limits(0, 2)[1]
    expected = 1 - math.hypot(1 - low_in, high_out)
    self.assertAlmostEqual(scores.ci_low[0], expected, 12)
    self.assertEqual(scores.ci_high[0], 1.0)

  @parameterized.parameters(0, 1)
  def test_constant_correctness_scores_zero(self, value):
    _, in_mask = random_study(1)
    outcome = np.full(in_mask.shape, value)

    scores = memorization.memorization_scores(outcome, in_mask)

    np.testing.assert_array_equal(scores.memorization[2:], 0.0)
    np.testing.assert_array_equal(scores.standard_error[2:], 0.0)
    self.assertTrue((scores.ci_low[2:] < 0).all())
    self.assertTrue((scores.ci_high[2:] > 0).all())

  def test_constant_probability_scores_zero(self):
    _, in_mask = random_study(1)
    outcome = np.full(in_mask.shape, 0.25)

    scores = memorization.memorization_scores(outcome, in_mask)

    for name in ("memorization", "standard_error", "ci_low", "ci_high"):
      np.testing.assert_array_equal(getattr(scores, name)[2:], 0.0)

  def test_dataframe_has_the_columns_of_the_score_files(self):
    scores = memorization.memorization_scores(*random_study(2))

    frame = scores.to_dataframe()

    self.assertEqual(
      list(frame.columns),
      [
        "example_id",
        "memorization",
        "in_accuracy",
        "out_accuracy",
        "num_in",
        "num_out",
        "standard_error",
        "ci_low",
        "ci_high",
      ],
    )
    np.testing.assert_array_equal(frame["example_id"], np.arange(30))
    for name in ARRAYS:
      np.testing.assert_array_equal(frame[name], getattr(scores, name))


class OracleTest(parameterized.TestCase):
  @parameterized.product(
    kind=["correctness", "label_probability", "margin"], seed=[0, 1, 2]
  )
  def test_equals_the_definition(self, kind, seed):
    outcome, in_mask = random_study(seed, kind=kind)

    scores = memorization.memorization_scores(
      outcome, in_mask, outcome_kind=kind
    )

    for name, expected in zip(ARRAYS, slow_scores(outcome, in_mask)):
      np.testing.assert_allclose(
        getattr(scores, name), expected, rtol=0, atol=1e-12, err_msg=name
      )

  def test_reference_formula_in_float32(self):
    outcome, in_mask = random_study(3, num_runs=200, num_examples=500)
    in_mask[:, :2] = random_study(4, num_runs=200)[1][:, 2:4]

    scores = memorization.memorization_scores(outcome, in_mask)

    # As in the code that Feldman & Zhang published.
    def masked_average(x, mask):
      total = np.sum(x * mask, axis=0)
      count = np.maximum(np.sum(mask, axis=0), 1e-10)
      return (total / count).astype(np.float32)

    x = outcome.astype(np.float32)
    mask = in_mask.astype(np.float32)
    expected = masked_average(x, mask) - masked_average(x, 1 - mask)
    np.testing.assert_allclose(scores.memorization, expected, rtol=0, atol=1e-6)

  def test_known_truth_within_four_standard_errors(self):
    rng = np.random.default_rng(5)
    num_runs, num_examples = 4000, 50
    truth_in = rng.uniform(0.5, 0.95, num_examples)
    truth_out = rng.uniform(0.05, 0.9, num_examples)
    in_mask = rng.random((num_runs, num_examples)) < 0.7
    chance = np.where(in_mask, truth_in, truth_out)
    outcome = rng.random(chance.shape) < chance

    scores = memorization.memorization_scores(outcome, in_mask)

    truth = truth_in - truth_out
    distance = np.abs(scores.memorization - truth) / scores.standard_error
    self.assertLess(distance.max(), 4.0)
    # The standard error itself: what two binomials have.
    expected = np.sqrt(
      truth_in * (1 - truth_in) / scores.num_in
      + truth_out * (1 - truth_out) / scores.num_out
    )
    np.testing.assert_allclose(scores.standard_error, expected, rtol=0.1)
    # And it is not too large: over 50 examples some are a standard error off.
    self.assertGreater(distance.max(), 1.0)

  @parameterized.parameters("correctness", "label_probability")
  def test_intervals_cover_the_truth_as_often_as_they_say(self, kind):
    rng = np.random.default_rng(6)
    num_runs, num_examples = 40, 3000
    in_mask = np.arange(num_runs)[:, None] % 10 < 7
    in_mask = np.repeat(in_mask, num_examples, axis=1)
    uniform = rng.random(in_mask.shape)
    if kind == "correctness":
      outcome, truth = uniform < np.where(in_mask, 0.9, 0.4), 0.5
    else:
      # Means 1/2 and 1/3.
      outcome, truth = np.where(in_mask, uniform, uniform**2), 1 / 6

    scores = memorization.memorization_scores(outcome, in_mask)

    covered = np.mean((scores.ci_low <= truth) & (truth <= scores.ci_high))
    # Four standard errors of 3,000 draws are 0.016; the rest is because the
    # intervals are approximate for 28 and 12 runs.
    self.assertBetween(covered, 0.925, 0.985)

  def test_mean_is_difference_of_means_under_balanced_masks(self):
    rng = np.random.default_rng(7)
    # Each example is in 7 of each 10 runs.
    keys = rng.random((4, 10, 200))
    in_mask = (keys.argsort(axis=1) < 7).reshape(40, 200)
    outcome = rng.random((40, 200)) < 0.55

    scores = memorization.memorization_scores(outcome, in_mask)

    mean_in, mean_out = outcome[in_mask].mean(), outcome[~in_mask].mean()
    self.assertLess(
      abs(scores.memorization.mean() - (mean_in - mean_out)), 1e-12
    )


class InvarianceTest(parameterized.TestCase):
  @parameterized.parameters("correctness", "label_probability", "margin")
  def test_order_of_runs_changes_nothing(self, kind):
    outcome, in_mask = random_study(8, kind=kind)
    order = np.random.default_rng(0).permutation(len(outcome))

    one = memorization.memorization_scores(outcome, in_mask, outcome_kind=kind)
    other = memorization.memorization_scores(
      outcome[order], in_mask[order], outcome_kind=kind
    )

    if kind == "correctness":
      assert_same_scores(one, other)
    for name in ARRAYS:
      np.testing.assert_allclose(
        getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-12
      )

  @parameterized.parameters("correctness", "label_probability", "margin")
  def test_relabelling_examples_permutes_scores(self, kind):
    outcome, in_mask = random_study(9, kind=kind)
    order = np.random.default_rng(0).permutation(outcome.shape[1])

    one = memorization.memorization_scores(outcome, in_mask, outcome_kind=kind)
    other = memorization.memorization_scores(
      outcome[:, order], in_mask[:, order], outcome_kind=kind
    )

    if kind == "correctness":
      assert_same_scores(other, one, order=order)
    for name in ARRAYS:
      np.testing.assert_allclose(
        getattr(other, name), getattr(one, name)[order], rtol=1e-9, atol=1e-12
      )

  def test_swapping_in_and_out_turns_the_sign(self):
    outcome, in_mask = random_study(10)

    one = memorization.memorization_scores(outcome, in_mask)
    other = memorization.memorization_scores(outcome, ~in_mask)

    np.testing.assert_array_equal(one.memorization, -other.memorization)
    np.testing.assert_allclose(one.ci_low, -other.ci_high, atol=1e-15)
    np.testing.assert_array_equal(one.num_in, other.num_out)

  def test_booleans_integers_and_whole_floats_score_the_same(self):
    outcome, in_mask = random_study(11)

    one = memorization.memorization_scores(outcome, in_mask)

    for dtype in (np.int8, np.uint8, np.int64, np.float32):
      other = memorization.memorization_scores(
        outcome.astype(dtype), in_mask, outcome_kind="correctness"
      )
      assert_same_scores(one, other)

  def test_inputs_are_left_as_they_are(self):
    outcome, in_mask = random_study(12, kind="label_probability")
    before = outcome.copy(), in_mask.copy()

    memorization.memorization_scores(outcome, in_mask)

    np.testing.assert_array_equal(outcome, before[0])
    np.testing.assert_array_equal(in_mask, before[1])


class IntervalTest(parameterized.TestCase):
  # Newcombe (1998), Statistics in Medicine 17:873-890, table II, method 10.
  @parameterized.parameters(
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0000),
    (10, 10, 0, 10, 0.6075, 1.0000),
  )
  def test_newcombe_published(self, hits_in, num_in, hits_out, num_out, *ends):
    scores = memorization.memorization_scores(
      *one_example(hits_in, num_in, hits_out, num_out)
    )

    self.assertAlmostEqual(scores.ci_low[0], ends[0], delta=5.1e-5)
    self.assertAlmostEqual(scores.ci_high[0], ends[1], delta=5.1e-5)

  def test_newcombe_equals_its_formula_for_all_small_counts(self):
    for num_in, num_out in ((1, 1), (3, 5), (7, 3), (28, 12)):
      for a in range(num_in + 1):
        for b in range(num_out + 1):
          scores = memorization.memorization_scores(
            *one_example(a, num_in, b, num_out)
          )

          low_a, high_a = score_limits(a, num_in)
          low_b, high_b = score_limits(b, num_out)
          p, q = a / num_in, b / num_out
          low = p - q - math.hypot(p - low_a, high_b - q)
          high = p - q + math.hypot(high_a - p, q - low_b)
          # The roots lose half the digits where they meet 0 or 1.
          self.assertAlmostEqual(scores.ci_low[0], low, delta=1e-7)
          self.assertAlmostEqual(scores.ci_high[0], high, delta=1e-7)
          self.assertGreaterEqual(scores.ci_low[0], -1.0)
          self.assertLessEqual(scores.ci_high[0], 1.0)

  @parameterized.parameters(
    ("label_probability", 0.95), ("margin", 0.95), ("margin", 0.8)
  )
  def test_welch_equals_scipy(self, kind, confidence):
    outcome, in_mask = random_study(13, kind=kind)

    scores = memorization.memorization_scores(
      outcome, in_mask, outcome_kind=kind, confidence=confidence
    )

    for n in range(2, outcome.shape[1]):
      inside, outside = outcome[in_mask[:, n], n], outcome[~in_mask[:, n], n]
      test = stats.ttest_ind(inside, outside, equal_var=False)
      expected = test.confidence_interval(confidence)
      self.assertAlmostEqual(scores.ci_low[n], expected.low, 10)
      self.assertAlmostEqual(scores.ci_high[n], expected.high, 10)
      error = (inside.mean() - outside.mean()) / test.statistic
      self.assertAlmostEqual(scores.standard_error[n], error, 10)

  @parameterized.parameters("correctness", "margin")
  def test_more_confidence_is_wider(self, kind):
    outcome, in_mask = random_study(14, kind=kind)
    widths = []

    for confidence in (0.5, 0.9, 0.99):
      scores = memorization.memorization_scores(
        outcome, in_mask, outcome_kind=kind, confidence=confidence
      )
      widths.append((scores.ci_high - scores.ci_low)[2:])

    self.assertTrue((widths[0] < widths[1]).all())
    self.assertTrue((widths[1] < widths[2]).all())


class TallyTest(parameterized.TestCase):
  def tally(self, outcome, in_mask, kind):
    tally = memorization.MemorizationTally(outcome.shape[1], outcome_kind=kind)
    for m in range(len(outcome)):
      tally.add(outcome[m], in_mask[m])
    return tally

  def test_run_by_run_is_batch_to_the_bit_for_correctness(self):
    outcome, in_mask = random_study(15)

    scores = self.tally(outcome, in_mask, None).scores()

    assert_same_scores(
      scores, memorization.memorization_scores(outcome, in_mask)
    )

  def test_merged_is_batch_to_the_bit_for_correctness(self):
    outcome, in_mask = random_study(16)
    order = np.random.default_rng(0).permutation(len(outcome))
    tallies = [
      self.tally(outcome[rows], in_mask[rows], None)
      for rows in np.split(order, [1, 8, 30])
    ]

    merged = memorization.MemorizationTally(outcome.shape[1])
    for tally in tallies:
      merged.merge(tally)

    assert_same_scores(
      merged.scores(), memorization.memorization_scores(outcome, in_mask)
    )

  @parameterized.parameters("label_probability", "margin")
  def test_run_by_run_and_merged_are_batch_to_rounding(self, kind):
    outcome, in_mask = random_study(17, kind=kind)
    batch = memorization.memorization_scores(
      outcome, in_mask, outcome_kind=kind
    )

    merged = self.tally(outcome[:11], in_mask[:11], kind)
    merged.merge(self.tally(outcome[11:], in_mask[11:], kind))

    for scores in (
      merged.scores(),
      self.tally(outcome, in_mask, kind).scores(),
    ):
      self.assertEqual(scores.outcome, kind)
      for name in ARRAYS:
        np.testing.assert_allclose(
          getattr(scores, name),
          getattr(batch, name),
          rtol=1e-10,
          atol=1e-12,
          err_msg=name,
        )

  def test_scores_may_be_asked_between_runs(self):
    outcome, in_mask = random_study(18)
    tally = self.tally(outcome[:10], in_mask[:10], None)

    early = tally.scores()
    tally.add_many(outcome[10:], in_mask[10:])

    assert_same_scores(
      early, memorization.memorization_scores(outcome[:10], in_mask[:10])
    )
    assert_same_scores(
      tally.scores(), memorization.memorization_scores(outcome, in_mask)
    )

  def test_empty_tally_knows_nothing(self):
    scores = memorization.MemorizationTally(3).scores()

    np.testing.assert_array_equal(scores.memorization, [np.nan] * 3)
    np.testing.assert_array_equal(scores.num_in, [0, 0, 0])
    np.testing.assert_array_equal(scores.num_out, [0, 0, 0])

  def test_first_run_settles_the_kind(self):
    tally = memorization.MemorizationTally(2)
    mask = np.array([True, False])

    tally.add(np.array([0.5, 0.25]), mask)

    self.assertEqual(tally.outcome_kind, "label_probability")
    tally = memorization.MemorizationTally(2)
    tally.add(np.array([True, False]), mask)
    with self.assertRaisesRegex(ValueError, "must be 0 or 1"):
      tally.add(np.array([0.5, 0.25]), mask)

  def test_refused_run_changes_nothing(self):
    outcome, in_mask = random_study(19)
    tally = self.tally(outcome, in_mask, None)

    with self.assertRaises(ValueError):
      tally.add(np.full(30, 2), in_mask[0])
    with self.assertRaises(ValueError):
      tally.add(outcome[0], in_mask[0].astype(int))

    assert_same_scores(
      tally.scores(), memorization.memorization_scores(outcome, in_mask)
    )


class RejectsTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ("rank", np.zeros(3), np.zeros(3, bool), {}, r"both be \[M, N\].*\(3,\)"),
    (
      "shapes",
      np.zeros((2, 3)),
      np.zeros((3, 2), bool),
      {},
      r"\[M, N\].*\(2, 3\) and \(3, 2\)",
    ),
    (
      "integer_mask",
      np.zeros((2, 3)),
      np.zeros((2, 3), int),
      {},
      "must be boolean.*int64",
    ),
    (
      "logits",
      np.full((2, 3), 5.0),
      np.zeros((2, 3), bool),
      {},
      r"\[0, 1\].*margin.*5\.0",
    ),
    (
      "negative",
      np.full((2, 3), -0.5),
      np.zeros((2, 3), bool),
      {},
      r"\[0, 1\].*-0\.5",
    ),
    ("counts", np.full((2, 3), 2), np.zeros((2, 3), bool), {}, "0 or 1.*2"),
    (
      "nan",
      np.full((2, 3), np.nan),
      np.zeros((2, 3), bool),
      {},
      "must be finite",
    ),
    (
      "infinite_margin",
      np.full((2, 3), np.inf),
      np.zeros((2, 3), bool),
      {"outcome_kind": "margin"},
      "must be finite",
    ),
    (
      "text",
      np.full((2, 3), "1"),
      np.zeros((2, 3), bool),
      {},
      "must be numeric",
    ),
    (
      "unknown_kind",
      np.zeros((2, 3)),
      np.zeros((2, 3), bool),
      {"outcome_kind": "loss"},
      "correctness, label_probability, margin.*'loss'",
    ),
    (
      "probabilities_as_correctness",
      np.full((2, 3), 0.5),
      np.zeros((2, 3), bool),
      {"outcome_kind": "correctness"},
      "0 or 1.*0.5",
    ),
    (
      "certainty",
      np.zeros((2, 3)),
      np.zeros((2, 3), bool),
      {"confidence": 1.0},
      r"`confidence` must be in \(0, 1\).*1\.0",
    ),
    (
      "percent",
      np.zeros((2, 3)),
      np.zeros((2, 3), bool),
      {"confidence": 95},
      r"`confidence` must be in \(0, 1\).*95",
    ),
    (
      "no_examples",
      np.zeros((2, 0)),
      np.zeros((2, 0), bool),
      {},
      "`num_examples` must be at least 1.*0",
    ),
  )
  def test_scores_reject(self, outcome, in_mask, options, message):
    with self.assertRaisesRegex(ValueError, message):
      memorization.memorization_scores(outcome, in_mask, **options)

  @parameterized.named_parameters(
    ("rank", np.zeros((1, 3)), np.zeros(3, bool), r"\[N\].*\(1, 3\)"),
    ("mask_rank", np.zeros(3), np.zeros((1, 3), bool), r"\[N\].*\(1, 3\)"),
    ("too_few", np.zeros(2), np.zeros(2, bool), "over 3 examples.*2"),
    ("mask_length", np.zeros(3), np.zeros(4, bool), "over 3 examples.*4"),
    ("integer_mask", np.zeros(3), np.zeros(3, int), "must be boolean"),
  )
  def test_tally_rejects_run(self, outcome, in_mask, message):
    tally = memorization.MemorizationTally(3)

    with self.assertRaisesRegex(ValueError, message):
      tally.add(outcome, in_mask)

  @parameterized.parameters(0, -1)
  def test_tally_rejects_no_examples(self, num_examples):
    with self.assertRaisesRegex(ValueError, f"at least 1.*{num_examples}"):
      memorization.MemorizationTally(num_examples)

  def test_tallies_of_other_examples_do_not_merge(self):
    with self.assertRaisesRegex(ValueError, "3 and 4 examples"):
      memorization.MemorizationTally(3).merge(memorization.MemorizationTally(4))

  def test_tallies_of_other_kinds_do_not_merge(self):
    one = memorization.MemorizationTally(3, outcome_kind="margin")
    other = memorization.MemorizationTally(3, outcome_kind="correctness")

    with self.assertRaisesRegex(ValueError, "correctness and margin"):
      one.merge(other)


if __name__ == "__main__":
  absltest.main()
