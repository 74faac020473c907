"""Paired changes between recipes, against the definition in loops."""

from absl.testing import absltest
import numpy as np

from memo_tf.analysis.distillation import paired
from memo_tf.estimators import resampling


def random_runs(num_sizes=2, num_runs=20, num_examples=15, seed=0):
  rng = np.random.default_rng(seed)
  in_mask = rng.random((num_runs, num_examples)).argsort(axis=0) < 14
  shape = (num_sizes, *in_mask.shape)
  base, other = rng.random((2, *shape)) < np.where(in_mask, 0.9, 0.5)
  tests = rng.random((2, num_sizes, num_runs, 8)) < 0.7
  return base, other, in_mask, *tests


def slow_figures(correct, in_mask, test, weights):
  """Memorization, in-, out- and test accuracy of one size, run by run."""
  inside, outside = [], []
  for n in range(in_mask.shape[1]):
    for member, found in ((in_mask, inside), (~in_mask, outside)):
      rows = member[:, n]
      found.append(np.average(correct[rows, n], weights=weights[rows]))
  inside, outside = np.mean(inside), np.mean(outside)
  tested = np.average(test.mean(axis=1), weights=weights)
  return np.array([inside - outside, inside, outside, tested])


class MeanChangesTest(absltest.TestCase):
  def test_estimates_and_intervals_are_the_definition(self):
    base, other, in_mask, base_test, other_test = random_runs()
    bootstrap = resampling.paired_bootstrap(20, num_resamples=10)

    found = paired.mean_changes(
      base, other, in_mask, base_test, other_test, bootstrap
    )

    self.assertEqual(found["size"].tolist(), [0, 1, paired.ALL_SIZES])
    values = []
    for weights in bootstrap.weights:
      sides = [
        np.array(
          [slow_figures(c, in_mask, t, weights) for c, t in zip(correct, test)]
        )
        for correct, test in ((base, base_test), (other, other_test))
      ]
      values.append([np.vstack([s, s.mean(axis=0)]) for s in sides])
    values = np.array(values)  # [R + 1, side, size, figure]
    change = values[:, 1] - values[:, 0]
    for k, name in enumerate(paired.FIGURES):
      np.testing.assert_allclose(found[f"{name}_baseline"], values[0, 0, :, k])
      np.testing.assert_allclose(found[name], values[0, 1, :, k])
      np.testing.assert_allclose(
        found[[f"{name}_change{s}" for s in ("", "_low", "_high")]],
        bootstrap.intervals(change[:, :, k]),
        atol=1e-12,
      )
    np.testing.assert_allclose(
      found["memorization_change"],
      found["in_accuracy_change"] - found["out_accuracy_change"],
    )

  def test_one_size_has_no_mean_over_sizes(self):
    base, other, in_mask, base_test, other_test = random_runs(num_sizes=1)

    found = paired.mean_changes(
      *(base, other, in_mask, base_test, other_test),
      resampling.paired_bootstrap(20, num_resamples=5),
    )

    self.assertEqual(found["size"].tolist(), [0])

  def test_the_same_runs_do_not_change_at_all(self):
    base, _, in_mask, test, _ = random_runs()

    found = paired.mean_changes(
      *(base, base, in_mask, test, test),
      resampling.paired_bootstrap(20, num_resamples=5),
    )

    for name in paired.FIGURES:
      for suffix in ("", "_low", "_high"):
        self.assertTrue((found[f"{name}_change{suffix}"] == 0).all())

  def test_without_test_examples(self):
    base, other, in_mask, test, _ = random_runs()
    none = test[:, :, :0]

    found = paired.mean_changes(
      *(base, other, in_mask, none, none),
      resampling.paired_bootstrap(20, num_resamples=5),
    )

    self.assertTrue(found["test_accuracy_change"].isna().all())


class OthersTest(absltest.TestCase):
  def test_held_out_probability_by_hand(self):
    probability = np.array([[0.9, 0.2, 0.4], [0.8, 0.1, 0.3]])
    in_mask = np.array([[1, 0, 0], [0, 1, 1]], bool)

    found = paired.held_out_probability(
      probability, in_mask, np.array([True, False, True])
    )

    np.testing.assert_allclose(found, [0.4, 0.8])

  def test_by_run_pairs_the_runs(self):
    rng = np.random.default_rng(0)
    base = rng.normal(size=30)
    bootstrap = resampling.paired_bootstrap(30)

    found = paired.by_run(base, base + 0.5, bootstrap)

    np.testing.assert_allclose(found[2], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(found[0, 0], base.mean())
    self.assertGreater(found[0, 2], found[0, 0])

  def test_joint_histogram_by_hand(self):
    base = np.array([[0.0, 0.99, 1.0, -0.1, np.nan]])
    other = np.array([[0.0, 0.52, 0.54, 0.04, 0.5]])

    found = paired.joint_histogram(base, other)

    # Bins of 0.05: (0, 0) holds the first and the fourth, (0.95, 0.5) two.
    self.assertEqual(
      found.to_dict("records"),
      [
        {"size": 0, "baseline_low": 0.0, "other_low": 0.0, "num_examples": 2},
        {"size": 0, "baseline_low": 0.95, "other_low": 0.5, "num_examples": 2},
      ],
    )


if __name__ == "__main__":
  absltest.main()
