"""Shape classes of noisy trajectories and their probabilities."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import rules
from memo_tf.analysis.trajectories import shares as shares_lib
from tests.support import beta_trajectories

WITH_OTHER = beta_trajectories.DEFAULT_SHARES | {"other": 0.05}


def simulate(**options):
  settings = {"num_examples": 600, "num_subsets": 100, "seed": 0}
  return beta_trajectories.simulate_study(**(settings | options))


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


if __name__ == "__main__":
  absltest.main()
