"""Matched training accuracy: hand arithmetic, known truth, no extrapolation."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.analysis.distillation import matched
from memo_tf.estimators import in_out
from memo_tf.estimators import resampling


def bootstrap():
  return resampling.paired_bootstrap(12, num_resamples=40)


def found_for(in_accuracy, references, spread=0.0005):
  """A match of in-accuracies that all vary by `spread` over replicates."""
  rng = np.random.default_rng(0)
  own = in_accuracy + np.append(0, rng.normal(0, spread, 40))
  values = np.tile(np.array(references, float), (41, 1, 1))
  values[1:, :, 0] += rng.normal(0, spread, values[1:, :, 0].shape)
  return matched.match(own, values, bootstrap())


class MatchTest(parameterized.TestCase):
  def test_hand_computed(self):
    # 0.954 is a quarter of the way from 0.95 to 0.966.
    found = found_for(0.954, [(0.966, 0.80), (0.90, 0.95), (0.95, 0.88)], 0)

    self.assertEqual((found.lower, found.upper), (2, 0))
    np.testing.assert_allclose(found.out_accuracy, 0.86)

  def test_every_replicate_has_its_own_place_on_the_line(self):
    own = np.append(0.97, np.linspace(0.95, 0.98, 40))
    references = np.tile([[0.96, 0.8], [0.975, 0.65]], (41, 1, 1))

    found = matched.match(own, references, bootstrap())

    share = np.clip((own - 0.96) / 0.015, 0, 1)
    np.testing.assert_allclose(found.out_accuracy, 0.8 - 0.15 * share)

  def test_a_group_of_the_same_accuracy_is_enough(self):
    found = found_for(0.9996, [(0.7, 0.6), (1.0, 0.8), (1.0, 0.9)], 0.0001)

    self.assertEqual((found.lower, found.upper), (1, 1))  # the first of equals
    np.testing.assert_array_equal(found.out_accuracy, 0.8)

  def test_the_same_accuracy_must_be_certain(self):
    found = found_for(0.9996, [(1.0, 0.8)], 0.002)

    self.assertIsNone(found.out_accuracy)

  @parameterized.parameters(
    (0.96, [(0.97, 0.8), (1.0, 0.8)], (None, 0)),  # below all
    (0.96, [(0.9, 0.8), (0.95, 0.8)], (1, None)),  # above all
    (0.96, [(0.94, 0.8), (0.97, 0.8)], (0, 1)),  # in a wide gap
  )
  def test_nothing_is_extrapolated(self, own, references, nearest):
    found = found_for(own, references)

    self.assertEqual((found.lower, found.upper), nearest)
    self.assertIsNone(found.out_accuracy)

  def test_memorization_has_no_part_in_the_choice(self):
    references = np.array([(0.95, 0.88), (0.955, 0.5), (0.97, 0.8), (1, 0.1)])

    found = found_for(0.96, references)

    for seed in range(5):
      references[:, 1] = np.random.default_rng(seed).random(4)
      other = found_for(0.96, references)
      self.assertEqual((other.lower, other.upper), (found.lower, found.upper))

  def test_intervals_hold_the_truth(self):
    covered = []
    for truth in (0.0, -0.05):
      rng = np.random.default_rng(0)
      ends = [_simulated_change(rng, truth) for _ in range(100)]
      ends = np.array([found for found in ends if found is not None])
      self.assertGreater(len(ends), 70)  # the others are not bracketed
      covered.append(np.mean((ends[:, 1] <= truth) & (truth <= ends[:, 2])))
      self.assertAlmostEqual(ends[:, 0].mean(), truth, delta=0.003)

    self.assertBetween(min(covered), 0.88, 1.0)
    self.assertGreater(np.mean(ends[:, 2] < 0), 0.8)  # it is found


def _simulated_change(rng, truth, num_runs=20, num_examples=300):
  """Change and interval, if any; 0.94, 0.948 and 0.955 are on one line."""
  in_mask = rng.random((num_runs, num_examples)) < 0.7
  drawn = resampling.paired_bootstrap(num_runs, num_resamples=60)
  means = []
  for inside in (0.94, 0.948, 0.955):
    outside = 0.85 - (inside - 0.94) - truth * (inside == 0.948)
    run = rng.normal(0, 0.003, (num_runs, 1))
    chance = np.where(in_mask, np.clip(inside + run, 0, 1), outside)
    correct = rng.random(in_mask.shape) < chance
    both = in_out.in_out_means(correct, in_mask, drawn.weights)
    means.append([np.nanmean(values, axis=1) for values in both])
  one, own, two = np.moveaxis(means, 1, 2)  # [R + 1, 2] each
  found = matched.match(own[:, 0], np.stack([one, two], axis=1), drawn)
  if found.out_accuracy is None:
    return None
  return drawn.intervals((found.out_accuracy - own[:, 1])[:, None])[0]


if __name__ == "__main__":
  absltest.main()
