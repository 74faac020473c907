"""Shape classes of noisy trajectories."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import classify
from tests.support import beta_trajectories


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


class UnknownTest(absltest.TestCase):
  def test_unanimous_runs_and_unknown_scores(self):
    m = np.array([[0.0, 0.5, np.nan], [0.0, 0.9, 0.5], [0.0, 1.0, 0.5]])

    result = classify.classify_trajectories(m, np.zeros((3, 3)))

    self.assertEqual(
      result.shape_class.tolist(), ["constant", "increasing", ""]
    )
    self.assertEqual(list(result.to_dataframe()), ["example_id", "shape_class"])


if __name__ == "__main__":
  absltest.main()
