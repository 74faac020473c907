"""Noisy trajectories: what must be shown of the rule, and of what undoes noise."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import noise as noise_lib
from memo_tf.analysis.trajectories import rules
from memo_tf.analysis.trajectories import shares as shares_lib
from memo_tf.analysis.trajectories import simulation

WITH_OTHER = simulation.DEFAULT_SHARES | {"other": 0.05}


def simulate(**options):
  settings = {"num_examples": 600, "num_subsets": 100, "seed": 0}
  return simulation.beta_trajectories(**(settings | options))


class SimulatorTest(parameterized.TestCase):
  @parameterized.parameters(4, 5, 7)
  def test_truth_is_what_it_says(self, num_sizes):
    study = simulate(num_sizes=num_sizes, shares=WITH_OTHER, num_subsets=20)

    truth = classify.classify_trajectories(study.memorization).shape_class
    np.testing.assert_array_equal(truth, study.shape_class)
    span = np.ptp(study.memorization, axis=0)
    constant = study.shape_class == "constant"
    np.testing.assert_array_equal(span[constant], 0)
    self.assertGreaterEqual(span[~constant].min(), 0.4)
    self.assertGreaterEqual(study.in_probability.min(), 0.95)
    # 0.4, 0.15, 0.3, 0.1, 0.05 and 0.05, scaled to 1.
    self.assertEqual((study.shape_class == "cap").sum(), round(60 / 1.05))
    np.testing.assert_array_equal(study.in_mask.sum(axis=0), 14)

  def test_runs_follow_the_truth(self):
    study = simulate(num_sizes=3, num_subsets=2000, num_examples=60)

    values, error = study.estimates()

    worst = np.abs(values - study.memorization) / np.maximum(error, 0.005)
    self.assertLess(worst.max(), 5)
    self.assertLess(worst.mean(), 1.0)  # of a standard normal 0.8

  def test_runs_may_go_together_over_sizes(self):
    options = dict(num_sizes=3, num_examples=400, num_subsets=200)
    alone = simulate(**options)
    together = simulate(run_correlation=0.6, **options)

    found = [
      shares_lib.evidence(s.correct, s.in_mask).correlation[0, 1]
      for s in (alone, together)
    ]

    self.assertAlmostEqual(found[0], 0, delta=0.03)
    self.assertGreater(found[1], 0.25)

  @parameterized.parameters(
    (dict(shares={"none": 1.0}), "shares"),
    (dict(num_sizes=2), "takes 3 sizes"),
    (dict(shares={"other": 1.0}), "takes 4 sizes"),
    (dict(clear_change=0.0), "clear_change"),
    (dict(beta=(0, 1)), "beta"),
    (dict(beta=(500.0, 500.0)), "hardly ever"),
    (dict(ratio=0.55), "tenth"),
    (dict(run_correlation=1.0), "run_correlation"),
  )
  def test_rejects(self, options, message):
    with self.assertRaisesRegex(ValueError, message):
      simulate(**({"num_sizes": 3} | options))


class DefaultRuleUnderNoiseTest(parameterized.TestCase):
  @parameterized.product(num_sizes=(3, 5, 7), beta=((0.6, 0.6), (1.5, 1.5)))
  def test_at_400_runs_it_is_right(self, num_sizes, beta):
    study = simulate(
      num_sizes=num_sizes, beta=beta, num_subsets=400, num_examples=1000
    )

    values, _ = study.estimates()
    found = classify.classify_trajectories(values).shape_class

    constant = study.shape_class == "constant"
    right = found == study.shape_class
    self.assertGreaterEqual(right[~constant].mean(), 0.98)  # 0.9 is asked for
    self.assertLessEqual((~right[constant]).mean(), 0.05)

  def test_at_100_runs_it_is_not(self):
    study = simulate(num_sizes=5, shares={"constant": 1.0}, beta=(20, 20))

    values, error = study.estimates()
    found = classify.classify_trajectories(values, error)

    # Ambiguous: out-probabilities around a half.
    wrong = (found.shape_class != "constant").mean()
    self.assertBetween(wrong, 0.4, 0.8)
    # The probabilities see through it.
    self.assertGreater(found.probability[:, 0].mean(), 0.9)


class ProbabilityTest(absltest.TestCase):
  def test_probabilities_are_calibrated(self):
    study = simulate(num_sizes=4, shares=WITH_OTHER, num_examples=1500)
    values, _ = study.estimates()
    found = shares_lib.evidence(study.correct, study.in_mask)
    result = classify.classify_trajectories(
      values, found.standard_error, correlation=found.correlation
    )

    np.testing.assert_allclose(result.probability.sum(axis=1), 1, rtol=1e-5)
    p = result.probability[:, rules.CONSTANT]
    constant = study.shape_class == "constant"
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
      here = (p >= low) & (p < high)
      self.assertAlmostEqual(
        p[here].mean(), constant[here].mean(), delta=0.15, msg=f"{low}"
      )
    named = np.array(classify.SHAPE_CLASSES)[result.probability.argmax(axis=1)]
    self.assertGreater(
      (named == study.shape_class).mean(),
      (result.shape_class == study.shape_class).mean() + 0.05,
    )

  def test_correlated_errors_hide_less(self):
    # A change of 0.25 under errors of 0.1: with a correlation of 0.9 the
    # difference has an error of 0.045 and not of 0.14.
    rng = np.random.default_rng(0)
    level = rng.uniform(0.2, 0.5, 400)
    truth = np.stack([level, level + 0.25 * (np.arange(400) < 200)])
    error = np.full((2, 400), 0.1)
    correlation = np.array([[1, 0.9], [0.9, 1]])
    noise = np.linalg.cholesky(correlation) @ rng.standard_normal((2, 400))
    measured = truth + 0.1 * noise

    with_it, without = (
      classify.classify_trajectories(
        measured, error, correlation=c
      ).probability[:, 1]
      for c in (correlation, None)
    )

    def separation(p):
      return p[:200].mean() - p[200:].mean()

    self.assertGreater(separation(with_it), separation(without) + 0.2)

  def test_unanimous_runs_and_unknown_scores(self):
    m = np.array([[0.0, 0.5, np.nan], [0.0, 0.9, 0.5], [0.0, 1.0, 0.5]])

    result = classify.classify_trajectories(m, np.zeros((3, 3)))

    self.assertEqual(
      result.shape_class.tolist(), ["constant", "increasing", ""]
    )
    self.assertGreater(result.probability[0, 0], 0.99)
    self.assertGreater(result.probability[1, 1], 0.99)
    self.assertTrue(np.isnan(result.probability[2]).all())
    self.assertEqual(
      list(result.to_dataframe())[2:],
      [f"p_{name}" for name in classify.SHAPE_CLASSES],
    )


class SharesTest(parameterized.TestCase):
  @parameterized.parameters((100, 5), (400, 3))
  def test_intervals_hold_the_true_shares(self, num_subsets, num_sizes):
    # benchmarks/trajectories.py has the coverage over many studies.
    study = simulate(
      num_sizes=num_sizes,
      num_subsets=num_subsets,
      beta=(1.0, 1.0),
      seed=num_sizes,
      num_examples=400,
    )

    shares = shares_lib.shape_shares(
      study.correct, study.in_mask, block=study.block, num_simulated=4
    )

    self.assertAlmostEqual(sum(s.share for s in shares), 1, delta=1e-6)
    for share in shares:
      true = (study.shape_class == share.shape_class).mean()
      slack = share.standard_error  # five standard errors' interval, not two
      self.assertBetween(
        true,
        share.ci_low - slack,
        share.ci_high + slack,
        f"{share.shape_class}: {share}",
      )
    constant = shares[0]
    self.assertLess(constant.standard_error, 0.08)
    if num_subsets == 100:
      self.assertGreater(
        abs(constant.measured - 0.4), 1.5 * abs(constant.share - 0.4)
      )

  def test_standard_errors_by_hand(self):
    # In: 2 of 2 and 1 of 2 right; out: 0 of 2 and 1 of 2.
    in_mask = np.array([[1], [1], [0], [0]], bool)
    correct = np.array([[[1], [1], [0], [0]], [[1], [0], [1], [0]]], bool)

    found = shares_lib.evidence(correct, in_mask)

    np.testing.assert_allclose(found.memorization[:, 0], [1, 0])
    # (2.5/3)(0.5/3)/2 twice; (1.5/3)(1.5/3)/2 twice.
    np.testing.assert_allclose(
      np.square(found.standard_error[:, 0]), [1.25 / 9, 0.25]
    )
    np.testing.assert_array_equal(np.diag(found.correlation), 1)

  def test_never_held_out_is_left_out(self):
    study = simulate(num_sizes=2, shares={"constant": 1.0}, num_subsets=20)
    in_mask = np.ones_like(study.in_mask)

    shares = shares_lib.shape_shares(study.correct, in_mask, num_simulated=4)

    self.assertTrue(all(np.isnan(s.share) for s in shares))

  def test_rejects(self):
    with self.assertRaisesRegex(ValueError, r"\[S, M, N\]"):
      shares_lib.evidence(np.zeros((2, 3), bool), np.ones((2, 3), bool))
    with self.assertRaisesRegex(ValueError, "num_simulated"):
      shares_lib.shape_shares(
        np.zeros((2, 2, 3), bool), np.ones((2, 3), bool), num_simulated=1
      )

  def test_correlations_are_made_usable(self):
    fixed = noise_lib.positive_definite(np.ones((3, 3)))

    np.testing.assert_allclose(np.diag(fixed), 1)
    self.assertGreater(np.linalg.eigvalsh(fixed).min(), 0.005)


if __name__ == "__main__":
  absltest.main()
