"""Simulated studies over sizes are what their arguments say."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.trajectories import classify
from memo_tf.analysis.trajectories import shares as shares_lib
from tests.support import beta_trajectories

WITH_OTHER = beta_trajectories.DEFAULT_SHARES | {"other": 0.05}


def simulate(**options):
  settings = {"num_examples": 600, "num_subsets": 100, "seed": 0}
  return beta_trajectories.simulate_study(**(settings | options))


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


if __name__ == "__main__":
  absltest.main()
