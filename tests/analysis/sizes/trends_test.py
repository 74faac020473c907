"""Mean memorization over sizes, with paired intervals."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.sizes import trends as trends_lib
from memo_tf.estimators import resampling
from tests.support import beta_trajectories


def simulate(**options):
  settings = {
    "num_sizes": 3,
    "num_examples": 300,
    "num_subsets": 100,
    "seed": 0,
  }
  return beta_trajectories.simulate_study(**(settings | options))


class MeanTrendsTest(absltest.TestCase):
  def test_by_hand(self):
    in_mask = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool)
    # Size 0: all right in, all wrong out. Size 1: example 0 right everywhere.
    first = in_mask
    second = in_mask.copy()
    second[:, 0] = True
    correct = np.stack([first, second])
    bootstrap = resampling.paired_bootstrap(4, num_resamples=20)

    by_size, changes = trends_lib.mean_trends(correct, in_mask, bootstrap)

    np.testing.assert_allclose(by_size["memorization"], [1, 0.5])
    np.testing.assert_allclose(by_size["out_accuracy"], [0, 0.5])
    self.assertEqual(by_size["saturated"].tolist(), [True, True])
    self.assertLen(changes, 1)  # of two sizes the first step is also the whole
    self.assertEqual(changes.loc[0, "memorization"], -0.5)
    self.assertEqual(changes.loc[0, "out_accuracy"], 0.5)

  def test_change_is_that_of_in_less_that_of_out(self):
    study = simulate()
    bootstrap = resampling.paired_bootstrap(100, block=10, num_resamples=50)

    by_size, changes = trends_lib.mean_trends(
      study.correct, study.in_mask, bootstrap
    )

    np.testing.assert_allclose(
      changes["memorization"],
      changes["in_accuracy"] - changes["out_accuracy"],
      atol=1e-12,
    )
    self.assertEqual(changes["to_size"].tolist(), [1, 2, 2])
    np.testing.assert_allclose(
      by_size["memorization"],
      by_size["in_accuracy"] - by_size["out_accuracy"],
      atol=1e-12,
    )

  def test_intervals_hold_the_truth(self):
    # Of examples that are the same and runs that are drawn: 16 studies.
    held = []
    for seed in range(16):
      study = simulate(seed=seed, num_examples=100)
      bootstrap = resampling.paired_bootstrap(
        100, block=10, num_resamples=40, seed=seed
      )
      by_size, changes = trends_lib.mean_trends(
        study.correct, study.in_mask, bootstrap
      )
      true = study.memorization.mean(axis=1)
      for frame, values in (
        (by_size, true),
        (changes, [true[1] - true[0], true[2] - true[1], true[2] - true[0]]),
      ):
        low, high = frame["memorization_low"], frame["memorization_high"]
        held.append((low <= values) & (values <= high))
    self.assertBetween(np.mean(held), 0.88, 0.995)

  def test_pairing_narrows_a_difference(self):
    study = simulate(num_sizes=2, shares={"constant": 1.0})
    correct = study.correct.copy()
    correct[1] = correct[0]  # the second size repeats the first
    bootstrap = resampling.paired_bootstrap(100, block=10)

    by_size, changes = trends_lib.mean_trends(correct, study.in_mask, bootstrap)

    width = by_size["memorization_high"] - by_size["memorization_low"]
    self.assertGreater(width.min(), 0.001)
    self.assertEqual(
      changes.loc[0, "memorization_high"] - changes.loc[0, "memorization_low"],
      0,
    )

  def test_accuracies_of_runs_by_hand(self):
    in_mask = np.array([[1, 1, 0], [0, 1, 1]], bool)
    correct = np.array([[[1, 0, 1], [1, 1, 1]]], bool)
    test = np.array([[[1, 0], [1, 1]]], bool)

    table = trends_lib.run_accuracies(correct, in_mask, test)

    self.assertEqual(table.loc[0, "in_accuracy"], 0.75)  # 1/2 and 2/2
    self.assertEqual(table.loc[0, "out_accuracy"], 1.0)
    self.assertEqual(table.loc[0, "test_accuracy"], 0.75)
    self.assertAlmostEqual(table.loc[0, "test_accuracy_sd"], np.sqrt(0.125))

  def test_class_means_are_means_of_the_class(self):
    study = simulate(num_subsets=20)
    bootstrap = resampling.paired_bootstrap(20, num_resamples=5)

    table = trends_lib.class_means(
      study.correct,
      study.in_mask,
      study.shape_class,
      ("increasing", "other", "cap"),
      bootstrap,
    )

    self.assertEqual(
      table["shape_class"].unique().tolist(), ["increasing", "cap"]
    )
    values, _ = study.estimates()
    rows = table[table["shape_class"] == "cap"]
    np.testing.assert_allclose(
      rows["memorization"],
      values[:, study.shape_class == "cap"].mean(axis=1),
    )


if __name__ == "__main__":
  absltest.main()
